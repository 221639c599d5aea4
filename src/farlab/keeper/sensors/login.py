"""Reports that what a login takes from this machine has changed: what was refused may pass now.

The ssh-agent is asked for its list of keys, which needs no unlocking and signs nothing (draft-ietf-sshm-ssh-agent,
section 3.5); of a ControlMaster's socket and of files only their entries are looked at, in a thread: homes hang.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from ...transport.base import LoginSources

TIMEOUT = 5.0
REQUEST_IDENTITIES, IDENTITIES_ANSWER = 11, 12
MAX_ANSWER = 1 << 20


async def keys(path: str) -> bytes:
    """The agent's list of keys as it sends it; empty where there is no agent, or no key."""
    if not path:
        return b""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):  # a path that cannot be one
        async with asyncio.timeout(TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(bytes((0, 0, 0, 1, REQUEST_IDENTITIES)))
                size = int.from_bytes(await reader.readexactly(4), "big")
                answer = await reader.readexactly(min(size, MAX_ANSWER))
            finally:
                writer.close()
        if answer[0] == IDENTITIES_ANSWER and any(answer[1:5]):
            return answer
    return b""


def entry(path: str | None) -> tuple[int, ...]:
    """Tells a file, or a socket, from the next one there; empty where there is none."""
    try:
        found = os.stat(path) if path else None
    except (OSError, ValueError):
        found = None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size) if found else ()


class LoginWatcher:
    """Calls `on_change` once when keys, a master or a file have come, or others than at the last attempt."""

    def __init__(self, interval: float, sources: Callable[[], LoginSources], on_change: Callable[[], None]) -> None:
        self._interval, self._sources, self._on_change = interval, sources, on_change
        self._known: asyncio.Task[dict[str, object]] | None = None
        self._task: asyncio.Task[None] | None = None

    def note(self) -> None:
        """An attempt begins: what is there now is what it goes by."""
        if self._known is not None:
            self._known.cancel()
        self._known = asyncio.get_running_loop().create_task(_look(self._sources()))

    def start(self) -> None:
        """Watch from now on."""
        self.end_watch()
        self._task = asyncio.get_running_loop().create_task(self._watch(self._known))

    def stop(self) -> None:
        """Watch no more."""
        self.end_watch()
        if self._known is not None:
            self._known.cancel()
            self._known = None

    def end_watch(self) -> None:
        """Report no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, known: asyncio.Task[dict[str, object]] | None) -> None:
        before = await (known or _look(self._sources()))
        while not _has_come(now := await _look(self._sources()), before):
            before = now  # what went may come back
            await asyncio.sleep(self._interval)
        self._task = None
        self._on_change()


async def _look(sources: LoginSources) -> dict[str, object]:
    """What is there, by what it is."""
    paths = {*sources.files, *filter(None, (sources.master,))}
    entries = await asyncio.to_thread(lambda: {path: entry(path) for path in paths})
    return {"agent": await keys(sources.agent), **entries}


def _has_come(now: dict[str, object], before: dict[str, object]) -> bool:
    return any(value and value != before.get(key) for key, value in now.items())
