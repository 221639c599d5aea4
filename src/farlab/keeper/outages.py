"""How often the session was out of reach, and for how long, and what the keeper's log says of it. Pure: a value; times
are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..durations import format_duration
from ..errors import FarlabError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outages:
    """An outage begins when nothing is heard, or the link ends, and is over when a link carries the mux again.

    Each method returns what is known then, and a line for the log, "" where there is nothing new.
    """

    count: int = 0
    longest: float = 0.0
    began: float | None = None
    failed_attempts: int = 0
    last_failure: str = ""

    def duration(self, now: float) -> float:
        """Seconds since the present one began; 0 where there is none."""
        return 0.0 if self.began is None else max(now - self.began, 0.0)

    def longest_until(self, now: float) -> float:
        """Seconds that the longest has lasted, the present one among them."""
        return max(self.longest, self.duration(now))

    def begin(self, since: float, why: str) -> tuple[Outages, str]:
        """The session is out of reach, `since` then; each new reason is told."""
        if self.began is not None:
            return self, why
        return replace(self, began=since, count=self.count + 1, failed_attempts=0, last_failure=""), why

    def attempt_failed(self, error: FarlabError) -> tuple[Outages, str]:
        """One more attempt has failed; the same words again are not worth a line."""
        detail = error.detail.strip().splitlines()
        text = f"{error.message}: {detail[-1]}" if detail else error.message
        known = replace(self, failed_attempts=self.failed_attempts + 1, last_failure=text)
        return known, f"{text}; retrying" if text != self.last_failure else ""

    def end(self, now: float, how: str) -> tuple[Outages, str]:
        """The session is within reach again; nothing happens where it was all the time."""
        if self.began is None:
            return self, ""
        attempts = f", {self.failed_attempts} failed attempts" if self.failed_attempts > 1 else ""
        lasted = self.duration(now)
        known = replace(self, began=None, longest=max(self.longest, lasted))
        return known, f"{how} after {format_duration(lasted)}{attempts}"
