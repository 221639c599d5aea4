"""Durations as text, and moments that stay right when the clock is set."""

from __future__ import annotations

import time

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def format_duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `5 min 40 s`, `8 h 2 min`, `3 d 4 h`: two units at most."""
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f} s".replace(".0 s", " s")
    left, parts = round(seconds), list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


class WallClockMoment:
    """Now, as Unix time by the clock of whenever it is asked for, even if that was set since."""

    def __init__(self) -> None:
        self._unix, self._uptime = time.time(), _uptime()

    @property
    def unix(self) -> float:
        """Unix time of that moment; exactly the same number until the clock is set."""
        unix = time.time() - (_uptime() - self._uptime)
        if abs(unix - self._unix) > 1.0:
            self._unix = unix
        return self._unix


def _uptime() -> float:
    """Seconds of a clock that cannot be set and that counts while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
