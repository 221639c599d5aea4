"""The keeper's end of its control socket: a client sends and receives lines of JSON."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from ..protocol import json_lines
from ..protocol.peer import is_same_user

Words = dict[str, Any]
MAX_LINE = 8 << 20
"""Bytes of one line, which may have an environment, each character of it as six."""
MAX_UNSENT = 1 << 20
"""Bytes that may wait for a client that is slow, or stopped."""
CLOSE_TIMEOUT = 2.0
"""Seconds that a client may take to read the rest when the keeper closes the connection."""


class ControlConnection:
    """The connection of one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def receive(self) -> Words | None:
        """The next message; None at the end, and for anything else."""
        try:
            return json_lines.decoded(await self._reader.readline())
        except (OSError, ValueError):  # the line is too long, or an InvalidMessage
            return None

    def send(self, **words: object) -> None:
        """Send one line. Does nothing where the client has gone, and drops one that does not read what it is sent."""
        if self._writer.is_closing():
            return
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self._writer.transport.abort()
        else:
            self._writer.write(json_lines.encoded(words))

    async def drain(self) -> None:
        """Wait until a client that is slow has room for more."""
        with suppress(OSError):
            await self._writer.drain()

    async def close(self) -> None:
        """Send what is left, then close. A client that does not read it in time loses it."""
        with suppress(OSError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                self._writer.close()
                await self._writer.wait_closed()
        self._writer.transport.abort()


async def serve(listener: socket.socket, handle: Callable[[ControlConnection], Awaitable[None]]) -> asyncio.Server:
    """Run `handle` for each connection of this user."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = ControlConnection(reader, writer)
        with suppress(asyncio.CancelledError):  # the loop ends: asyncio 3.11 prints a cancelled task of a server
            try:
                if is_same_user(writer.get_extra_info("socket")):
                    await handle(client)
            finally:
                await client.close()

    return await asyncio.start_unix_server(connected, sock=listener, limit=MAX_LINE)
