"""One small HTTP request over a Unix socket on the anchor's event loop. Python 3.6."""

import socket

MOST = 4 << 20
"""Bytes of an answer that are read at most."""


class _Fetch(object):
    def __init__(self, loop, sock, done, timeout):
        self._loop, self._done = loop, done
        self._answer = b""
        self._sock = sock
        self._is_over = False
        self._sock.setblocking(False)
        self._timer = loop.call_later(timeout, self._end, None, b"")

    def begin(self, path, request):
        try:
            self._sock.connect(path)
            self._sock.sendall(request)
        except OSError:
            self._loop.call_later(0, self._end, None, b"")
        else:
            self._loop.add_reader(self._sock.fileno(), self._read)

    def _read(self):
        try:
            data = self._sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._answer += data
        if not data or len(self._answer) > MOST:
            self._parse()

    def failed(self):
        self._end(None, b"")

    def _parse(self):
        head, _, body = self._answer.partition(b"\r\n\r\n")
        words = head.split(None, 2)
        is_http = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
        self._end(int(words[1]) if is_http else None, body)

    def _end(self, status, body):
        if self._is_over:
            return
        self._is_over = True
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        self._done(status, body)


def fetch(loop, path, method, target, token, done, timeout):
    """`done(status, body)` with the answer, `done(None, b"")` without one within `timeout` seconds.

    `token` None: as somebody who has none.
    """
    try:
        sock = socket.socket(socket.AF_UNIX)
    except OSError:  # too many files are open
        loop.call_later(0, done, None, b"")
        return
    lines = ["%s %s HTTP/1.0" % (method, target), "Host: localhost", "Content-Length: 0"]
    if token is not None:
        lines.append("Authorization: token %s" % token)
    _Fetch(loop, sock, done, timeout).begin(path, ("\r\n".join(lines) + "\r\n\r\n").encode())
