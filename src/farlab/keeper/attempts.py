"""Attempts at a link: whether another is wanted, when it is due, whom it may ask, which way it goes. Pure: a value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .events import Moment
from .timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One that is under way."""

    began: float
    may_ask: bool
    bypass_master: bool
    is_cancelled: bool = False
    was_asked: bool = False
    """Whether `ssh` has asked the user something."""
    is_declined: bool = False
    """Whether the user was asked and did not want to answer: that counts as a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Each method returns what holds then."""

    current: Attempt | None = None
    begun: int = 0
    """Attempts so far."""
    is_wanted: bool = False
    due: float | None = None
    """When the next may begin."""
    is_hurried: bool = False
    """Whether the next need not wait: whatever made the last one fail may be over."""
    failures: int = 0
    """In a row: what the back-off goes by."""
    short_lived: int = 0
    """Links in a row that ended before they were stable."""
    may_ask: bool = False
    """Whether a user is there whom the next may ask."""
    needs_user: bool = False
    """Whether a second link was refused for want of a user, so that it is no use to try another by ourselves."""
    bypass_master: bool = False
    via_master: bool = False
    """Whether the next goes by way of the user's ControlMaster whatever else is so: past it a login was refused."""
    is_refused_past_master: bool = False
    """Whether that has happened: it is not tried again without the user."""

    def wanted(self, *, bypass_master: bool | None = None) -> Attempts:
        """A link is wanted; `bypass_master`: past the user's own master, None: as the last one was to be."""
        bypass = self.bypass_master if bypass_master is None else bypass_master
        return replace(self, is_wanted=True, bypass_master=bypass)

    def hurried(self) -> Attempts:
        """Do not wait any longer."""
        return replace(self, is_hurried=True)

    def at_rest(self) -> Attempts:
        """No link is wanted any more. One that is being made may still come."""
        return replace(self, is_wanted=False, due=None)

    def ended(self) -> Attempts:
        """None is under way any more."""
        return replace(self, current=None, due=None)

    def failed(self) -> Attempts:
        """The one under way has failed, and counts."""
        return replace(self.ended(), failures=self.failures + 1, may_ask=False, via_master=False)

    def joined(self) -> Attempts:
        """The one under way has come to a link."""
        done = replace(self.ended(), may_ask=False, needs_user=False, via_master=False, is_refused_past_master=False)
        return done.at_rest()

    def is_slow(self, now: float, timing: Timing) -> bool:
        """Whether a link is wanted and does not come at once."""
        waits = self.current is not None and now - self.current.began > timing.slow_after
        return self.is_wanted and (self.failures > 0 or waits)

    def scheduled(self, now: Moment, timing: Timing, not_before: float) -> Attempts:
        """The next begins when it is due, or at once where there is hurry; never two at a time, never `not_before`."""
        if self.current is not None or not self.is_wanted:
            return self
        due = now.at + timing.delay(self.failures, now.chance) if self.due is None else self.due
        due = max(now.at if self.is_hurried else due, not_before)
        if due > now.at:
            return replace(self, due=due)
        is_refused = self.via_master or (self.is_refused_past_master and not self.may_ask)
        # after a failure past it, too: the master may be dead and not know it yet
        bypass = not is_refused and (self.bypass_master or self.failures > 0)
        attempt = Attempt(began=now.at, may_ask=self.may_ask, bypass_master=bypass)
        return replace(self, current=attempt, begun=self.begun + 1, due=None, is_hurried=False)
