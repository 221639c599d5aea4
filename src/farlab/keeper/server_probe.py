"""One question through all of it: relay's side of the line, anchor, server. Up is what has answered it."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from ..errors import NotAnswering
from ..model import Target

TIMEOUT = 10.0
"""Seconds a server that is said to be up may take for its first answer."""
QUESTION = b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def answered(sock: socket.socket) -> bool:
    """Whether an HTTP server answers on this connection, which gets closed. Waits for as long as it stays open."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        return (await asyncio.get_running_loop().sock_recv(sock, 64)).startswith(b"HTTP/")
    return False


def hung(target: Target) -> NotAnswering:
    """The error for a server that is there and does not answer."""
    return NotAnswering(f"session `{target.name}` on `{target.host}` is running but its server does not answer")
