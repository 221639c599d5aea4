"""The private socket between a keeper and whoever speaks to it: the CLI, and askpass. Lines of JSON both ways.

The socket lies in a directory of ours alone, and each side checks that the other is the same user.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

MOST_LINE = 8 << 20

Words = dict[str, Any]


class Peer:
    """One connection, at the keeper's end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def hear(self) -> Words | None:
        """The next words; None at the end or for what is not ours."""
        try:
            line = await self._reader.readline()
            words = json.loads(line) if line else None
        except (OSError, ValueError):
            return None
        return words if isinstance(words, dict) else None

    def say(self, **words: object) -> None:
        """Send one line; nothing happens if the other side has gone."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(words).encode() + b"\n")

    async def close(self) -> None:
        """Close when all has been sent."""
        try:
            await self._writer.drain()
            self._writer.close()
            await self._writer.wait_closed()
        except OSError:
            pass


async def serve(path: Path, serve_peer: Callable[[Peer], Awaitable[None]]) -> asyncio.Server:
    """Listen on `path`, which appears ready: `serve_peer` is run for each connection of this user."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer)
        try:
            if _is_ours(writer.get_extra_info("socket")):
                await serve_peer(peer)
        finally:
            await peer.close()

    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    server = await asyncio.start_unix_server(connected, new, limit=MOST_LINE)
    new.chmod(0o600)
    new.replace(path)
    return server


def _is_ours(sock: Any) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory's mode is all there is
    _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())


class Channel:
    """One connection, at the other end: blocking, without an event loop, which would cost start-up."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where nobody listens."""
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(5.0)
        self._buffer = b""
        try:
            self._sock.connect(str(path))
            if not _is_ours(self._sock):
                raise PermissionError(f"`{path}` is somebody else's")
        except OSError:
            self._sock.close()
            raise
        self._sock.setblocking(True)

    def say(self, **words: object) -> None:
        """Send one line. Raises OSError."""
        self._sock.sendall(json.dumps(words).encode() + b"\n")

    def hear(self, timeout: float | None = None) -> Words | None:
        """The next words; None at the end. Raises TimeoutError after `timeout` seconds."""
        while b"\n" not in self._buffer:
            if timeout is not None and not select.select([self._sock], [], [], timeout)[0]:
                raise TimeoutError
            try:
                data = self._sock.recv(1 << 16)
            except OSError:
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        words = json.loads(line)
        return words if isinstance(words, dict) else None

    def close(self) -> None:
        self._sock.close()
