"""What `ssh`, what it runs and start-up files print while somebody waits: cut into lines, without noise. Pure."""

from __future__ import annotations

from . import noise

SAID_AFTER = 2.0
"""Seconds without an answer after which it is passed on what the process says."""
SAID_INTERVAL = 0.5
"""Seconds between two looks at what else it says."""
_MAX_KEPT = 64 << 10
_MAX_LINES, _THEN = 200, 10
"""How many lines are passed on, and how many of each look after that: the latest, which tell what it waits for now."""


class Said:
    """One pipe's words: `feed` what has come, `take` what is new, now and then."""

    def __init__(self) -> None:
        self._pending, self._seen = b"", b""
        self._taken = 0

    def feed(self, data: bytes) -> None:
        self._pending = (self._pending + data)[-_MAX_KEPT:]

    def take(self) -> list[str]:
        """The whole lines, and what is no line yet if nothing was added to it since the last time: a question."""
        lines, _, rest = self._pending.rpartition(b"\n")
        if rest and self._pending == self._seen:
            lines, rest = self._pending, b""
        self._pending = self._seen = rest
        most = max(_MAX_LINES - self._taken, _THEN)
        found = noise.telling(lines.decode("utf-8", "replace"))[-most:]
        self._taken += len(found)
        return found
