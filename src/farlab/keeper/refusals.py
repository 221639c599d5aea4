"""Connections that a host has refused: how many more it is sent, and when. Pure: a value; times are monotonic seconds.

Whatever reaches a host counts there: firewalls (`ufw limit`), fail2ban, `MaxStartups` and `PerSourcePenalties` shut
out a client that comes too often, the user's own `ssh` with it. So from the first refusal on probes and attempts
together stay within a budget, grow slower, and now and then keep silent for longer than such a ban lasts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .events import Moment
from .timing import Timing

WINDOW, MOST_IN_WINDOW = 30.0, 4
"""At most so many connections in any so many seconds: `ufw limit` refuses the sixth, and the user has an `ssh` too."""
_MARGIN = 0.5
TELLING = 3
"""Refusals in a row that may be a ban; fewer are an `sshd` that is restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """Each method returns what holds then."""

    count: int = 0
    """In a row; 0: what was tried has come to a link, or to no answer at all."""
    reached: tuple[float, ...] = ()
    """When connections reached the host, the latest few."""
    quiet_until: float = -math.inf

    def reached_at(self, at: float) -> Refusals:
        """A connection that began then has reached the host."""
        return replace(self, reached=(*self.reached, at)[-MOST_IN_WINDOW:])

    def refused(self, now: Moment, timing: Timing) -> Refusals:
        """It came to nothing there. Jitter makes a pause longer only: a ban is waited for to its end."""
        pauses = timing.refused_pauses
        again = pauses[len(pauses) // 2 :]
        pause = pauses[self.count] if self.count < len(pauses) else again[(self.count - len(pauses)) % len(again)]
        pause *= 1 + timing.jitter * now.chance
        return replace(self, count=self.count + 1, quiet_until=now.at + pause)

    def unanswered(self) -> Refusals:
        """Nothing came back: more attempts harm nobody."""
        return replace(self, count=0, quiet_until=-math.inf)

    def hurried(self) -> Refusals:
        """The network is another, or was asleep: what was refused there need not be waited for here."""
        return replace(self, quiet_until=-math.inf)

    @property
    def not_before(self) -> float:
        """When the next connection may be made."""
        if not self.count:
            return -math.inf
        is_full = len(self.reached) == MOST_IN_WINDOW
        return max(self.quiet_until, self.reached[0] + WINDOW + _MARGIN if is_full else -math.inf)
