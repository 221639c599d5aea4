"""One request through all of it: the mux, the anchor, the server. Up is what has answered it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

PROBE_REQUEST = b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class ServerProbe:
    """Calls `on_answer` when an HTTP server answers. One request at a time."""

    def __init__(self, open_stream: Callable[[socket.socket, bytes], int], on_answer: Callable[[], None]) -> None:
        self._open_stream, self._on_answer = open_stream, on_answer
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Send the request, unless one is on its way."""
        if self._task is None:
            ours, theirs = socket.socketpair()
            self._open_stream(theirs, PROBE_REQUEST)
            self._task = asyncio.get_running_loop().create_task(self._wait(ours))

    def stop(self) -> None:
        """Wait no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _wait(self, sock: socket.socket) -> None:
        is_answered = await has_answered(sock)
        self._task = None
        if is_answered:
            self._on_answer()


async def has_answered(sock: socket.socket) -> bool:
    """Whether an HTTP server answers on this connection, which gets closed. Waits for as long as it stays open."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        return (await asyncio.get_running_loop().sock_recv(sock, 64)).startswith(b"HTTP/")
    return False
