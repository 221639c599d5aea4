"""Whether the other end is still heard, and when to doubt it. Pure: times are seconds of a monotonic clock.

    FINE      bytes come, or nothing was asked
    DOUBT     a question waits longer than answers take: worth a knock on the host's door
    SILENCE   nothing for so long that a second link is due

How long that is depends on what is known. Eight seconds say silence by themselves. Where the host has answered a
knock, so that the network is there, four do; and where this machine's network has just changed, or it has slept, three
round trips and a little, since the old connection is then as good as dead. Hardly that little where a question was
open already: TCP repeats it after seconds only. A silence that was none makes the next one slower.
"""

from __future__ import annotations

import statistics
from collections import deque
from enum import StrEnum

HEARTBEAT = 3.0
"""Seconds between two questions."""
SILENCE = 8.0
DOUBT = 1.5
"""Seconds, beside the round trips, that an answer may take before it is missed."""
STUCK = 4.0
"""Seconds of silence that are enough where the host is known to be reachable."""
STIRRED = 0.25
"""Seconds, beside the round trips, that an answer may take where the network has just changed."""
OVERDUE = 0.05
"""The same where a question was open for longer than that: it is lost, and what is sent after it waits behind it."""
_ROUND_TRIPS = 3
_SAMPLES = 8
"""Round trips remembered."""


class Verdict(StrEnum):
    """What to make of the silence."""

    FINE = "fine"
    DOUBT = "doubt"
    SILENCE = "silence"


class FailureDetector:
    """Is told what is sent and heard over one link after another; says what that means."""

    def __init__(self, now: float) -> None:
        self.last_heard = now
        self._trips: deque[float] = deque(maxlen=_SAMPLES)
        self._received = -1
        self._asked: float | None = None
        """When the first question was put that nothing was heard after."""
        self._due = now
        self._is_reachable = False
        self._stirred: float | None = None
        """When the network changed, as long as no question put since then has been answered."""
        self._is_overdue = False
        """Whether a question was open then."""
        self._caution = 1.0

    def begin(self, now: float) -> None:
        """Another link has been joined: what was asked over the last one is void."""
        self.last_heard, self._due = now, now
        self._hear_again()

    def ask(self, now: float) -> None:
        """A question is due now: the link can carry it."""
        self._due = now

    def received(self, count: int, now: float) -> bool:
        """So many bytes have come until now; whether that shows that the link is alive.

        After a change of the network new bytes alone do not: they may have come before it, and waited to be read.
        """
        if count == self._received:
            return False
        self._received, self.last_heard = count, now
        if self._stirred is not None:
            return False
        self._hear_again()
        return True

    def answered(self, seconds: float, now: float) -> None:
        """A question has made its round trip."""
        self._trips.append(seconds)
        if self._stirred is not None and now - seconds >= self._stirred:
            self._hear_again()

    @property
    def round_trip(self) -> float | None:
        """Seconds, as the last few usually took; None before the first."""
        return statistics.median_low(self._trips) if self._trips else None

    def is_due(self, now: float) -> bool:
        """Whether to ask now; what is due counts as asked."""
        if now < self._due:
            return False
        self._due = now + HEARTBEAT
        if self._asked is None:
            self._asked = now
        return True

    def stir(self, now: float) -> None:
        """The network of this machine has changed, or it has slept: ask now, and expect an answer soon."""
        self._is_overdue = self._asked is not None and now - self._asked > STIRRED
        self._stirred, self._due, self._asked = now, now, None

    def reachable(self) -> None:
        """The host answers a knock: if the line stays silent, it is the link's fault."""
        self._is_reachable = True

    def was_wrong(self) -> None:
        """What was taken for silence has spoken: be slower to believe it."""
        self._caution = min(2 * self._caution, SILENCE / DOUBT)

    def verdict(self, now: float) -> Verdict:
        if self._asked is None:
            return Verdict.FINE
        trips = _ROUND_TRIPS * min(self._trips, default=1.0)  # the way itself, without what waited in an outage
        is_stirred = self._stirred is not None
        stirred = OVERDUE if self._is_overdue else STIRRED
        slack = stirred if is_stirred else DOUBT * self._caution
        enough = SILENCE
        if self._is_reachable:
            enough = min(SILENCE, trips + (stirred if is_stirred else STUCK * self._caution))
        unanswered = now - self._asked
        if now - self.last_heard > enough and unanswered > min(slack + trips, SILENCE):
            return Verdict.SILENCE
        return Verdict.DOUBT if is_stirred or unanswered > slack + trips else Verdict.FINE

    def _hear_again(self) -> None:
        self._asked = self._stirred = None
        self._is_reachable = False
