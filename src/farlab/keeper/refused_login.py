"""A login that was refused: when it is tried again without the user. Pure: a value; times are monotonic seconds.

Hosts lock people out for logins that fail, so there are few: at most four in ten minutes, whatever happens. Each has
a reason: something that the login takes from this machine has changed, or it has passed before with nobody there, so
that the host may only not be ready for it (a home or an LDAP that is late after a boot), or this may be the wrong
network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..errors import Authentication, CannotAsk, FarlabError, HostKeyChanged, HostKeyUnknown
from .timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedLogin:
    """Each method returns what holds then."""

    is_unattended: bool = False
    """Whether the last login that passed needed nobody: only such a one is tried again for no more than time."""
    count: int = 0
    """Refused in a row, since a user was there."""
    at: float = 0.0
    """When the last was."""
    due: float | None = None
    """When the next is to be."""

    def passed(self, *, is_unattended: bool | None) -> RefusedLogin:
        """The host has let us in; None: over a connection of the user's, which tells nothing of logins."""
        return RefusedLogin(is_unattended=self.is_unattended if is_unattended is None else is_unattended)

    def refused(self, error: FarlabError, now: float, timing: Timing) -> RefusedLogin:
        """It was refused, or the user did not want it."""
        pause = None
        if self.is_unattended and isinstance(error, Authentication | CannotAsk):
            pause = _nth(timing.login_pauses, self.count)
        elif self.is_unattended and isinstance(error, HostKeyChanged | HostKeyUnknown):
            pause = timing.host_key_pause  # no login was tried
        return replace(self, count=self.count + 1, at=now, due=None if pause is None else now + pause)

    def changed(self, now: float, timing: Timing) -> RefusedLogin:
        """What the login takes from this machine has changed."""
        due = max(now, self.at + _nth(timing.change_pauses, self.count - 1))
        return replace(self, due=due if self.due is None else min(due, self.due))

    def stirred(self, now: float, timing: Timing) -> RefusedLogin:
        """The network is another, or was asleep."""
        return self.changed(now, timing) if self.is_unattended else self

    def user_came(self) -> RefusedLogin:
        """A user is there to help."""
        return RefusedLogin(is_unattended=self.is_unattended)


def _nth(pauses: tuple[float, ...], index: int) -> float:
    return pauses[min(max(index, 0), len(pauses) - 1)]
