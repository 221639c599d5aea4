"""Reports what leads out of BLOCKED without a terminal: other keys in the user's ssh-agent, or a new ControlMaster.

The agent is asked for its list of keys, which needs no unlocking and signs nothing (draft-ietf-sshm-ssh-agent, section
3.5); of a master (`ControlPath`) only the socket is looked at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress

from ...transport.base import Unlocked

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


def master(path: str | None) -> tuple[int, ...]:
    """Tells one master's socket from the next; empty where there is none."""
    try:
        found = os.stat(path) if path else None
    except OSError:
        found = None
    return (found.st_dev, found.st_ino, found.st_mtime_ns) if found else ()


class SshAgentWatcher:
    """Calls `on_change` once when keys or a master have come, or others than those it began with. One at a time."""

    def __init__(self, interval: float, on_change: Callable[[], None]) -> None:
        self._interval, self._on_change = interval, on_change
        self._task: asyncio.Task[None] | None = None

    def start(self, unlocked: Unlocked) -> None:
        """Watch the user's agent and master from now on."""
        self.stop()
        self._task = asyncio.get_running_loop().create_task(self._watch(unlocked.agent, unlocked.master))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _watch(self, agent: str, path: str | None) -> None:
        before = await keys(agent), master(path)
        while not _has_come(now := (await keys(agent), master(path)), before):
            before = now  # what went may come back
            await asyncio.sleep(self._interval)
        self._task = None
        self._on_change()


def _has_come(now: tuple[object, ...], before: tuple[object, ...]) -> bool:
    return any(new and new != old for new, old in zip(now, before, strict=True))
