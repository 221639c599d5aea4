"""Connections that came to nothing: how many more a host is sent, and when. Pure: a value; times are monotonic seconds.

Whatever reaches a host counts there: firewalls (`ufw limit`), fail2ban, `MaxStartups` and `PerSourcePenalties` shut
out a client that comes too often, the user's own `ssh` with it. So from the first refusal on probes and attempts
together stay within a budget, grow slower, and now and then keep silent for longer than such a ban lasts. Where nothing
at all comes back, connections harm nobody, unless a firewall drops them: so there is silence, too, but late.
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
    unanswered_since: float | None = None
    """When nothing came back for the first time, if that is so still."""
    silences: int = 0
    """Those that were kept since then."""

    def reached_at(self, at: float) -> Refusals:
        """A connection that began then has reached the host, or may have."""
        return replace(self, reached=(*self.reached, at)[-MOST_IN_WINDOW:])

    def answered(self) -> Refusals:
        """Something has come back from the host."""
        return replace(self, unanswered_since=None, silences=0)

    def refused(self, now: Moment, timing: Timing) -> Refusals:
        """It came to nothing there. Jitter makes a pause longer only: a ban is waited for to its end."""
        pauses = timing.refused_pauses
        again = pauses[len(pauses) // 2 :]
        pause = pauses[self.count] if self.count < len(pauses) else again[(self.count - len(pauses)) % len(again)]
        pause *= 1 + timing.jitter * now.chance
        return replace(self.answered(), count=self.count + 1, quiet_until=now.at + pause)

    def unanswered(self, now: Moment) -> Refusals:
        """Nothing came back: more attempts harm nobody."""
        since = now.at if self.unanswered_since is None else self.unanswered_since
        return replace(self, count=0, quiet_until=-math.inf, unanswered_since=since)

    def is_silence_due(self, now: float, timing: Timing) -> bool:
        """Whether nothing has come back for so long that it is time to send nothing for a while."""
        if self.unanswered_since is None or self.silences >= len(timing.quiet_after):
            return False
        return now - self.unanswered_since > timing.quiet_after[self.silences]

    def silenced(self, now: float, timing: Timing) -> Refusals:
        """Nothing is sent for a while from now on."""
        return replace(self, quiet_until=now + timing.silences[self.silences], silences=self.silences + 1)

    def hurried(self) -> Refusals:
        """The network is another, or was asleep: what was refused there need not be waited for here."""
        return replace(self.answered(), quiet_until=-math.inf)

    @property
    def not_before(self) -> float:
        """When the next connection may be made."""
        is_full = self.count > 0 and len(self.reached) == MOST_IN_WINDOW
        return max(self.quiet_until, self.reached[0] + WINDOW + _MARGIN if is_full else -math.inf)
