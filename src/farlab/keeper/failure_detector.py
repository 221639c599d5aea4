"""Whether the other end is still heard, and when to suspect that it is not. Pure: a value; times are monotonic seconds.

    ALIVE     bytes come, or nothing was asked
    SUSPECT   a ping waits longer than answers take: worth probing whether the host can be reached
    SILENT    nothing for so long that a second link is due

How long that is depends on what is known (`Timing`). Eight seconds say silence by themselves. Where the host has
answered a probe, so that the network is there, four do; and where this machine's network has just changed, or it has
slept, three round trips and a little, since the old connection is then as good as dead. Hardly that little where a ping
was open already: TCP repeats it after seconds only. A false alarm makes the next one slower.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from .timing import Timing

_ROUND_TRIPS = 3
_MAX_SAMPLES = 8
"""Round trips remembered."""


class Verdict(StrEnum):
    """What to make of the silence."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    SILENT = "silent"


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureDetector:
    """What is known of one link after another. Each method returns what is known then."""

    timing: Timing
    last_heard: float
    due: float
    """When to ping next."""
    asked: float | None = None
    """When the first ping was sent that nothing was heard after."""
    round_trips: tuple[float, ...] = ()
    bytes_in: int = -1
    is_reachable: bool = False
    changed: float | None = None
    """When the network changed, as long as no ping sent since then has been answered."""
    is_overdue: bool = False
    """Whether a ping was open then."""
    penalty: float = 1.0

    def link_joined(self, now: float) -> FailureDetector:
        """Another link has been joined: what was asked over the last one is void."""
        return replace(self._alive(), last_heard=now, due=now)

    def ping_now(self, now: float) -> FailureDetector:
        """A ping is due now: the link can carry it."""
        return replace(self, due=now)

    def received(self, bytes_in: int, now: float) -> tuple[FailureDetector, bool]:
        """So many bytes have come until now; the second value says whether that shows that the link is alive.

        After a change of the network new bytes alone do not: they may have come before it, and waited to be read.
        """
        if bytes_in == self.bytes_in:
            return self, False
        heard = replace(self, bytes_in=bytes_in, last_heard=now)
        return (heard._alive(), True) if self.changed is None else (heard, False)

    def ping_answered(self, round_trip: float, now: float) -> FailureDetector:
        """A ping has made its round trip."""
        known = replace(self, round_trips=(*self.round_trips, round_trip)[-_MAX_SAMPLES:])
        return known._alive() if self.changed is not None and now - round_trip >= self.changed else known

    def ping_sent(self, now: float) -> FailureDetector:
        """A ping that was due is on its way."""
        return replace(self, due=now + self.timing.heartbeat, asked=now if self.asked is None else self.asked)

    def network_changed(self, now: float) -> FailureDetector:
        """The network of this machine has changed, or it has slept: ping now, and expect an answer soon."""
        is_overdue = self.asked is not None and now - self.asked > self.timing.network_change_grace
        return replace(self, is_overdue=is_overdue, changed=now, due=now, asked=None)

    def host_reachable(self) -> FailureDetector:
        """The host answers a probe: if nothing comes over the link, it is the link's fault."""
        return replace(self, is_reachable=True)

    def false_alarm(self) -> FailureDetector:
        """What was taken for silence was none: be slower to believe it."""
        return replace(self, penalty=min(2 * self.penalty, self.timing.silence / self.timing.suspect_after))

    @property
    def round_trip(self) -> float | None:
        """As the last few usually took; None before the first."""
        return sorted(self.round_trips)[(len(self.round_trips) - 1) // 2] if self.round_trips else None

    def verdict(self, now: float) -> Verdict:
        """What is known at that moment."""
        if self.asked is None:
            return Verdict.ALIVE
        timing, has_changed = self.timing, self.changed is not None
        trips = _ROUND_TRIPS * min(self.round_trips, default=1.0)  # the way itself, without what waited in an outage
        grace = timing.overdue_grace if self.is_overdue else timing.network_change_grace
        slack = grace if has_changed else timing.suspect_after * self.penalty
        enough = timing.silence
        if self.is_reachable:
            enough = min(enough, trips + (grace if has_changed else timing.stuck_after * self.penalty))
        unanswered = now - self.asked
        if now - self.last_heard > enough and unanswered > min(slack + trips, timing.silence):
            return Verdict.SILENT
        return Verdict.SUSPECT if has_changed or unanswered > slack + trips else Verdict.ALIVE

    def _alive(self) -> FailureDetector:
        return replace(self, asked=None, changed=None, is_reachable=False)
