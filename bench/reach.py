"""The measuring client: the smallest HTTP/1.1 over plain sockets, so that the way is measured and not the client."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

POLL = 0.02


def until_answers(port: int, *, path: str = "/api", timeout: float = 60) -> None:
    """Wait for a 200 to `GET PATH` at 127.0.0.1:`port`.

    A new attempt goes off every 20 ms whether or not older ones have ended, so that a round trip more or less between
    two attempts is nobody's luck: what is measured is when the first request that could be answered was answered.
    """
    end = time.monotonic() + timeout
    attempts: list[_Attempt] = []
    next_start = 0.0
    try:
        while time.monotonic() < end:
            if time.monotonic() >= next_start:
                attempts.append(_Attempt(port, path))
                next_start = time.monotonic() + POLL
            readable = select.select([one.end for one in attempts], [], [], max(0.0, next_start - time.monotonic()))[0]
            for attempt in [one for one in attempts if one.end in readable]:
                if attempt.succeeded():
                    return
                if attempt.over:
                    attempts.remove(attempt)
    finally:
        for attempt in attempts:
            attempt.end.close()
    raise TimeoutError(f"no answer at port {port} within {timeout} s")


class _Attempt:
    """One request on its own connection; loopback connects and takes a small request at once."""

    def __init__(self, port: int, path: str) -> None:
        self.end = socket.socket()
        self.over = False
        with contextlib.suppress(OSError):
            self.end.connect(("127.0.0.1", port))
            self.end.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())

    def succeeded(self) -> bool:
        try:
            line = self.end.recv(64)
        except OSError:
            line = b""
        self.over = True
        self.end.close()
        return b" 200 " in line


@dataclass(slots=True)
class Client:
    """A kept-alive HTTP connection to a port or a Unix socket."""

    place: int | Path
    token: str
    end: socket.socket = field(init=False)
    left: bytes = b""

    def __post_init__(self) -> None:
        self.end = open_to(self.place)

    def send(self, path: str) -> None:
        """Send a request."""
        self.end.sendall(request(path, self.token))

    def get(self, path: str = "/api") -> int:
        """One request and its whole answer; the body's length. Raises `ConnectionError` unless it is a 200."""
        self.send(path)
        size = self.head()
        missing = size - len(self.left)
        self.left = self.left[size:]
        self.skip(max(0, missing))
        return size

    def head(self) -> int:
        """Read up to the body; its length. What came with the head waits in `left`."""
        while b"\r\n\r\n" not in self.left:
            piece = self.end.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            self.left += piece
        head, _, self.left = self.left.partition(b"\r\n\r\n")
        if b" 200 " not in head[:16]:
            raise ConnectionError(head.decode(errors="replace"))
        for line in head.lower().split(b"\r\n"):
            if line.startswith(b"content-length:"):
                return int(line[15:])
        raise ConnectionError("an answer without a length")

    def skip(self, size: int) -> None:
        """Read `size` bytes for nothing."""
        block = bytearray(1 << 20)
        while size > 0:
            got = self.end.recv_into(block, min(size, len(block)))
            if not got:
                raise ConnectionError("the body ended early")
            size -= got

    def close(self) -> None:
        """Close the connection."""
        self.end.close()


def open_to(place: int | Path) -> socket.socket:
    """A connected socket: a loopback port, or a Unix socket's path."""
    if isinstance(place, Path):
        end = socket.socket(socket.AF_UNIX)
        end.connect(str(place))
        return end
    end = socket.create_connection(("127.0.0.1", place))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


def request(path: str, token: str, *, keep: bool = True) -> bytes:
    """The bytes of a GET."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Authorization: token {token}"]
    return "\r\n".join([*lines, f"Connection: {'keep-alive' if keep else 'close'}", "", ""]).encode()


def first_byte(place: int | Path, token: str) -> float:
    """Seconds from opening a connection to the first byte of an answer on it."""
    start = time.perf_counter()
    with open_to(place) as end:
        end.sendall(request("/api", token, keep=False))
        if not end.recv(1):
            raise ConnectionError("closed without an answer")
        return time.perf_counter() - start


def free_port() -> int:
    """A loopback port that was free just now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
