"""The promises of the policy, in random lives."""

from __future__ import annotations

import math
import os
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from farlab.errors import Authentication, CannotAsk, FarlabError, Interrupted, NoSession
from farlab.keeper import events as ev
from farlab.model import State
from farlab.transport.base import Endpoint
from policy_life import DOOR, GREETED, JOINED, REFUSED, TIMING, TURNED_AWAY, UNREACHABLE, Life, user

SOAK = int(os.environ.get("FARLAB_SOAK", "1"))
LONGEST = max(*TIMING.backoff, *TIMING.refused_pauses) + 31.0


class Budget:
    """What the back-off allows, counted apart from the policy; whatever may have changed allows one attempt at once."""

    def __init__(self) -> None:
        self.failures = self.short_lived = 0
        self.not_before, self.is_hurried = 0.0, True
        self.is_refused, self.reached = False, list[float]()

    def spend(self, at: float) -> None:
        assert self.is_hurried or at >= self.not_before, "faster than the back-off"
        self.is_hurried = False
        self.reaches(at)

    def reaches(self, at: float) -> None:
        """A connection goes to the host: from a refusal on four in half a minute."""
        self.reached.append(at)
        assert not self.is_refused or sum(at - then < 30.0 for then in self.reached) <= 4, "a storm"

    def comes_to_no_answer(self) -> None:
        """The last one did not reach the host."""
        self.is_refused = False
        del self.reached[-1:]

    def forget(self) -> None:
        self.is_refused, self.reached = False, []

    def waits(self, at: float) -> None:
        self.not_before = at + TIMING.backoff[min(self.failures, len(TIMING.backoff) - 1)]

    def failed(self, at: float) -> None:
        self.failures += 1
        self.waits(at)

    def link_ended(self, at: float, *, is_stable: bool) -> None:
        self.failures = self.short_lived = 0 if is_stable else self.short_lived + 1
        self.waits(at)


class Patience:
    """When a refused login may be tried again without the user, counted apart from the policy."""

    def __init__(self) -> None:
        self.is_unattended = False
        self.again_at, self.count = math.inf, 0
        self.tried = list[float]()

    def user_came(self) -> None:
        self.again_at, self.count, self.tried = math.inf, 0, []

    def passed(self, *, was_asked: bool, is_shared: bool) -> None:
        self.user_came()
        self.is_unattended = self.is_unattended if is_shared else not was_asked

    def refused(self, error: FarlabError, at: float) -> None:
        pauses = TIMING.login_pauses if isinstance(error, Authentication | CannotAsk) else (math.inf,)
        self.again_at = at + pauses[min(self.count, len(pauses) - 1)] if self.is_unattended else math.inf
        self.count += 1

    def tries(self, at: float) -> None:
        assert at >= self.again_at, "a refused login is not tried again by itself"
        self.tried.append(at)
        assert sum(at - then < 600 for then in self.tried) <= 4, "a storm of logins"


class Lives(RuleBasedStateMachine):
    """A keeper that lives through whatever can happen to it, and its promises."""

    def __init__(self) -> None:
        super().__init__()
        self.life, self.budget, self.patience = Life(), Budget(), Patience()
        self.was_asked = False
        self.under_way: ev.Connect | None = None
        self.is_cancelled = self.is_linked = self.user_is_there = self.was_refused = False

    @initialize(beginning=st.sampled_from(("a user connects", "it was up", "the machine was restarted")))
    def begins(self, beginning: str) -> None:
        if beginning == "the machine was restarted":
            self.life = Life(is_resumed=True)
            self.do(ev.Ticked(slept=beginning))
            assert self.under_way, "nobody comes to order it"
            return
        self.do(user())
        if beginning == "it was up":
            self.joined(is_greeted=True)
            self.do(ev.Signal.SERVER_ANSWERED)

    def do(self, *events: ev.Event) -> None:
        for event in events:
            before, orders = self.life.state, self.life(event)
            if before.state is State.BLOCKED is not self.life.state.state:
                assert isinstance(event, ev.UserConnects) or self.life.at >= self.patience.again_at, event
                self.budget.is_hurried, self.budget.failures = True, 0
            for order in orders:
                self.perform(order)

    def perform(self, order: ev.Action) -> None:
        if isinstance(order, ev.Connect):
            assert self.under_way is None, "never two attempts at a time"
            assert not self.is_linked or self.life.state.state is not State.UP, "a second only beside a silent link"
            assert order.may_ask <= self.user_is_there, "nobody is there to be asked"
            if self.was_refused and not order.may_ask:
                self.patience.tries(self.life.at)
            assert order.may_ask is (order.timeout is None) or not self.life.state.was_up
            self.budget.spend(self.life.at)
            self.under_way, self.is_cancelled, self.was_asked = order, False, False
        elif order is ev.Order.CANCEL_ATTEMPT:
            assert self.under_way is not None, "there is none to be cancelled"
            assert not self.is_cancelled, "it was cancelled already"
            self.is_cancelled = True
        elif order is ev.Order.END_LINK:
            self.is_linked = False

    def take(self) -> ev.Connect:
        order, self.under_way = self.under_way, None
        assert order is not None
        return order

    # what happens: attempts

    @precondition(lambda self: self.under_way and not self.is_cancelled)
    @rule(is_greeted=st.booleans(), is_shared=st.booleans())
    def joined(self, is_greeted: bool, is_shared: bool = False) -> None:
        self.take()
        self.was_refused, self.is_linked = False, True
        self.budget.forget()
        self.patience.passed(was_asked=self.was_asked, is_shared=is_shared)
        self.do(replace(JOINED, is_shared=is_shared))
        if is_greeted:
            self.greeted()

    @precondition(lambda self: self.under_way)
    @rule(
        error=st.sampled_from(
            (UNREACHABLE, TURNED_AWAY, TURNED_AWAY, REFUSED, CannotAsk(""), NoSession(""), Interrupted(""))
        ),
        has_master=st.booleans(),
    )
    def failed(self, error: FarlabError, has_master: bool) -> None:
        order = self.take()
        is_refused = isinstance(error, Authentication | CannotAsk)
        by_master = is_refused and has_master and order.bypass_master
        if error.is_unanswered:
            self.budget.comes_to_no_answer()
        elif not by_master:
            self.budget.is_refused = True
        if by_master:  # a way that needs no login
            self.budget.is_hurried = True
        else:
            self.budget.failed(self.life.at)
            self.was_refused = is_refused and (self.life.state.was_up or not self.is_linked)
            if not self.is_linked and (is_refused or isinstance(error, Interrupted)):
                self.patience.refused(error, self.life.at)
        self.do(ev.AttemptFailed(error=error, has_master=has_master))

    @precondition(lambda self: self.under_way and self.is_cancelled)
    @rule()
    def has_been_cancelled(self) -> None:
        self.take()
        attempts, was_declined = self.life.state.attempts, False
        if attempts.current and attempts.current.is_declined:
            was_declined = True
            self.budget.failed(self.life.at)
        else:
            self.budget.waits(self.life.at)
        self.do(ev.Signal.ATTEMPT_CANCELLED)
        if attempts.is_wanted and not was_declined:
            assert self.under_way or self.life.state.attempts.due is not None, "another follows"
        if not attempts.is_wanted:
            assert not self.under_way, "at rest"

    @rule(count=st.integers(1, 4))
    def nobody_answers(self, count: int) -> None:
        for _ in range(count):
            self.time_passes(LONGEST, until_attempt=True)
            if self.under_way and not self.is_cancelled:
                self.failed(UNREACHABLE, has_master=False)

    @rule(count=st.integers(1, 12))
    def turns_away(self, count: int) -> None:
        for _ in range(count):
            self.time_passes(LONGEST, until_attempt=True)
            if self.under_way and not self.is_cancelled:
                self.failed(TURNED_AWAY, has_master=False)

    # what happens: the link

    @precondition(lambda self: self.is_linked)
    @rule()
    def greeted(self) -> None:
        self.life.hears()
        self.budget.failures = self.budget.short_lived
        self.do(ev.LinkGreeted(is_resumed=True), ev.Signal.SESSION_UP)

    @precondition(lambda self: self.is_linked)
    @rule(
        event=st.sampled_from(
            (
                ev.Signal.SESSION_STARTING,
                ev.Signal.SESSION_UP,
                ev.Signal.SERVER_ANSWERED,
                ev.PingAnswered(round_trip=0.1),
            )
        )
    )
    def said(self, event: ev.Event) -> None:
        self.life.hears()
        self.do(event)

    @precondition(lambda self: self.is_linked)
    @rule(is_protocol_error=st.booleans())
    def link_ends(self, is_protocol_error: bool) -> None:
        self.is_linked, link = False, self.life.state.link
        self.was_refused = False  # beside that link: without it, it is worth one more
        is_stable = link is not None and link.is_greeted and self.life.at - link.joined > TIMING.stable_after
        state = self.life.state
        is_met = (link and link.is_greeted) or state.state in (State.STARTING, State.SILENT)
        if is_met or state.was_up:  # else the user is told
            self.budget.link_ended(self.life.at, is_stable=is_stable)
        self.do(ev.LinkEnded(reason="it ended", is_protocol_error=is_protocol_error))

    @precondition(lambda self: self.is_linked)
    @rule()
    def session_ends(self) -> None:
        self.do(ev.SessionEnded(error=NoSession("ended")))

    # what happens: time and sensors

    @rule(seconds=st.sampled_from((0.01, 0.3, 1.0, 5.0, 20.0)))
    def time_passes(self, seconds: float, *, until_attempt: bool = False) -> None:
        end = self.life.at + seconds
        while self.life.at < end and not (until_attempt and self.under_way):
            self.life.at = min(end, max(self.life.at, self.life.state.next_tick(self.life.at)))
            self.begin_silence()
            self.do(ev.Ticked())

    def begin_silence(self) -> None:
        """A second link is not made slower by what failed before a stable one; and it is no failure of that one."""
        link = self.life.state.link
        if link and link.is_greeted and self.life.at - link.joined > TIMING.stable_after:
            self.budget.failures = self.budget.short_lived = 0
        if link and self.under_way is None and not self.life.state.attempts.is_wanted:
            self.budget.waits(min(self.life.at, self.budget.not_before))

    @rule(event=st.sampled_from((
        ev.NetworkChanged(source=None), ev.NetworkChanged(source="10.0.0.2"),
        ev.NetworkChanged(source="10.9.9.9", is_link_cut_off=True), ev.Ticked(slept="this machine slept"),
    )))  # fmt: skip
    def stirs(self, event: ev.Event) -> None:
        self.budget.is_hurried = True
        if self.patience.is_unattended:
            self.patience.again_at = self.life.at
        self.begin_silence()
        self.do(event)

    @precondition(lambda self: self.life.state.liveness.is_probing)
    @rule(was_away=st.booleans(), is_refused=st.booleans())
    def host_answers_a_probe(self, was_away: bool, is_refused: bool) -> None:
        self.budget.is_hurried |= was_away and not is_refused
        self.begin_silence()
        self.budget.reaches(self.life.at)
        self.budget.is_refused |= is_refused
        self.do(ev.HostAnswered(sent=self.life.at, was_away=was_away, is_refused=is_refused))

    @rule(endpoints=st.sampled_from(((), DOOR)))
    def endpoints_are_found(self, endpoints: tuple[Endpoint, ...]) -> None:
        self.do(ev.EndpointsFound(endpoints=endpoints, source="10.0.0.2" if endpoints else None))

    @rule(times=st.integers(1, 20))
    def login_changes(self, times: int) -> None:
        for _ in range(times):
            self.patience.again_at = min(self.patience.again_at, self.life.at)
            self.do(ev.Signal.LOGIN_CHANGED)
            self.time_passes(10.0)
            if self.under_way and not self.is_cancelled:
                self.failed(REFUSED, has_master=False)

    # what happens: users

    @rule(may_ask=st.booleans())
    def user_connects(self, may_ask: bool) -> None:
        self.budget.is_hurried, self.was_refused = True, False
        self.budget.forget()
        self.patience.user_came()
        self.user_is_there |= may_ask
        self.do(user(may_ask=may_ask))

    @rule(is_declined=st.booleans(), is_open=st.booleans())
    def user_answers_nothing(self, is_declined: bool, is_open: bool) -> None:
        self.was_asked |= is_open and self.under_way is not None
        self.do(ev.Prompted(is_open=is_open))
        self.user_is_there &= is_declined
        self.do(ev.Signal.USER_DECLINED if is_declined else ev.Signal.USER_LEFT)

    # what always holds

    @invariant()
    def what_is_believed_is_true(self) -> None:
        state = self.life.state
        assert (state.link is not None) is self.is_linked
        assert (state.attempts.current is not None) is (self.under_way is not None)
        assert state.state not in (State.UP, State.STARTING, State.SILENT) or state.link is not None

    @invariant()
    def it_gets_out_of_down_when_the_host_answers(self) -> None:
        """From wherever it is, without any help, within the longest pause."""
        if self.life.state.state is not State.DOWN:
            return
        other = Life()
        other.state, other.at, other.bytes_in = self.life.state, self.life.at, self.life.bytes_in
        current = other.state.attempts.current
        if current and current.is_cancelled:
            other(ev.Signal.ATTEMPT_CANCELLED)
        other.passes(LONGEST, until=lambda: other.state.attempts.current is not None)
        assert other.state.link or other.state.attempts.current or (current and current.is_declined), "nobody tries"
        other.hears()
        other(JOINED, GREETED, ev.Signal.SESSION_UP)
        assert other.state.state in (State.UP, State.STARTING) or (current and current.is_declined)


Lives.TestCase.settings = settings(
    max_examples=100 * SOAK, stateful_step_count=30, deadline=None, derandomize=SOAK == 1
)
TestLives = Lives.TestCase
