"""The server's log, read over the link that stands."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from ..protocol.mux_messages import LOG, LOG_GREETING

_CHUNK = 64 << 10
_MAX_LINE = 64 << 10
"""Characters of a line that is not waited for any longer."""


async def server_log(
    open_stream: Callable[[socket.socket, bytes, str], object], lines: int, *, follow: bool
) -> AsyncIterator[list[str]]:
    """The last `lines` of it, after an empty list; then, to `follow`, what is added, also after an outage.

    Raises OSError where it cannot be had.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    try:
        open_stream(theirs, b"", f"{LOG} {lines}{' follow' if follow else ''}")
    except ValueError as error:
        ours.close()
        theirs.close()
        raise OSError(str(error)) from error
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        with suppress(asyncio.IncompleteReadError):
            if await reader.readexactly(len(LOG_GREETING)) != LOG_GREETING:
                raise OSError("this is no log")
            yield []
            rest = b""
            while data := await reader.read(_CHUNK):
                *whole, rest = (rest + data).split(b"\n")
                if len(rest) > _MAX_LINE:
                    whole, rest = [*whole, rest], b""
                yield [_text(line) for line in whole]
            if rest:
                yield [_text(rest)]
            return
        raise OSError("an older session")
    finally:
        writer.transport.abort()


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r")
