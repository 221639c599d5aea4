"""What the policy knows, and a draft of what it will know next. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ..advice import command
from ..errors import FarlabError, NotAnswering
from ..model import State, Target
from . import events as ev
from .attempts import Attempts
from .failure_detector import FailureDetector, Verdict
from .liveness import Liveness
from .outages import Outages
from .refusals import Refusals
from .refused_login import RefusedLogin
from .states import Trigger, next_state
from .timing import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedLink:
    """The link that carries the mux."""

    joined: float
    bypassed_master: bool
    is_greeted: bool = False
    """Whether the anchor's first frame has come over it."""
    up_since: float | None = None
    """When the anchor said over it that the server is up."""

    def is_stable(self, now: float, timing: Timing) -> bool:
        """Whether it has carried the mux for long enough to count as one that works."""
        return self.is_greeted and now - self.joined > timing.stable_after


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """All that the policy knows."""

    target: Target
    timing: Timing
    state: State = State.CONNECTING
    reason: FarlabError | None = None
    """Why the session cannot be reached, as far as it is known."""
    failed_attempts: int = 0
    """Since the keeper began, for commands that wait for one."""
    was_up: bool = False
    """Whether the session was reached."""
    has_answered: bool = False
    """Whether its server has answered a request."""
    protocol_errors: int = 0
    """Links in a row over which the two ends did not agree."""
    link: JoinedLink | None = None
    attempts: Attempts = field(default_factory=Attempts)
    liveness: Liveness
    outages: Outages = field(default_factory=Outages)
    refusals: Refusals = field(default_factory=Refusals)
    login: RefusedLogin = field(default_factory=RefusedLogin)

    @property
    def may_prompt(self) -> bool:
        """Whether an `ssh` of ours may have a question now."""
        return self.state in (State.CONNECTING, State.ASKING, State.SILENT, State.DOWN)

    def is_news(self, after: LinkState) -> bool:
        """Whether what follows differs in what those who wait go by."""
        if self.state is not after.state or self.was_up is not after.was_up:
            return True
        has_failed = self.failed_attempts != after.failed_attempts and after.link is None
        return has_failed or self.attempts.needs_user is not after.attempts.needs_user

    def verdict(self, now: float) -> Verdict:
        """What to make of the link's silence."""
        return self.liveness.detector.verdict(now) if self.link else Verdict.ALIVE

    def next_tick(self, now: float) -> float:
        """When the policy must look again, if nothing happens before."""
        is_alive = self.verdict(now) is Verdict.ALIVE
        tick = self.liveness.ticked + (self.timing.tick if is_alive else self.timing.suspecting_tick)
        return tick if self.attempts.due is None else min(tick, self.attempts.due)


def initial(target: Target, timing: Timing, now: float, *, is_resumed: bool = False) -> LinkState:
    """Nothing has happened yet; `is_resumed`: as where the link of a session that was up has been lost."""
    detector = FailureDetector(timing=timing, last_heard=now, due=now)
    liveness = Liveness(detector=detector, ticked=now, awake_since=now, changed=now)
    known = LinkState(target=target, timing=timing, liveness=liveness)
    return replace(known, state=State.DOWN, was_up=True, attempts=Attempts().wanted()) if is_resumed else known


def unresponsive(target: Target) -> NotAnswering:
    """The error for a server that is there and does not answer."""
    return NotAnswering(f"session `{target.name}` on `{target.host}` is running but its server does not answer")


class Draft:
    """One decision in the making."""

    def __init__(self, before: LinkState, now: ev.Moment) -> None:
        self.now, self.actions = now, list[ev.Action]()
        self.timing = before.timing
        self.facts = before
        """What has no attribute of its own here."""
        self.link, self.attempts = before.link, before.attempts
        self.liveness, self.outages, self.refusals = before.liveness, before.outages, before.refusals
        self.login = before.login

    def result(self) -> LinkState:
        """The state that follows."""
        return replace(
            self.facts,
            link=self.link,
            attempts=self.attempts,
            liveness=self.liveness,
            outages=self.outages,
            refusals=self.refusals,
            login=self.login,
        )

    def enter(self, trigger: Trigger) -> None:
        """Enter the state that follows."""
        before, after = self.facts.state, next_state(self.facts.state, trigger)
        if after is before:
            return
        reason = None if after is State.UP else self.facts.reason
        self.facts = replace(self.facts, state=after, reason=reason)
        why = reason.message if reason else ""
        if before is State.BLOCKED:
            self.do(ev.Order.STOP_WATCHING_LOGIN)
        if before is State.SILENT and after in (State.UP, State.STARTING):
            self.attempts = self.attempts.at_rest()  # no second link is needed
        if after is State.BLOCKED:
            self.log(f"action required: {why}; run `{command(self.facts.target, 'connect')}` in a terminal")
            if self.facts.was_up:
                self.do(ev.Order.WATCH_LOGIN)
        elif after is State.ENDED:
            self.log(f"session ended: {why}")

    def do(self, action: ev.Action) -> None:
        """Order it."""
        self.actions.append(action)

    def log(self, text: str) -> None:
        """Order a line for the log."""
        if text:
            self.do(ev.Log(text=text))

    def log_outage(self, known: tuple[Outages, str]) -> None:
        """Keep what is known of outages, and log its line."""
        self.outages, text = known
        self.log(text)

    def resolve(self) -> None:
        """Find out where the host is, unless that is being done."""
        if self.liveness.resolved is not None:
            self.liveness = replace(self.liveness, resolved=None)
            self.do(ev.Order.RESOLVE_ENDPOINTS)

    def stop_probing(self) -> None:
        """No probe is needed any more."""
        if self.liveness.is_probing:
            self.liveness = replace(self.liveness, is_probing=False)
            self.do(ev.Order.STOP_PROBING)

    def schedule(self) -> None:
        """Begin the attempt that is due."""
        before, not_before = self.attempts, self.refusals.not_before
        self.attempts = before.scheduled(self.now, self.timing, not_before)
        current = self.attempts.current
        if current and before.current is None:
            if self.facts.was_up:
                self.do(ev.Order.NOTE_LOGIN)
            has_timeout = self.facts.was_up and not current.may_ask
            timeout = self.timing.attempt_timeout if has_timeout else None
            self.do(ev.Connect(may_ask=current.may_ask, bypass_master=current.bypass_master, timeout=timeout))

    def cancel(self, *, is_declined: bool = False) -> None:
        """End the attempt under way; another follows where a link is wanted still."""
        current = self.attempts.current
        if current is None:
            return
        if not current.is_cancelled:
            self.do(ev.Order.CANCEL_ATTEMPT)
        is_declined = is_declined or current.is_declined
        self.attempts = replace(self.attempts, current=replace(current, is_cancelled=True, is_declined=is_declined))
