"""The keeper's end of the session's mux, and the link that carries it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from typing import Any

from ..model import State
from ..mux import frames
from ..mux.driver import MuxDriver
from ..mux.mux import Event, Mux
from ..protocol.agent import Ensure, Joined
from ..transport.handshake import handshake
from ..transport.link import Link
from .buffers import BufferLimits, RemoteBuffer

EARLY_BYTES = 8192
"""Bytes of the mux that travel with the request, before the agent has answered."""
BACKLOG_THRESHOLD = 16 << 10
"""Bytes not acknowledged that may hold up a heartbeat on a slow network."""


class SessionMux:
    """`on_event` gets the mux's events, `on_lost(link, reason)` is called when the link has broken.

    `on_next_request(stream, data)` is called when a browser sends the next request on a connection that has been
    answered; it returns what is sent.
    """

    def __init__(
        self,
        *,
        on_event: Callable[[Event], None],
        on_lost: Callable[[Link | None, str], None],
        on_next_request: Callable[[int, bytes], bytes],
    ) -> None:
        self._on_event, self._on_lost, self._on_next_request = on_event, on_lost, on_next_request
        self.limits = BufferLimits()
        self._link: Link | None = None
        self._begin()

    def _begin(self) -> None:
        self._mux = Mux(secrets.token_hex(16), True, self.limits.laptop)
        self._driver = MuxDriver(
            asyncio.get_running_loop(), self._mux, self._on_event, self._lost, self._on_next_request
        )

    def _lost(self, reason: str) -> None:
        link, self._link = self._link, None
        self._on_lost(link, reason)

    # links -----------------------------------------------------------------------------------------------

    async def handshake(
        self, link: Link, request: Ensure, on_progress: Callable[[str, str], None], *, is_likely_alive: bool
    ) -> tuple[int, Joined]:
        """Have the agent join the link. Returns a token for `carry`, and what the agent says of the session."""
        # beside a silent link the mux goes on over that one until the agent has joined the new one
        token = None if self._link else self._mux.attach()
        early = b"" if token is None else b"".join(self._mux.data_to_send(token, EARLY_BYTES))
        try:
            joined = await handshake(link, request, early, on_progress, is_likely_alive=is_likely_alive)
        except BaseException:
            if token is not None:
                self._mux.detach(token)
            raise
        if token is None or joined.mux != frames.VERSION:
            token = self._mux.attach(joined.mux)
        return token, joined

    def carry(self, link: Link, token: int) -> Link | None:
        """That link carries the mux from here on. Returns the one before."""
        old, self._link = self._link, link
        self._driver.attach_link(token, *link.release())
        return old

    def drop(self) -> Link | None:
        """No link carries it any more. Returns the one that did."""
        self._driver.drop_link()
        link, self._link = self._link, None
        return link

    def replace(self) -> None:
        """Begin another mux: every connection begins anew."""
        self._driver.close()
        self._begin()

    def close(self) -> Link | None:
        """Let go of everything. Returns the link that carried it."""
        self._driver.close()
        return self.drop()

    # what is sent ----------------------------------------------------------------------------------------

    def set_limits(self, limits: BufferLimits) -> None:
        """Other limits hold at once, while a link stands too."""
        if limits != self.limits:
            self.limits, self._mux.limit = limits, limits.laptop
            if self._mux.epoch:  # else it is told with the first message
                self._mux.send_message(limits.message())
            self._driver.pump()

    def send(self, message: dict[str, object]) -> None:
        """Send the anchor a message."""
        self._mux.send_message(message)
        self._driver.pump()

    def ping(self, mark: bytes) -> None:
        """Ask the other end for a sign of life."""
        self._mux.send_ping(mark)
        self._driver.pump()

    def open_stream(self, sock: socket.socket, head: bytes, destination: str = "") -> int:
        """Give a connection that begins with `head` a stream to the server, or to what is named; returns its number.

        `ValueError` where there are too many.
        """
        stream = self._mux.open(destination, head)
        self._driver.connect_socket(stream, sock)
        self._driver.pump()
        return stream

    def is_unanswered(self, stream: int) -> bool:
        """Whether nothing has come for that stream yet."""
        return self._driver.is_unanswered(stream)

    def take_back(self, stream: int) -> socket.socket | None:
        """Give a connection back that has not been answered; its stream ends."""
        taken = self._driver.detach_socket(stream)
        return taken if isinstance(taken, socket.socket) else None

    # what is known ---------------------------------------------------------------------------------------

    @property
    def is_linked(self) -> bool:
        """Whether a link carries it."""
        return self._link is not None

    @property
    def bytes_heard(self) -> int:
        """Bytes that have come from the other end, over all links."""
        return self._driver.traffic.frame_bytes

    @property
    def is_backlogged(self) -> bool:
        """Whether so much is on its way to the host that an answer may have to wait behind it."""
        return self._mux.buffered > BACKLOG_THRESHOLD

    def facts(self, state: State, remote: RemoteBuffer) -> dict[str, Any]:
        """What `SessionStatus` says of the mux and the buffers at both ends, by its names."""
        return {
            "streams": len(self._mux.streams),
            "bytes_in": self._driver.traffic.bytes_in,
            "bytes_out": self._driver.traffic.bytes_out,
            "bytes_held": self._mux.buffered,
            "bytes_limit": self.limits.laptop,
            # a socket that waits while all is well waits for a network that is slower than it: nothing to tell
            "full_since": None if state is State.UP else self._driver.blocked_since,
            "host_bytes_limit": remote.limit,
            "host_full_since": remote.full_since,
            "host_full_seconds": remote.full_seconds,
        }
