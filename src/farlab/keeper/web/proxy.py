"""The local address: accepts a browser's connections and gives each a stream to the server.

Before it reads anything it asks the system which user connected, and closes the connections of others. Then it reads
the head of the first request: whom it is for (a page of another name must not reach the notebook through DNS
rebinding), whether it is a one-time address, and whether its user navigates to a page of the app, which gets the
session's login. Later requests are read for that last question alone: a browser keeps a connection for one name and
port, and whether to answer our user's own programs is for Jupyter to decide.

Our own responses are 503 wherever JupyterLab itself may be asking: it takes any other failing status for the end of its
kernel.
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

from .http_head import Request, can_be_head, end_of_head, read, with_login, without_token
from .one_time import OneTimeWords
from .peer_uid import Address, PeerIdentifier, PeerUser
from .responses import response

MAX_HEAD = 64 << 10
"""Bytes of a head that are read, as many as Jupyter's server does."""
MAX_UNIDENTIFIED_HEAD = 16 << 10
"""The same where the peer's user is unknown: many of them must not fill the memory."""
HEAD_TIMEOUT = 60.0
"""Seconds that a connection may take to send its first request's head."""
OPEN_PATH = "/farlab/open/"
EMFILE_BACKOFF = 1.0
"""Seconds without accepting while this process has as many descriptors as it may."""
_ACCEPT_BATCH = 64
_TOKEN_POLL = 0.1
"""Seconds between two looks whether the session's token is known by now."""
_ABORT = struct.pack("ii", 1, 0)
"""struct linger: a closed connection leaves nothing in the kernel, whatever the other end does."""
_WRONG_HOST = "wrong host name for this address; use <code>http://127.0.0.1:{port}</code>"
_USED = "<p>this one-time address was already used; open the notebook from your terminal again</p>"


class StreamOpener(Protocol):
    """What the proxy needs of the keeper."""

    def open_stream(self, sock: socket.socket, head: bytes) -> int:
        """Give a connection that begins with `head` a stream. Raises ValueError where there are too many."""

    def is_unanswered(self, stream: int) -> bool:
        """Whether a stream's connection has got nothing since its last request."""

    def take_back(self, stream: int) -> socket.socket | None:
        """Give up a stream that is unanswered; its connection."""


class Site(Protocol):
    """What the proxy needs to know of the session; see `LocalSite`."""

    name: str

    @property
    def token(self) -> str: ...
    @property
    def base_path(self) -> str: ...
    @property
    def page_delay(self) -> float: ...
    def status_page(self) -> str | None: ...
    def sign_in_page(self) -> str: ...
    def log_refused_user(self) -> None: ...


class Proxy:
    """Listens on one port of the loopback addresses until `close`."""

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        streams: StreamOpener,
        site: Site,
        peers: PeerIdentifier | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.port: int = listeners[0].getsockname()[1]
        self._listeners, self._streams, self._site, self._clock = listeners, streams, site, clock
        self._peers = peers or PeerIdentifier(listeners[0])
        self._one_time = OneTimeWords(clock)
        self._loop = asyncio.get_running_loop()
        self._page_timers: dict[int, asyncio.TimerHandle] = {}
        self._pending: set[_PendingConnection] = set()
        self._has_refused_others = False
        for listener in listeners:
            listener.setblocking(False)
            self._start_accepting(listener)

    def one_time_address(self, path: str) -> str:
        """An address that opens `path` in the session, logged in, for one browser, once and soon.

        Its host name is no other's: a browser would send it over an idle connection of the session's own name, which
        leads to the server.
        """
        name = f"{secrets.token_hex(4)}.{self._site.name}"
        return f"http://{name}:{self.port}{OPEN_PATH}{self._one_time.new(path)}"

    def close(self) -> None:
        for listener in self._listeners:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener.fileno())
                listener.close()
        for connection in list(self._pending):
            connection.close()

    # connections -----------------------------------------------------------------------------------------

    def _start_accepting(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            local = listener.getsockname()
            self._loop.add_reader(listener.fileno(), self._accept, listener, local)

    def _accept(self, listener: socket.socket, local: Address) -> None:
        for _ in range(_ACCEPT_BATCH):
            try:
                sock, peer = listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):  # it would come again at once, for ever
                    self._loop.remove_reader(listener.fileno())
                    self._loop.call_later(EMFILE_BACKOFF, self._start_accepting, listener)
                return
            user = self._peers.identify(peer, local)
            if user is PeerUser.US:
                self._read_head(sock)
            else:
                self._refuse(sock, user)

    def _refuse(self, sock: socket.socket, user: PeerUser) -> None:
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()
        if user is PeerUser.OTHER and not self._has_refused_others:
            self._has_refused_others = True
            self._site.log_refused_user()

    def _read_head(self, sock: socket.socket) -> None:
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # macOS: EINVAL where the browser has gone
        except OSError:
            sock.close()
            return
        max_head = MAX_HEAD if self._peers.can_identify else MAX_UNIDENTIFIED_HEAD
        on_head, on_end = partial(self._on_head, sock), self._pending.discard
        connection = _PendingConnection(self._loop, sock, max_head, on_head, on_end)
        self._pending.add(connection)
        connection.read()

    # requests --------------------------------------------------------------------------------------------

    def _on_head(self, sock: socket.socket, data: bytes, end: int) -> None:
        """A connection has sent its first head, which ends at `end`, or one that is too long: 0."""
        request = read(data[:end])
        name, port = self._site.name, self.port
        if not end:
            self._respond(sock, response("431 Request Header Fields Too Large", "too long"))
        elif request is None:
            self._respond(sock, response("400 Bad Request", "this is not an HTTP request"))
        elif request.is_below(name, port) and request.path.startswith(OPEN_PATH):
            self._respond(sock, self._open_once(request))
        elif not request.is_for(name, port):
            self._respond(sock, response("403 Forbidden", _WRONG_HOST.format(port=port)))
        elif self._gets_login(request) and without_token(request.target) != request.target:
            target = without_token(request.target)  # tokens do not belong into histories
            self._respond(sock, response("302 Found", "", f"Location: {target}"))
        elif self._gets_login(request):
            self._await_token(sock, data, request, self._clock())
        elif request.path.startswith(OPEN_PATH) and not self._has_one_time_word(request):
            self._respond(sock, response("410 Gone", _USED))
        elif self._needs_sign_in(request):
            self._respond(sock, response("403 Forbidden", self._site.sign_in_page()))
        else:
            self._forward(sock, data, request)

    def _open_once(self, request: Request) -> bytes:
        """The response to a one-time address.

        A browser that gets the login by itself is sent to the app, any other to another one-time path under the
        session's own name, whose cookie it needs.
        """
        if not self._site.token:
            return response("503 Service Unavailable", "the session is not reachable now", "Retry-After: 2")
        path = self._one_time.use(_word(request))
        if path is None:
            return response("410 Gone", _USED)
        location = path if self._peers.can_identify else OPEN_PATH + self._one_time.new(path)
        return response("302 Found", "", f"Location: http://{self._site.name}:{self.port}{location}")

    def _gets_login(self, request: Request) -> bool:
        """Whether our user navigates to a page of the app, which needs no other login."""
        is_entry = request.is_navigation and request.wants_app(self._site.base_path)
        return self._peers.can_identify and is_entry and "authorization" not in request.fields

    def _needs_sign_in(self, request: Request) -> bool:
        """Whether Jupyter would ask for a token, and say how to find one: nothing of that is true here."""
        is_login_page = request.is_page and request.path == f"{self._site.base_path}login"
        has_token = "authorization" in request.fields or without_token(request.target) != request.target
        return is_login_page and not has_token and not self._gets_login(request)

    def _has_one_time_word(self, request: Request) -> bool:
        return request.path.startswith(OPEN_PATH) and self._one_time.is_valid(_word(request))

    def _with_login(self, data: bytes, request: Request) -> bytes:
        """`data`, a head and what follows it, with the session's login where the request gets it."""
        if self._has_one_time_word(request):
            target = self._login_path(self._one_time.use(_word(request)) or "")
        elif self._gets_login(request):
            plain = without_token(request.target)
            target = plain if plain == request.target else self._login_path(plain)
        else:
            return data
        return with_login(data, target, self._site.token)

    def _login_path(self, path: str) -> str:
        """Where Jupyter sets its cookie and redirects to `path`, so that this stands in the browser's history."""
        return f"{self._site.base_path}login?next={quote(path)}"

    def _await_token(self, sock: socket.socket, data: bytes, request: Request, since: float) -> None:
        """Forward a page that gets the login once there is one; after the page's delay show the status page."""
        page = None if self._site.token else self._site.status_page()
        if page is None:
            self._forward(sock, data, request)
        elif self._clock() - since >= self._site.page_delay:
            self._respond(sock, response("503 Service Unavailable", page, "Retry-After: 2"))
        else:
            self._loop.call_later(_TOKEN_POLL, self._await_token, sock, data, request, since)

    def _forward(self, sock: socket.socket, data: bytes, request: Request) -> None:
        head = self._with_login(data, request) if self._site.token else data
        try:
            stream = self._streams.open_stream(sock, head)
        except ValueError:
            self._respond(sock, response("503 Service Unavailable", "too many connections"))
            return
        if request.is_page:
            self._arm_status_page(stream)

    def on_next_request(self, stream: int, data: bytes) -> bytes:
        """A connection that has been answered sends more: a browser that keeps its connections may want a page.

        Returns what to send. It changes nothing but a whole head that stands alone.
        """
        if stream in self._page_timers:
            self._page_timers.pop(stream).cancel()
        request = read(data) if data.startswith(b"GET ") and end_of_head(data) == len(data) else None
        if request is None or not request.is_for(self._site.name, self.port):
            return data
        if self._needs_sign_in(request):  # where Jupyter has just redirected it to
            self._loop.call_soon(self._ask_to_sign_in, stream)
            return b""
        if request.is_page:
            self._arm_status_page(stream)
        return self._with_login(data, request)

    def _ask_to_sign_in(self, stream: int) -> None:
        sock = self._streams.take_back(stream)
        if sock is not None:
            self._respond(sock, response("403 Forbidden", self._site.sign_in_page()))

    def _arm_status_page(self, stream: int) -> None:
        self._page_timers[stream] = self._loop.call_later(self._site.page_delay, self._on_page_timeout, stream)

    def _on_page_timeout(self, stream: int) -> None:
        """A page has waited: as long as nothing of it has come, show the status page instead."""
        self._page_timers.pop(stream, None)
        page = self._site.status_page()
        sock = self._streams.take_back(stream) if page is not None else None
        if page is None and self._streams.is_unanswered(stream):
            self._arm_status_page(stream)
        elif page is not None and sock is not None:
            self._respond(sock, response("503 Service Unavailable", page, "Retry-After: 2"))

    def _respond(self, sock: socket.socket, content: bytes) -> None:
        with suppress(OSError):
            sock.send(content)  # small: a new connection's buffer takes it whole
            sock.shutdown(socket.SHUT_WR)
        sock.close()


class _PendingConnection:
    """A connection whose first head has not come yet.

    `on_head(data, end)` is called with what was read, in which the head ends at `end`, 0 where it is too long.
    `on_end(self)` is called when this no longer reads the connection.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        max_head: int,
        on_head: Callable[[bytes, int], None],
        on_end: Callable[[_PendingConnection], None],
    ) -> None:
        self._loop, self._sock, self._max_head, self._on_head, self._on_end = loop, sock, max_head, on_head, on_end
        self._data = b""
        self._timer = loop.call_later(HEAD_TIMEOUT, self.close)
        loop.add_reader(sock.fileno(), self.read)

    def close(self) -> None:
        self._release()
        self._sock.close()

    def _release(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())
        self._on_end(self)

    def read(self) -> None:
        """Read what has come."""
        try:
            data = self._sock.recv(self._max_head)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        before, self._data = len(self._data), self._data + data
        end = end_of_head(self._data, before)
        if not data:
            self.close()
        elif end or len(self._data) > self._max_head:
            self._release()
            self._on_head(self._data, end if end <= self._max_head else 0)
        elif not can_be_head(self._data):
            self._release()
            self._on_head(self._data, len(self._data))


def _word(request: Request) -> str:
    return request.path[len(OPEN_PATH) :]
