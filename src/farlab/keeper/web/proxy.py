"""The local address: accepts the browser and gives each connection a stream.

Whose a connection is, is asked before it is listened to, where the system tells: those of others are closed at once.
Then the head of its first request is looked at: whom it is for (a page of another name must not reach the notebook
through a DNS trick), whether it is a one-time address, and whether its person goes to a page of the app, which gets
the session's login by itself. Later requests are looked at for the last alone: a browser keeps a connection for one
name and port, and what our person's own programs ask for is Jupyter's to judge.

Our own answers are 503 wherever JupyterLab itself may be asking, since it takes any other failing status for the end
of its kernel.
"""

from __future__ import annotations

import asyncio
import errno
import secrets
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol
from urllib.parse import quote

from .connection_owner import Address, Owners, Whose
from .http_head import Request, end_of_head, read, with_login, without_token
from .one_time import Passes

MOST_HEAD = 64 << 10
"""Bytes of a head that are read, as many as Jupyter's server does."""
MOST_STRANGE_HEAD = 16 << 10
"""The same where it is not known whose it is: many of them must not fill the memory."""
HEAD_TIMEOUT = 60.0
"""Seconds a connection may take to send its first request's head."""
OPEN_PATH = "/farlab/open/"
CROWDED_PAUSE = 1.0
"""Seconds without accepting where this process has as many descriptors as it may."""
_AT_ONCE = 64
_LOOK = 0.1
"""Seconds between two looks whether the session's login is known by now."""
_ABORT = struct.pack("ii", 1, 0)
"""struct linger: a closed connection leaves nothing in the kernel, whatever the other end does."""
_WHOM = "wrong host name for this address; use <code>http://127.0.0.1:{port}</code>"
_OVER = "this one-time address was already used; open the notebook from your terminal again"


class StreamOpener(Protocol):
    """What the relay needs of the keeper."""

    @property
    def name(self) -> str:
        """The session's own host name for a browser."""

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

    def token(self) -> str:
        """The session's secret; empty while the server is not there."""

    def base(self) -> str:
        """What every path on the server begins with: `/` or `/BASE/`."""

    def opens(self) -> str:
        """The path where a one-time address leads."""

    def met_stranger(self) -> None:
        """Is told of the first connection that was another user's."""


class Tells(Protocol):
    """What the relay needs to know of the connections' owners; see `Owners`."""

    are_known: bool

    def whose(self, theirs: Address, ours: Address) -> Whose: ...


def answer(status: str, body: str, *fields: str) -> bytes:
    """One whole HTTP answer that closes the connection."""
    content = body.encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "X-Frame-Options: DENY",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class Proxy:
    """Listens on one port of the loopback addresses from its making until `close`."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        joiner: StreamOpener,
        owners: Tells | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port: int = listeners[0].getsockname()[1]
        self._listeners, self._joiner, self._clock = listeners, joiner, clock
        self._owners = owners or Owners(listeners[0])
        self._passes = Passes(clock)
        self._loop = asyncio.get_running_loop()
        self._pages: dict[int, asyncio.TimerHandle] = {}
        self._open: set[_Arrival] = set()
        self._has_met_strangers = False
        for listener in listeners:
            listener.setblocking(False)
            self._begin(listener)

    def one_time_address(self) -> str:
        """An address that leads one browser, once and soon, into the session. Its host name is no other's: a browser
        would send it over an idle connection of the session's own name, which leads to the server."""
        name = f"{secrets.token_hex(4)}.{self._joiner.name}"
        return f"http://{name}:{self.port}{OPEN_PATH}{self._passes.new()}"

    def close(self) -> None:
        for listener in self._listeners:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener.fileno())
                listener.close()
        for arrival in list(self._open):
            arrival.close()

    # connections -----------------------------------------------------------------------------------------

    def _begin(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            ours = listener.getsockname()
            self._loop.add_reader(listener.fileno(), self._accept, listener, ours)

    def _accept(self, listener: socket.socket, ours: Address) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, theirs = listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # it would come again at once, for ever
                    self._loop.remove_reader(listener.fileno())
                    self._loop.call_later(CROWDED_PAUSE, self._begin, listener)
                return
            whose = self._owners.whose(theirs, ours)
            if whose is Whose.OURS:
                self._receive(sock)
            else:
                self._refuse(sock, whose)

    def _refuse(self, sock: socket.socket, whose: Whose) -> None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()
        if whose is Whose.ANOTHERS and not self._has_met_strangers:
            self._has_met_strangers = True
            self._joiner.met_stranger()

    def _receive(self, sock: socket.socket) -> None:
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # macOS: EINVAL where the browser has gone
        except OSError:
            sock.close()
            return
        most = MOST_HEAD if self._owners.are_known else MOST_STRANGE_HEAD
        arrival = _Arrival(self._loop, sock, most, partial(self._came, sock), self._open.discard)
        self._open.add(arrival)
        arrival.read()

    # requests --------------------------------------------------------------------------------------------

    def _came(self, sock: socket.socket, data: bytes, end: int) -> None:
        """A connection has sent its first head, which ends at `end`, or one that is too long: 0."""
        request = read(data[:end])
        name, port = self._joiner.name, self.port
        if not end:
            self._say(sock, answer("431 Request Header Fields Too Large", "too long"))
        elif request is None:
            self._say(sock, answer("400 Bad Request", "this is not an HTTP request"))
        elif request.is_below(name, port) and request.path.startswith(OPEN_PATH):
            self._say(sock, self._opened(request))
        elif not request.is_for(name, port):
            self._say(sock, answer("403 Forbidden", _WHOM.format(port=port)))
        elif self._has_right(request) and without_token(request.target) != request.target:
            self._say(sock, answer("302 Found", "", f"Location: {without_token(request.target)}"))  # not into histories
        elif self._has_right(request):
            self._hold(sock, data, request, self._clock())
        elif request.path.startswith(OPEN_PATH) and not self._has_pass(request):
            self._say(sock, answer("410 Gone", f"<p>{_OVER}</p>"))
        else:
            self._join(sock, data, request)

    def _opened(self, request: Request) -> bytes:
        """The answer to a one-time address: where the browser is let in by itself it goes to the app, else to a pass
        under the session's own name, whose cookie it needs."""
        if not self._joiner.token():
            return answer("503 Service Unavailable", "the session is not reachable now", "Retry-After: 2")
        if not self._passes.take(_word(request)):
            return answer("410 Gone", f"<p>{_OVER}</p>")
        path = self._joiner.opens() if self._owners.are_known else OPEN_PATH + self._passes.new()
        return answer("302 Found", "", f"Location: http://{self._joiner.name}:{self.port}{path}")

    def _has_right(self, request: Request) -> bool:
        """Whether a page of the app is opened by our person, who needs no other login."""
        is_entry = request.is_navigation and request.wants_app(self._joiner.base())
        return self._owners.are_known and is_entry and "authorization" not in request.fields

    def _has_pass(self, request: Request) -> bool:
        return request.path.startswith(OPEN_PATH) and self._passes.knows(_word(request))

    def _let_in(self, data: bytes, request: Request) -> bytes:
        """`data`, a head and what follows it, with the login where it is one that gets it."""
        if self._has_pass(request) and self._passes.take(_word(request)):
            target = self._by_login(self._joiner.opens())
        elif self._has_right(request):
            plain = without_token(request.target)
            target = plain if plain == request.target else self._by_login(plain)
        else:
            return data
        return with_login(data, target, self._joiner.token())

    def _by_login(self, path: str) -> str:
        """Where Jupyter sets its cookie and leads to `path`, so that this stands in the browser's history."""
        return f"{self._joiner.base()}login?next={quote(path)}"

    def _hold(self, sock: socket.socket, data: bytes, request: Request, since: float) -> None:
        """Keep a page that gets the login until there is one, as long as it has patience."""
        page = None if self._joiner.token() else self._joiner.page()
        if page is None:
            self._join(sock, data, request)
        elif self._clock() - since >= self._joiner.patience():
            self._say(sock, answer("503 Service Unavailable", page, "Retry-After: 2"))
        else:
            self._loop.call_later(_LOOK, self._hold, sock, data, request, since)

    def _join(self, sock: socket.socket, data: bytes, request: Request) -> None:
        stream = self._joiner.join(sock, self._let_in(data, request) if self._joiner.token() else data)
        if stream is None:
            self._say(sock, answer("503 Service Unavailable", "too many connections"))
        elif request.is_page:
            self._expect(stream)

    def asked_again(self, stream: int, data: bytes) -> bytes:
        """A connection that has been answered sends more: a browser that keeps its connections may want a page.

        Returns what to send. Nothing but a whole head that stands alone is ever changed.
        """
        if stream in self._pages:
            self._pages.pop(stream).cancel()
        request = read(data) if data.startswith(b"GET ") and end_of_head(data) == len(data) else None
        if request is None or not request.is_for(self._joiner.name, self.port):
            return data
        if request.is_page:
            self._expect(stream)
        return self._let_in(data, request)

    def _expect(self, stream: int) -> None:
        self._pages[stream] = self._loop.call_later(self._joiner.patience(), self._waited, stream)

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
        most: int,
        came: Callable[[bytes, int], None],
        gone: Callable[[_Arrival], None],
    ) -> None:
        self._loop, self._sock, self._most, self._came, self._gone = loop, sock, most, came, gone
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
            data = self._sock.recv(self._most)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        before, self._head = len(self._head), self._head + data
        end = end_of_head(self._head, before)
        if not data:
            self.close()
        elif end or len(self._head) > self._most:
            self._release()
            self._came(self._head, end if end <= self._most else 0)


def _word(request: Request) -> str:
    return request.path[len(OPEN_PATH) :]
