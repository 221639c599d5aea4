"""The keeper's end of its private socket: who speaks to it, line of JSON by line of JSON."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..protocol.peer import is_same_user

Words = dict[str, Any]
MAX_LINE = 1 << 20
"""Bytes of one line."""
MAX_UNSENT = 1 << 20
"""Bytes that may wait for a client that is slow, or stopped."""
CLOSE_TIMEOUT = 2.0
"""Seconds that a client may take to read the rest when the keeper closes the connection."""


class ControlConnection:
    """One connection, at the keeper's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> Words | None:
        """The next words; None at the end or for what nobody of ours says."""
        try:
            line = await self._reader.readline()
            words = json.loads(line) if line else None
        except (OSError, ValueError, RecursionError):
            return None
        return words if isinstance(words, dict) else None

    def send(self, **words: object) -> None:
        """Send one line; nothing happens if the other side has gone. Whoever does not read what it is told is left."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self._writer.transport.abort()
        else:
            self._writer.write(json.dumps(words).encode() + b"\n")

    async def close(self) -> None:
        """Send what is left, then close. A client that does not read it in time loses it."""
        with suppress(OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                self._writer.close()
                await self._writer.wait_closed()
        self._writer.transport.abort()


async def serve(listener: socket.socket, serve_peer: Callable[[ControlConnection], Awaitable[None]]) -> asyncio.Server:
    """Run `serve_peer` for each connection of this user."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = ControlConnection(reader, writer)
        try:
            if is_same_user(writer.get_extra_info("socket")):
                await serve_peer(peer)
        except asyncio.CancelledError:
            pass  # the loop ends: asyncio 3.11 takes a cancelled task of a server for an error, and prints it
        finally:
            await peer.close()

    return await asyncio.start_unix_server(connected, sock=listener, limit=MAX_LINE)
