"""One keeper that a session serves: its mux, and the streams from it to the server. Python 3.6."""

import time
from collections import deque

from farlab.mux import frames
from farlab.mux.driver import MuxDriver
from farlab.mux.mux import Event, Mux
from farlab.protocol.mux_messages import BufferInfo, Full, SessionMessage

MYPY = False
if MYPY:
    import socket
    from collections.abc import Callable
    from typing import Any

    from farlab.host.pending_link import PendingLink
    from farlab.host.reactor import Reactor
    from farlab.host.server_connector import ServerConnector
    from farlab.protocol.mux_messages import Keep, SessionInfo
    from farlab.protocol.timing import Timing

BUFFER_LIMIT = 64 << 20
"""Bytes buffered for a laptop that is away, unless it asks for more or less."""
BUFFER_LIMITS = range(1 << 20, 1 << 40)
RESUME_TIMEOUT = 72 * 3600.0
"""Seconds that a mux without a link is kept, unless the laptop asks for more or less."""
MIN_STALL = 1.0
"""Seconds for which a buffer was full that are worth telling."""
RETRY = 0.02


class Client(object):
    """`on_message(client, message)` gets the keeper's messages; `describe()` is what it is told of the session."""

    def __init__(
        self,
        mux_id: str,
        loop: "Reactor",
        timing: "Timing",
        connector: "ServerConnector",
        describe: "Callable[[], SessionInfo]",
        on_message: "Callable[[Client, dict[str, Any]], object]",
    ) -> None:
        self.mux = Mux(mux_id, False, BUFFER_LIMIT)
        self.laptop = ""
        self.disconnected_at = time.monotonic()  # type: float | None # when the last link was lost
        self._loop, self._timing, self._describe, self._on_message = loop, timing, describe, on_message
        self._driver = MuxDriver(loop, self.mux, self._on_event, self._on_lost)
        self._streams = StreamConnector(loop, self._driver, connector)
        self._resume_timeout = RESUME_TIMEOUT
        self._stall = None  # type: tuple[float, float] | None # the last time the buffer was full: when, and how long
        self._agent: "socket.socket | None" = None  # of the present link

    def attach(self, hello: "dict[str, object]", rest: bytes, link: "PendingLink") -> None:
        """A new link has come, in place of the one before, whose agent may end."""
        blocked_since = self._driver.blocked_since  # before there is room again
        token = self.mux.accept(hello, link.version)  # or it raises, and nothing has changed
        self._record_stall(blocked_since, time.monotonic())
        self._close_agent()
        self._agent, self.disconnected_at = link.agent, None
        self._driver.attach_link(token, link.pipes, rest)
        self.send_info()

    def send_info(self) -> None:
        """Tell the keeper what the session is. With each link it hears so anew."""
        if self.disconnected_at is None:
            now = time.monotonic()
            full = None if self._stall is None else Full(**{"ago": now - self._stall[0], "for": self._stall[1]})
            buffer = BufferInfo(limit=self.mux.limit, seconds=self._resume_timeout, full=full)
            self.mux.send_message(SessionMessage(session=self._describe(), line=buffer))
            self._driver.pump()

    def check(self, now: float) -> bool:
        """Whether the mux is still worth keeping."""
        if self.disconnected_at is not None:
            return now - self.disconnected_at < self._resume_timeout
        silence = now - self._driver.traffic.heard_at
        if silence > self._timing.silence:
            self._driver.drop_link()
            self._on_lost("silence")
        elif silence > self._timing.away:
            self.mux.mark_stalled()
            self._driver.pump()  # it may buffer more now
        return True

    def keep(self, limits: "Keep") -> None:
        """Buffer as much as this laptop wants while it is away, and for as long."""
        if limits.bytes:
            self.mux.limit = min(max(BUFFER_LIMITS[0], limits.bytes), BUFFER_LIMITS[-1])
        self._resume_timeout = limits.seconds or self._resume_timeout
        self.send_info()

    def _record_stall(self, blocked_since: "float | None", now: float) -> None:
        """The laptop is back: note whether its buffer was full meanwhile, so that kernels' output waited."""
        was_lost = self.disconnected_at is not None
        away = self._driver.traffic.heard_at if self.disconnected_at is None else self.disconnected_at
        since = now if blocked_since is None else max(away, now - (time.time() - blocked_since))
        is_long = now - since > (MIN_STALL if was_lost else self._timing.away)
        self._stall = (since, now - since) if is_long else None

    def close(self) -> None:
        """End the link and all streams."""
        self._driver.close()
        self._close_agent()

    def _on_event(self, event: "Event") -> None:
        if event.kind == frames.OPEN:
            self._streams.add(event.stream, event.data)
        elif event.kind == frames.MESSAGE:
            self._on_message(self, event.data)

    def _on_lost(self, reason: str) -> None:
        self.disconnected_at = time.monotonic()
        self._close_agent()

    def _close_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None


class StreamConnector(object):
    """Connects streams to the server, first come, first served."""

    def __init__(self, loop: "Reactor", driver: MuxDriver, connector: "ServerConnector") -> None:
        self._loop, self._driver, self._connector = loop, driver, connector
        self._waiting = deque()  # type: deque[tuple[int, str]] # streams, each with its destination
        self._is_due = False

    def add(self, stream: int, destination: str) -> None:
        """A stream was opened. What came with it must be read first: a RESET may follow at once."""
        self._driver.reserve(stream)
        self._waiting.append((stream, destination))
        self._connect_in(0)

    def _connect_in(self, seconds: float) -> None:
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(seconds, self._connect)

    def _connect(self) -> None:
        self._is_due = False
        while self._waiting:
            stream, destination = self._waiting[0]
            if self._driver.is_reserved(stream):
                sock = self._connector.connect(destination)
                if sock is not None:
                    self._driver.connect_socket(stream, sock)
                elif destination == "" and self._connector.may_succeed_later:
                    self._connect_in(RETRY)
                    break
                else:
                    self._driver.abort(stream)
            self._waiting.popleft()
        self._driver.pump()
