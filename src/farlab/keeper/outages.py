"""How often the session was out of reach, and for how long; told to the keeper's log in a few lines.

Times are seconds of a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable

from ..durations import format_duration
from ..errors import FarlabError


class Outages:
    """An outage begins when nothing is heard, or the link ends, and is over when the line stands again."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.count = 0
        self.longest = 0.0
        """Seconds."""
        self._tell = tell
        self._began: float | None = None
        self._tries = 0
        self._told = ""

    def lasts(self, now: float) -> float:
        """Seconds since the present one began; 0 where there is none."""
        return 0.0 if self._began is None else max(now - self._began, 0.0)

    def longest_until(self, now: float) -> float:
        """Seconds that the longest has lasted, the present one among them."""
        return max(self.longest, self.lasts(now))

    def begin(self, since: float, why: str) -> None:
        """The session is out of reach, `since` then; told again for each new reason."""
        if self._began is None:
            self._began, self._tries, self._told = since, 0, ""
            self.count += 1
        self._tell(why)

    def failed(self, error: FarlabError) -> None:
        """One more try has failed; the same words again are not worth a line."""
        self._tries += 1
        words = f"{error.message}: {error.detail.strip().splitlines()[-1]}" if error.detail.strip() else error.message
        if words != self._told:
            self._told = words
            self._tell(f"{words}; retrying")

    def end(self, now: float, how: str) -> None:
        """The session is within reach again; nothing happens where it was all the time."""
        if self._began is None:
            return
        lasted = self.lasts(now)
        self._began = None
        self.longest = max(self.longest, lasted)
        tries = f", {self._tries} failed attempts" if self._tries > 1 else ""
        self._tell(f"{how} after {format_duration(lasted)}{tries}")


def how_it_goes_on(*, is_same: bool) -> str:
    """What the end of an outage is called."""
    return "reconnected" + (" (nothing lost)" if is_same else " to a new anchor (browser connections were reset)")
