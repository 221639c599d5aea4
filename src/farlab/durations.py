"""Lengths of time as a person says them, and moments that survive a clock that is set."""

from __future__ import annotations

import time

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `5 min 40 s`, `8 h 2 min`, `3 d 4 h`: two units at most."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s".replace(".0 s", " s")
    left, words = round(seconds), list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            words.append(f"{count} {unit}")
        elif words:
            break
    return " ".join(words[:2])


class WallClockMoment:
    """Now, to be told later by this machine's clock of then, which may have been set meanwhile."""

    def __init__(self) -> None:
        self._unix, self._uptime = time.time(), _uptime()

    @property
    def unix(self) -> float:
        """Unix time of that moment; the very same number for as long as the clock is not set."""
        unix = time.time() - (_uptime() - self._uptime)
        if abs(unix - self._unix) > 1.0:
            self._unix = unix
        return self._unix


def _uptime() -> float:
    """Seconds of a clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
