"""The anchor's private socket: a connection sends one request as a line of JSON and gets one back. Python 3.6.

An agent that joins sends a second line, with its link's two descriptors beside it (unix(7), SCM_RIGHTS): what came over
the link already. A request that makes no sense is not answered, and loses the connection.
"""

import array
import base64
import os
import socket

from farlab.mux import frames
from farlab.protocol import json_lines, peer

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    from farlab.host.reactor import Reactor
    from farlab.protocol.records import Record

    Dispatch = Callable[[dict[str, Any], "ControlConnection"], object]
    OnLink = Callable[[list[int], socket.socket, int, bytes], object]

MAX_LINE = 8 << 20


class ControlServer(object):
    """Serves the socket at `path`.

    `dispatch(request, connection)` answers a request, or raises. `on_link(fds, agent, version, received)` gets a link:
    its descriptors, its agent's connection, the mux's version on it and what came over it already.
    """

    def __init__(self, loop: "Reactor", path: str, dispatch: "Dispatch", on_link: "OnLink") -> None:
        self._loop, self._dispatch, self._on_link = loop, dispatch, on_link
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path + ".new")
        self._listener.listen(64)
        self._listener.setblocking(False)
        os.rename(path + ".new", path)  # it appears when one can connect to it
        self._start()

    def _start(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            sock = self._listener.accept()[0]
        except OSError:
            # it would come again at once, for ever, where too many files are open
            self._loop.remove_reader(self._listener.fileno())
            self._loop.call_later(0.1, self._start)
            return
        if not (peer.is_same_user(sock) and self._loop.call(self._serve, sock)):
            sock.close()

    def _serve(self, sock: "socket.socket") -> None:
        ControlConnection(self._loop, sock, self._dispatch, self._on_link)


class ControlConnection(object):
    """One connection to the anchor's socket, until its request is done."""

    def __init__(self, loop: "Reactor", sock: "socket.socket", dispatch: "Dispatch", on_link: "OnLink") -> None:
        self._loop, self._dispatch, self._on_link = loop, dispatch, on_link
        self._sock = sock  # type: socket.socket | None
        self._received = b""
        self._fds = []  # type: list[int]
        self._version = 1  # of the mux, on the link that it may hand over
        sock.setblocking(False)
        loop.add_reader(sock.fileno(), self._read, sock)

    def _read(self, sock: "socket.socket") -> None:
        try:
            data, fds = _receive(sock)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        self._received += data
        self._fds += fds
        if not data or len(self._received) > MAX_LINE:
            self.close()
        elif self._received.endswith(b"\n"):
            line, self._received = self._received, b""
            self._on_line(line, sock)

    def _on_line(self, line: bytes, sock: "socket.socket") -> None:
        if not self._fds:
            request = json_lines.decoded(line)
            self._version = frames.VERSION if request.get("mux") == frames.VERSION else 1
            self._dispatch(request, self)
        elif len(self._fds) == 2:
            received = base64.b64decode(line)
            self._unregister(sock)
            self._sock, (fds, self._fds) = None, (self._fds, [])  # they are another's now
            self._on_link(fds, sock, self._version, received)
        else:  # no descriptor was free for both of a link's two
            self.close()

    def send(self, answer: "Record") -> None:
        """Answer, if the client is still there: it reads one line."""
        if self._sock is None:
            return
        try:
            self._sock.setblocking(True)
            self._sock.settimeout(1.0)
            self._sock.sendall(json_lines.encoded(answer))
            self._sock.setblocking(False)
        except OSError:
            self.close()

    def abandon(self, *_: object) -> None:
        """Close, since what was asked makes no sense."""
        self.close()

    def close(self) -> None:
        """Close the connection and whatever came with it."""
        if self._sock is not None:
            self._unregister(self._sock)
            self._sock.close()
            for fd in self._fds:
                os.close(fd)
            self._sock = None

    def _unregister(self, sock: "socket.socket") -> None:
        self._loop.remove_reader(sock.fileno())


def _receive(sock: "socket.socket") -> "tuple[bytes, list[int]]":
    data, extra, _, _ = sock.recvmsg(65536, socket.CMSG_SPACE(8))
    fds = array.array("i")
    for level, kind, content in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
    return data, list(fds)
