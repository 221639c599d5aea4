"""Small HTTP requests over a Unix socket, on the anchor's event loop. Python 3.6."""

import socket

from farlab.protocol import http_response

MYPY = False
if MYPY:
    from collections.abc import Callable

    from farlab.host.reactor import Reactor

    OnAnswer = Callable[[int | None, bytes], object]

MAX_ANSWER = 4 << 20
"""Bytes of an answer that are read at most."""


class _Request(object):
    """One request on its way."""

    def __init__(self, loop: "Reactor", sock: "socket.socket", on_answer: "OnAnswer", timeout: float) -> None:
        self._loop, self._sock, self._on_answer = loop, sock, on_answer
        self._answer = b""
        self._is_over = False
        self._sock.setblocking(False)
        self._timer = loop.call_later(timeout, self._end, None, b"")

    def send(self, path: str, request: bytes) -> None:
        """Connect and send it."""
        try:
            self._sock.connect(path)
            self._sock.sendall(request)
        except OSError:
            self._loop.call_later(0, self._end, None, b"")
        else:
            self._loop.add_reader(self._sock.fileno(), self._read)

    def abandon(self) -> None:
        """Give up, after a callback has raised."""
        self._end(None, b"")

    def _read(self) -> None:
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._answer += data
        if not data or len(self._answer) > MAX_ANSWER:
            self._end(*http_response.parse(self._answer))

    def _end(self, status: "int | None", body: bytes) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._on_answer(status, body)


class ServerApi(object):
    """Requests to the notebook server, whose socket is at `path_of()`."""

    def __init__(self, loop: "Reactor", path_of: "Callable[[], str]", token: str) -> None:
        self._loop, self._path_of, self._token = loop, path_of, token

    def request(self, method: str, target: str, on_answer: "OnAnswer", timeout: float, has_token: bool = True) -> None:
        """Call `on_answer(status, body)`, or `on_answer(None, b"")` if there is no answer in `timeout` seconds."""
        try:
            sock = socket.socket(socket.AF_UNIX)
        except OSError:  # too many files are open
            self._loop.call_later(0, on_answer, None, b"")
            return
        lines = ["%s %s HTTP/1.0" % (method, target), "Host: localhost", "Content-Length: 0"]
        if has_token:
            lines.append("Authorization: token %s" % self._token)
        request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        _Request(self._loop, sock, on_answer, timeout).send(self._path_of(), request)
