"""The local address: accepts the browser and gives each connection a stream.

The head of a connection's first request is looked at: whom it is for (a page of another name must not reach the
notebook through a DNS trick), whether it is a one-time address of `farlab open`, and whether a person waits for a
page; later requests for the last alone. Our own answers are 503 only, since JupyterLab takes any other failing
status for the end of its kernel, and the redirect of a one-time address.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from . import owner

MOST_HEAD = 64 << 10
HEAD_TIMEOUT = 60.0
"""Seconds a connection may take to send its first request's head."""
OPEN_TIMEOUT = 120.0
"""Seconds a one-time address is good for."""
OPEN_PATH = "/farlab/open/"
CROWDED_PAUSE = 1.0
"""Seconds without accepting where this process has as many descriptors as it may."""


class Joiner(Protocol):
    """What the relay needs of the keeper."""

    def join(self, sock: socket.socket, head: bytes) -> int | None:
        """Give a connection a stream; None where there are too many."""

    def waits(self, stream: int) -> bool:
        """Whether a stream's connection has got nothing since it asked last."""

    def take_back(self, stream: int) -> socket.socket | None:
        """Give up a stream that waits; its connection."""

    def patience(self) -> float:
        """Seconds a page may wait before the person is told what it waits for."""

    def page(self) -> str | None:
        """What to tell a person who waits; None while there is nothing to wait for."""

    def landing(self) -> str | None:
        """The address where a one-time address leads, with the token; None while the server is not there."""


class Request:
    """The head of a request, as far as it concerns us."""

    def __init__(self, head: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ")
        self.method, self.path = (words[0], words[1]) if len(words) == 3 else ("", "")
        self.fields: dict[str, str] = {}
        for line in lines[1:]:
            key, colon, value = line.partition(":")
            if colon:
                self.fields.setdefault(key.strip().lower(), value.strip())

    @property
    def is_page(self) -> bool:
        """Whether a person looks at the answer: a navigation, not an API call or a handshake."""
        return (
            self.method == "GET"
            and "text/html" in self.fields.get("accept", "")
            and "upgrade" not in self.fields
            and self.fields.get("sec-fetch-dest", "document") in ("document", "iframe")
        )

    @property
    def is_local(self) -> bool:
        """Whether it asks for this machine by a name that no DNS server can give to another page."""
        host = self.fields.get("host", "").rsplit("@")[-1]
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        name = name.lower().rstrip(".")
        if name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def answer(status: str, body: str, *fields: str) -> bytes:
    """One whole HTTP answer that closes the connection."""
    content = body.encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Connection: close",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Relay:
    """Listens on one loopback port from its making until `close`."""

    def __init__(self, listener: socket.socket, joiner: Joiner, clock: Callable[[], float] = time.monotonic) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener, self._joiner, self._clock = listener, joiner, clock
        self._loop = asyncio.get_running_loop()
        self._once: dict[str, float] = {}
        self._pages: dict[int, asyncio.TimerHandle] = {}
        self._open: set[_Arrival] = set()
        listener.setblocking(False)
        self._begin()

    def one_time_path(self) -> str:
        """A path that leads one browser, once and soon, into the session."""
        now = self._clock()
        self._once = {word: until for word, until in self._once.items() if until > now}
        word = secrets.token_urlsafe(24)
        self._once[word] = now + OPEN_TIMEOUT
        return OPEN_PATH + word

    def close(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener.fileno())
            self._listener.close()
        for arrival in list(self._open):
            arrival.close()

    def _begin(self) -> None:
        if self._listener.fileno() >= 0:
            self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(64):
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # it would come again at once, for ever
                    self._loop.remove_reader(self._listener.fileno())
                    self._loop.call_later(CROWDED_PAUSE, self._begin)
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            arrival = _Arrival(self._loop, sock, self._came, self._open.discard)
            self._open.add(arrival)
            arrival.read()

    def _came(self, sock: socket.socket, head: bytes) -> None:
        """A connection has sent its first head."""
        request = Request(head)
        if not request.is_local:
            self._say(sock, answer("503 Service Unavailable", "this address is for this machine only"))
        elif request.path.startswith(OPEN_PATH):
            self._say(sock, self._redirect(request, may_enter=owner.may_be_ours(sock)))
        else:
            self._join(sock, head, request)

    def _join(self, sock: socket.socket, head: bytes, request: Request) -> None:
        stream = self._joiner.join(sock, head)
        if stream is None:
            self._say(sock, answer("503 Service Unavailable", "too many connections"))
        elif request.is_page:
            self._expect(stream)

    def asked_again(self, stream: int, data: bytes) -> None:
        """A connection that has been answered sends more: a browser that keeps its connections may want a page."""
        if stream in self._pages:
            self._pages.pop(stream).cancel()
        if data.startswith(b"GET ") and data.endswith(b"\r\n\r\n"):
            request = Request(data)
            if request.is_page and request.is_local:
                self._expect(stream)

    def _expect(self, stream: int) -> None:
        self._pages[stream] = self._loop.call_later(self._joiner.patience(), self._waited, stream)

    def _redirect(self, request: Request, *, may_enter: bool) -> bytes:
        """Others on this machine see the address in the browser's command line, and may be faster than it."""
        landing = self._joiner.landing()
        until = self._once.pop(request.path[len(OPEN_PATH) :], 0.0) if may_enter and landing else 0.0
        if until < self._clock() or landing is None:
            text = "this address worked once and does no more: have the notebook opened once more"
            return answer("503 Service Unavailable", f"<p>{text}</p>")
        return answer("302 Found", "", f"Location: {landing}")

    def _waited(self, stream: int) -> None:
        """A page has waited: as long as nothing of it has come, say what is going on instead."""
        self._pages.pop(stream, None)
        page = self._joiner.page()
        sock = self._joiner.take_back(stream) if page is not None else None
        if page is None and self._joiner.waits(stream):
            self._expect(stream)
        elif page is not None and sock is not None:
            self._say(sock, answer("503 Service Unavailable", page, "Retry-After: 2"))

    def _say(self, sock: socket.socket, content: bytes) -> None:
        with suppress(OSError):
            sock.send(content)  # small: a new connection's buffer takes it whole
            sock.shutdown(socket.SHUT_WR)
        sock.close()


class _Arrival:
    """A connection that has not said yet what it wants."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        came: Callable[[socket.socket, bytes], None],
        gone: Callable[[_Arrival], None],
    ) -> None:
        self._loop, self._sock, self._came, self._gone = loop, sock, came, gone
        self._head = b""
        self._timer = loop.call_later(HEAD_TIMEOUT, self.close)
        loop.add_reader(sock.fileno(), self.read)

    def close(self) -> None:
        self._release()
        self._sock.close()

    def _release(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._gone(self)

    def read(self) -> None:
        """Take what has come."""
        try:
            data = self._sock.recv(MOST_HEAD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._head += data
        if b"\r\n\r\n" in self._head:
            self._release()
            self._came(self._sock, self._head)
        elif not data or len(self._head) > MOST_HEAD:
            self.close()
