"""Decides everything about links. Pure: `decide(state, event, now)` returns the state that follows, and what to do.

Sensors report events, the keeper performs actions, and both decide nothing. The rules:

- One attempt at a time, and one beside a link of which nothing is heard. Between two attempts pass the seconds of
  `Timing.backoff`; a changed network, keys, a user, or the first TCP probe that is answered cut one wait short.
- A login that was refused is not simply tried again without the user: hosts lock people out for that. That is BLOCKED;
  out of it lead the user, and now and then what may have mended it (`refused_login`). Whatever else is wrong may pass.
- Beside a silent link, and after a failure, the way past the user's ControlMaster is taken, since the master may be
  dead and not know it; where that login is refused and there is a master, the way by it.
- A link that ended before it was stable counts as a failed attempt.
- Probes are quick only while nothing comes back; from the first refusal on there are none. `refusals` has the budget.
"""

from __future__ import annotations

from dataclasses import replace

from ..durations import format_duration
from ..errors import Authentication, CannotAsk, FarlabError, Interrupted, LinkLost, NoSession
from ..model import State
from . import events as ev
from .attempts import Attempt
from .failure_detector import Verdict
from .link_state import Draft, JoinedLink, LinkState, unresponsive
from .liveness import Stretch
from .refusals import Refusals
from .states import Trigger

NO_RETRY_STATUSES = (5, 130)
"""Exit statuses of errors after which a session that was up is BLOCKED: a refused login, or a user who declined."""
LOCAL_STATUSES = (1, 2)
"""Those of what is wrong on this machine: a configuration, a program; the host was not reached."""


def decide(state: LinkState, event: ev.Event, now: ev.Moment) -> tuple[LinkState, list[ev.Action]]:
    """The state after the event, and what to do, in that order."""
    turn = _Turn(state, now)
    turn.take(event)
    turn.schedule()
    return turn.result(), turn.actions


class _Turn(Draft):
    """Decides on one event."""

    def take(self, event: ev.Event) -> None:
        """One event. What comes from an anchor whose session has ended is the rest of what came with that word."""
        match event:
            case ev.UserConnects():
                self.user_connects(event)
            case ev.Signal.USER_LEFT | ev.Signal.USER_DECLINED | ev.Prompted():
                self.user_did(event)
            case ev.LinkJoined() | ev.AttemptFailed() | ev.Signal.ATTEMPT_CANCELLED if self.attempts.current:
                self.attempt_ended(event, self.attempts.current)
            case ev.LinkEnded():
                self.link_ended(event)
            case ev.Ticked() | ev.HostAnswered() | ev.EndpointsFound() | ev.NetworkChanged() | ev.Signal.LOGIN_CHANGED:
                self.sensed(event)
            case ev.Signal.SERVER_ANSWERED:
                self.facts = replace(self.facts, has_answered=True)
                self.check_reached()
            case _ if self.facts.state is not State.ENDED:
                self.anchor_said(event)

    def user_connects(self, event: ev.UserConnects) -> None:
        """Try at once, whatever the state; an attempt that may not ask gives way to one that may."""
        facts = self.facts
        can_help = facts.state is State.SILENT and event.may_ask and self.attempts.needs_user
        is_at_work = self.link is not None and self.link.is_greeted
        if facts.state in (State.UP, State.STARTING, State.SILENT) and is_at_work and not can_help:
            return
        is_new = facts.state is State.ENDED
        self.do(ev.TakeRequest(options=event.options, is_new=is_new))
        was_up, has_answered = facts.was_up and not is_new, facts.has_answered and not is_new
        self.facts = replace(facts, reason=None, was_up=was_up, has_answered=has_answered)
        self.enter(Trigger.USER_CONNECTS)
        self.attempts = replace(self.attempts, needs_user=False, may_ask=self.attempts.may_ask or event.may_ask)
        self.refusals, self.login = Refusals(), self.login.user_came()  # who types knows better than any budget
        current = self.attempts.current
        if current and event.may_ask and current.is_declined:  # by another, who is gone
            self.attempts = replace(self.attempts, current=replace(current, is_declined=False))
        elif current and event.may_ask and not current.may_ask:  # it would fail where the user can help
            self.cancel()
        if self.link is None or self.link.is_greeted or self.now.at - self.link.joined > self.timing.hello_timeout:
            self.attempts = self.attempts.wanted(bypass_master=can_help or None).hurried()

    def user_did(self, event: ev.Event) -> None:
        """A user is asked something, or is not there to answer."""
        match event:
            case ev.Signal.USER_LEFT:
                self.attempts = replace(self.attempts, may_ask=False)
                if self.attempts.current and self.attempts.current.may_ask:  # it would ask nobody, and has no timeout
                    self.cancel()
            case ev.Signal.USER_DECLINED:
                self.cancel(is_declined=True)
            case ev.Prompted():
                if event.is_open and self.attempts.current:
                    self.attempts = replace(self.attempts, current=replace(self.attempts.current, was_asked=True))
                if self.facts.may_prompt and (event.is_open or self.facts.state is not State.DOWN):
                    self.enter(Trigger.QUESTION if event.is_open else Trigger.ANSWERED)

    # attempts --------------------------------------------------------------------------------------------

    def attempt_ended(self, event: ev.LinkJoined | ev.AttemptFailed | ev.Signal, attempt: Attempt) -> None:
        """The one under way has come to a link, or to nothing."""
        if isinstance(event, ev.LinkJoined):
            self.link = JoinedLink(joined=self.now.at, bypassed_master=attempt.bypass_master)
            self.attempts, self.refusals = self.attempts.joined(), Refusals()
            self.login = self.login.passed(is_unattended=None if event.is_shared else not attempt.was_asked)
            self.stop_probing()
            self.liveness = self.liveness.link_joined(self.now.at, event.source)
        elif isinstance(event, ev.Signal):
            self.refusals = self.refusals.reached_at(attempt.began)  # as far as we know
            if not attempt.is_declined:
                self.attempts = self.attempts.ended()
                return
            self.attempts = self.attempts.failed()
            self.failed(Interrupted(f"you did not answer the question of `{self.facts.target.host}`", hint=""))
        elif attempt.bypass_master and event.has_master and isinstance(event.error, Authentication | CannotAsk):
            by_master = replace(self.attempts.ended(), via_master=True, is_refused_past_master=True)
            self.attempts = by_master.hurried()  # that way needs no login
            self.refusals = self.refusals.reached_at(attempt.began)
        else:
            if event.error.is_unanswered or event.error.exit_status in LOCAL_STATUSES:
                self.refusals = self.refusals.unanswered(self.now)
            else:
                self.refusals = self.refusals.reached_at(attempt.began).refused(self.now, self.timing)
                self.stop_probing()
            self.attempts = self.attempts.failed()
            self.failed(event.error)

    def failed(self, error: FarlabError) -> None:
        """No link could be made."""
        facts = self.facts
        if isinstance(error, NoSession) and facts.was_up:
            self.facts = replace(facts, failed_attempts=facts.failed_attempts + 1)
            self.session_ended(error)
            return
        if facts.was_up or self.link is None:  # else the first link may be greeted yet
            reason = facts.reason if facts.state is State.ENDED else error
            self.facts = replace(facts, failed_attempts=facts.failed_attempts + 1, reason=reason)
        may_pass = (facts.was_up or self.link is not None) and error.exit_status not in NO_RETRY_STATUSES
        if may_pass:
            self.log_outage(self.outages.attempt_failed(error))
        else:
            self.log(f"cannot connect: {error.message} {error.detail}")
        if self.link is not None:
            self.attempts = replace(self.attempts, needs_user=not may_pass)
            if not may_pass or facts.state is not State.SILENT:
                self.attempts = self.attempts.at_rest()
        elif may_pass:
            self.enter(Trigger.LINK_LOST)
        else:
            self.attempts = self.attempts.at_rest()
            self.login = self.login.refused(error, self.now.at, self.timing)
            self.enter(Trigger.REFUSED)

    # the link --------------------------------------------------------------------------------------------

    def link_ended(self, event: ev.LinkEnded) -> None:
        """The link that carried the mux is gone."""
        link, self.link = self.link, None
        protocol_errors = self.facts.protocol_errors + 1 if event.is_protocol_error else 0
        self.facts = replace(self.facts, protocol_errors=protocol_errors)
        if protocol_errors > 1:  # the two ends do not agree on what was said
            self.do(ev.Order.REPLACE_MUX)
        if self.facts.state is State.ENDED:
            return
        # a dead master is dead still
        self.attempts = self.attempts.wanted(bypass_master=link.bypassed_master if link else None)
        if (link and link.is_greeted) or self.facts.was_up or self.facts.state in (State.STARTING, State.SILENT):
            self.log_outage(self.outages.begin(self.now.at, f"{event.reason}; reconnecting"))
            is_stable = link is not None and link.is_stable(self.now.at, self.timing)
            short_lived = 0 if is_stable else self.attempts.short_lived + 1  # lest a host that drops each is stormed
            self.attempts = replace(self.attempts, short_lived=short_lived, failures=short_lived)
            self.enter(Trigger.LINK_LOST)
        elif self.attempts.current is None:
            message = f"the connection to `{self.facts.target.host}` ended before the session answered"
            self.failed(LinkLost(message, detail=event.reason))

    def silent(self, why: str) -> None:
        """Make a second link beside one that is of no use at present."""
        attempts = self.attempts
        if self.facts.state in (State.UP, State.STARTING):
            self.enter(Trigger.SILENCE)
            if self.link and self.link.is_stable(self.now.at, self.timing):
                self.attempts = attempts = replace(attempts, short_lived=0, failures=0)
        elif self.link is None or self.link.is_greeted or attempts.is_wanted or attempts.needs_user:
            return  # that is being done, or cannot be
        does = "a second connection needs you" if attempts.needs_user else "opening a second connection"
        self.log_outage(self.outages.begin(self.liveness.quiet_since, f"{why}; {does}"))
        if not attempts.needs_user:
            self.attempts = attempts.wanted(bypass_master=True)

    def check_silent(self) -> None:
        """Nothing has come for too long: that is silence, unless the link has hardly been joined."""
        quiet = self.now.at - self.liveness.quiet_since
        if self.link and (self.link.is_greeted or quiet > self.timing.hello_timeout):
            self.silent(f"no data from `{self.facts.target.host}` for {format_duration(quiet)}")

    def hear(self) -> bool:
        """Whether bytes have come that show that the link is alive."""
        detector, is_alive = self.liveness.detector.received(self.now.bytes_in, self.now.at)
        if is_alive and self.liveness.is_stuck:
            detector = detector.false_alarm()
        self.liveness = replace(self.liveness, detector=detector, is_stuck=self.liveness.is_stuck and not is_alive)
        if is_alive:
            self.do(ev.Order.NOTE_HEARD)
        if is_alive and self.facts.state is State.SILENT:
            self.enter(Trigger.HEARD if self.facts.was_up else Trigger.SERVER_STARTING)
            self.log_outage(self.outages.end(self.now.at, "the connection is alive again"))
        return is_alive

    def anchor_said(self, event: ev.Event) -> None:
        """Something has come over the link."""
        if isinstance(event, ev.Signal):  # a greeting is another link's; of an answer the detector must know first
            self.hear()
        match event:
            case ev.LinkGreeted():
                self.greeted(event)
            case ev.PingAnswered():
                detector = self.liveness.detector.ping_answered(event.round_trip, self.now.at)
                self.liveness = replace(self.liveness, detector=detector)
                self.do(ev.Order.NOTE_HEARD)
                self.look()
            case ev.Signal.SESSION_STARTING:
                self.enter(Trigger.SERVER_STARTING)
            case ev.SessionEnded():
                self.session_ended(event.error)
            case ev.Signal.SESSION_UP if self.facts.was_up:
                self.enter(Trigger.SERVER_UP)
            case ev.Signal.SESSION_UP:
                if self.link and self.link.up_since is None:
                    self.link = replace(self.link, up_since=self.now.at)
                self.check_reached()

    def greeted(self, event: ev.LinkGreeted) -> None:
        """The anchor's first frame has come: what failed before is over."""
        self.facts = replace(self.facts, protocol_errors=0)
        self.link = replace(self.link, is_greeted=True) if self.link else None
        self.attempts = replace(self.attempts, failures=self.attempts.short_lived).at_rest()
        self.enter(Trigger.LINK_UP)
        how = "(nothing lost)" if event.is_resumed else "to a new anchor (browser connections were reset)"
        self.log_outage(self.outages.end(self.now.at, f"reconnected {how}"))
        # find out how far away it is
        self.liveness = replace(self.liveness, detector=self.liveness.detector.ping_now(self.now.at))
        self.look()

    def check_reached(self) -> None:
        """Up is what has answered and has said so."""
        is_up = self.link is not None and self.link.up_since is not None
        if is_up and self.facts.has_answered and not self.facts.was_up and self.facts.state is not State.ENDED:
            self.facts = replace(self.facts, was_up=True)
            self.do(ev.Order.SESSION_REACHED)
            self.resolve()  # now is the time to learn the way to it
            self.enter(Trigger.SERVER_UP)

    def session_ended(self, error: FarlabError) -> None:
        """The server is gone."""
        self.facts, self.link = replace(self.facts, reason=error), None
        self.cancel()
        self.attempts = self.attempts.at_rest()
        self.log_outage(self.outages.end(self.now.at, "the host is reachable again"))
        if self.facts.was_up:
            self.do(ev.Order.SESSION_GONE)
        self.do(ev.Order.END_LINK)
        self.enter(Trigger.SERVER_ENDED)

    # sensors ---------------------------------------------------------------------------------------------

    def sensed(self, event: ev.Event) -> None:
        """A sensor has something to report."""
        match event:
            case ev.Ticked():
                self.ticked(event)
            case ev.HostAnswered():
                self.host_answered(event)
            case ev.NetworkChanged():
                self.network_changed(event)
            case ev.EndpointsFound():
                if event.endpoints and event.endpoints != self.liveness.endpoints:
                    self.stop_probing()
                self.liveness = self.liveness.found(event, self.now.at)
            case ev.Signal.LOGIN_CHANGED if self.facts.state is State.BLOCKED:
                self.log("your keys, your ControlMaster or the files of `ssh` have changed")
                self.login = self.login.changed(self.now.at, self.timing)
        is_stuck = self.facts.state is State.BLOCKED and self.facts.was_up
        if is_stuck and self.login.due is not None and self.now.at >= self.login.due:
            self.log("trying the login again")
            self.attempts = replace(self.attempts, failures=0, is_refused_past_master=False)
            self.attempts = self.attempts.wanted(bypass_master=False).hurried()  # by way of the master first
            self.enter(Trigger.RETRY)

    def ticked(self, event: ev.Ticked) -> None:
        """Time has passed."""
        self.liveness = replace(self.liveness, ticked=self.now.at)
        if event.slept:
            self.liveness = replace(self.liveness, awake_since=self.now.at)
            self.stirred(event.slept)
        self.look()
        up_since = self.link.up_since if self.link and not self.facts.was_up else None
        is_late = up_since is not None and self.now.at - up_since > self.timing.server_probe_timeout
        if is_late and self.facts.state is State.STARTING:
            self.facts = replace(self.facts, reason=unresponsive(self.facts.target))
            self.enter(Trigger.SERVER_ENDED)

    def look(self) -> None:
        """Listen, ping, and probe while in doubt: one answer for each silence, or each attempt."""
        at = self.now.at
        if self.link:
            self.hear()
            if at >= self.liveness.detector.due:
                self.liveness = replace(self.liveness, detector=self.liveness.detector.ping_sent(at))
                self.do(ev.Order.SEND_PING)
            if self.liveness.detector.verdict(at) is Verdict.SILENT:
                self.check_silent()
        is_alive = self.link is None or self.liveness.detector.verdict(at) is Verdict.ALIVE
        if is_alive and not self.is_looking:
            self.stop_probing()
        elif self.refusals.is_silence_due(at, self.timing):
            self.be_silent()
        elif self.liveness.answered_in != self.stretch and not self.refusals.count and at >= self.refusals.not_before:
            if self.liveness.is_lookup_due(at, self.timing.resolve_interval):
                self.resolve()
            if self.liveness.endpoints:
                self.liveness = replace(self.liveness, is_probing=True)
                round_trip = self.liveness.detector.round_trip or 0.0
                interval = max(2 * round_trip, self.timing.probe_intervals[self.refusals.silences])
                self.do(ev.Probe(endpoints=self.liveness.endpoints, interval=interval))

    def be_silent(self) -> None:
        """Send nothing for a while: a firewall may drop what comes, and let in who has not come for some time."""
        self.refusals = self.refusals.silenced(self.now.at, self.timing)
        self.stop_probing()
        if self.attempts.current and not self.attempts.current.may_ask:
            self.cancel()

    @property
    def is_looking(self) -> bool:
        """Whether a link to a session that was up is wanted and does not come at once."""
        is_away = self.facts.was_up and self.facts.state in (State.SILENT, State.DOWN)
        return is_away and self.attempts.is_slow(self.now.at, self.timing)

    @property
    def stretch(self) -> Stretch:
        """The silence, or the attempt, of now."""
        is_looking = self.is_looking
        return is_looking, self.attempts.begun if is_looking else self.liveness.detector.last_heard

    def host_answered(self, event: ev.HostAnswered) -> None:
        """The host can be reached; if probes were lost before, the network is back."""
        if self.link and self.hear():
            return  # the link was faster
        self.liveness = replace(self.liveness, answered_in=self.stretch, is_probing=False)
        self.refusals = self.refusals.answered().reached_at(event.sent)
        if event.is_refused:
            self.refusals = self.refusals.refused(self.now, self.timing)
        # a slow network that is full of what we send loses probes and delays answers, and no link is stuck
        is_full = self.link is not None and self.now.is_backlogged
        if event.was_away:
            if self.link and not is_full:
                self.check_silent()
            if not event.is_refused:
                self.host_reachable(event.sent)
        elif not is_full:
            detector = self.liveness.detector.host_reachable()
            self.liveness = replace(self.liveness, is_stuck=self.link is not None, detector=detector)
        self.look()

    def host_reachable(self, since: float) -> None:
        """The host answers what was sent then, and did not before: an attempt of before waits in vain."""
        current = self.attempts.current
        if current and current.began < since and not current.may_ask:
            self.cancel()
        self.attempts = self.attempts.hurried()

    def network_changed(self, event: ev.NetworkChanged) -> None:
        """What does not change the way to this host is ignored."""
        knows_way = bool(self.liveness.endpoints)
        if knows_way and event.source == self.liveness.source:
            return
        if not knows_way and self.now.at - self.liveness.changed < self.timing.min_change_interval:
            return
        self.liveness = replace(self.liveness, source=event.source)
        is_lost = knows_way and event.source is None
        self.stirred("the network of this machine is down" if is_lost else "the network of this machine changed")
        if event.source and event.is_link_cut_off:
            self.silent("this machine lost the address that the connection used")
        if event.source:
            self.host_reachable(self.now.at)
        self.look()

    def stirred(self, why: str) -> None:
        """The network has changed, or this machine has slept: what failed before may work now."""
        self.stop_probing()
        self.liveness = self.liveness.network_changed(self.now.at)
        self.log(why)
        self.attempts, self.refusals = self.attempts.hurried(), self.refusals.hurried()
        self.login = self.login.stirred(self.now.at, self.timing)
