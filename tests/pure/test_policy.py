"""What the policy decides, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farlab.errors import (
    FarlabError,
    Interrupted,
    NoSession,
    NotAnswering,
)
from farlab.keeper import events as ev
from farlab.keeper.timing import Timing, from_json
from farlab.model import State
from policy_life import (
    DOOR,
    ENDED,
    FAILED,
    GREETED,
    JOINED,
    REFUSED,
    TIMING,
    UNREACHABLE,
    Life,
    connect,
    kinds,
    logged,
    refused,
    user,
)  # fmt: skip

# the first connection ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("may_ask", [True, False])
def test_a_user_who_connects_is_served_at_once_without_a_timeout(may_ask: bool) -> None:
    assert connect(Life()(user(may_ask=may_ask))) == ev.Connect(may_ask=may_ask, bypass_master=False, timeout=None)


def test_up_is_what_has_answered_and_has_said_so() -> None:
    for said in ((ev.Signal.SESSION_UP, ev.Signal.SERVER_ANSWERED), (ev.Signal.SERVER_ANSWERED, ev.Signal.SESSION_UP)):
        life = Life()
        life(user(), JOINED, GREETED, said[0])
        assert (life.state.state, life.state.was_up) == (State.STARTING, False)
        assert kinds(life(said[1]), ev.Order.SESSION_REACHED, ev.Order.RESOLVE_ENDPOINTS)
        assert (life.state.state, life.state.was_up) == (State.UP, True)


def test_a_server_that_is_up_and_never_answers_is_given_up_after_ten_seconds() -> None:
    life = Life()
    life(user(), JOINED, GREETED, ev.Signal.SESSION_UP)
    life.goes_on(9)
    assert life.state.state is State.STARTING
    life.goes_on(3)
    assert life.state.state is State.ENDED
    assert isinstance(life.state.reason, NotAnswering)


@pytest.mark.parametrize("error", [UNREACHABLE, REFUSED, Interrupted("no", hint="")])
def test_whatever_is_wrong_with_a_first_attempt_needs_the_user(error: FarlabError) -> None:
    life = Life()
    life(user())
    orders = life(ev.AttemptFailed(error=error))
    assert (life.state.state, life.state.reason, life.state.failed_attempts) == (State.BLOCKED, error, 1)
    assert not kinds(orders, ev.Order.WATCH_LOGIN)
    assert not kinds(life.passes(600), ev.Connect)


def test_a_first_link_that_ends_before_its_greeting_is_a_failure() -> None:
    life = Life()
    life(user(), JOINED, ENDED)
    assert life.state.state is State.BLOCKED
    assert life.state.reason is not None
    assert life.state.reason.detail == "it ended"


def test_a_first_link_that_ends_while_a_second_is_being_made_waits_for_that() -> None:
    life = Life()
    life(user(), JOINED)
    life.passes(TIMING.hello_timeout + 2)
    assert life.attempts == 2
    life(ENDED)
    assert life.state.state is State.CONNECTING
    life(JOINED, GREETED)
    assert life.state.state is State.STARTING


# outages ----------------------------------------------------------------------------------------------------


def test_after_a_link_that_lasted_the_next_is_made_at_once_the_way_that_it_went(life: Life) -> None:
    orders = life(ENDED)
    assert life.state.state is State.DOWN
    assert connect(orders) == ev.Connect(may_ask=False, bypass_master=False, timeout=TIMING.attempt_timeout)
    assert logged(orders) == ["it ended; reconnecting"]
    life.at += 3
    assert logged(life(JOINED, GREETED)) == ["reconnected (nothing lost) after 3 s"]
    assert (life.state.state, life.state.outages.count, life.state.outages.longest) == (State.STARTING, 1, 3.0)
    life(ev.Signal.SESSION_UP)
    assert life.state.state is State.UP


def test_attempts_that_fail_are_made_ever_more_slowly_and_past_the_master(life: Life) -> None:
    life(ENDED)
    waited = []
    for _ in range(8):
        began = life.at
        life(FAILED)
        life.passes(60, until=lambda: life.state.attempts.current is not None)
        waited.append(life.at - began)
        assert life.orders[-1] == ev.Connect(may_ask=False, bypass_master=True, timeout=TIMING.attempt_timeout)
    assert waited == pytest.approx([1, 2, 4, 8, 15, 15, 15, 15])


def test_links_that_end_at_once_are_made_ever_more_slowly(life: Life) -> None:
    waited = []
    for _ in range(5):
        began = life.at
        life(ENDED)
        life.passes(60, until=lambda: life.state.attempts.current is not None)
        waited.append(life.at - began)
        life(JOINED, GREETED, ev.Signal.SESSION_UP)
    assert waited == pytest.approx([0, 1, 2, 4, 8])


def test_two_protocol_errors_in_a_row_begin_another_mux(life: Life) -> None:
    broken = ev.LinkEnded(reason="protocol: no such frame", is_protocol_error=True)
    assert not kinds(life(broken), ev.Order.REPLACE_MUX)
    life(JOINED)
    assert kinds(life(broken), ev.Order.REPLACE_MUX)


@pytest.mark.parametrize("code", ["no-python", "unreachable"])
def test_a_host_that_lacks_something_is_looked_at_again(code: str, life: Life) -> None:
    error = next(each for each in FarlabError.__subclasses__() if each.slug == code)("it is so")
    life(ENDED, ev.AttemptFailed(error=error))
    assert life.state.state is State.DOWN
    assert kinds(life.passes(2), ev.Connect)


def test_a_session_that_is_not_there_any_more_has_ended(life: Life) -> None:
    life(ENDED)
    orders = life(ev.AttemptFailed(error=NoSession("gone")))
    assert life.state.state is State.ENDED
    assert kinds(orders, ev.Order.SESSION_GONE)
    assert not kinds(life.passes(600), ev.Connect)
    assert connect(life(user()))


# silence ----------------------------------------------------------------------------------------------------


def silent(life: Life) -> list[ev.Action]:
    """What is ordered until nothing has been heard for too long."""
    return life.passes(30, until=lambda: life.state.state is State.SILENT)


def test_beside_a_silent_link_a_second_is_made_past_the_master_and_the_first_may_speak_yet(life: Life) -> None:
    began, orders = life.at, silent(life)
    assert life.at - began <= TIMING.silence + 1
    assert connect(orders).bypass_master is True
    assert logged(orders)[-1].endswith("; opening a second connection")
    life.hears()
    orders = life.passes(1)
    assert life.state.state is State.UP
    assert logged(orders)[0].startswith("the connection is alive again after")
    life(JOINED, GREETED)
    assert life.state.link is not None
    assert life.state.link.bypassed_master


def test_the_greeting_over_a_second_link_is_no_sign_of_life_of_the_first(life: Life) -> None:
    silent(life)
    life(JOINED)
    life.hears()
    assert logged(life(GREETED))[0].startswith("reconnected (nothing lost) after")


def test_after_a_changed_network_the_answer_to_a_ping_ends_the_silence(life: Life) -> None:
    life(ev.NetworkChanged(source="10.9.9.9", is_link_cut_off=True))
    assert life.state.state is State.SILENT
    life.at += 0.1
    life.hears()
    life(ev.PingAnswered(round_trip=0.05))
    assert life.state.state is State.UP


def test_what_a_silent_link_brings_ends_its_outage(life: Life) -> None:
    silent(life)
    life.hears()
    assert logged(life(ev.Signal.SESSION_UP))[0].startswith("the connection is alive again after")
    assert not life.state.attempts.is_wanted


def test_a_second_link_that_needs_the_user_is_tried_once(life: Life) -> None:
    silent(life)
    life(refused())
    assert life.state.state is State.SILENT
    assert not kinds(life.passes(600), ev.Connect)
    life.hears()
    life.passes(1)
    assert life.state.state is State.UP
    orders = silent(life)
    assert not kinds(orders, ev.Connect)
    assert logged(orders)[-1].endswith("; a second connection needs you")
    assert connect(life(user(may_ask=True))) == ev.Connect(may_ask=True, bypass_master=True, timeout=None)


def test_a_user_who_connects_to_a_session_that_is_there_changes_nothing(life: Life) -> None:
    assert life(user(may_ask=True)) == []
    silent(life)
    assert life(user(may_ask=True)) == []


def test_a_host_that_answers_probes_makes_silence_shorter_and_a_false_alarm_longer(life: Life) -> None:
    waited = []
    for _ in range(2):
        began = life.at
        orders = life.passes(7, until=lambda: life.state.liveness.is_probing)
        assert kinds(orders, ev.Probe)[0].endpoints == DOOR
        life(ev.HostAnswered(sent=life.at, was_away=False))
        silent(life)
        waited.append(life.at - began)
        life(ev.AttemptFailed(error=UNREACHABLE))
        life.hears()
        life.goes_on(3)
    assert waited[0] < waited[1] <= TIMING.silence + 1


def test_a_full_slow_network_loses_probes_and_no_link(life: Life) -> None:
    life.is_backlogged = True
    life.passes(4)
    life(ev.HostAnswered(sent=life.at, was_away=True))
    life(ev.HostAnswered(sent=life.at, was_away=False))
    life.passes(1)
    assert life.state.state is State.UP


def test_the_first_answer_after_a_lost_probe_ends_the_attempt_that_waits_and_one_wait(life: Life) -> None:
    life(ENDED)
    assert kinds(life.passes(2), ev.Probe)
    life.at += 1
    assert kinds(life(ev.HostAnswered(sent=life.at, was_away=True)), ev.Order.CANCEL_ATTEMPT)
    assert connect(life(ev.Signal.ATTEMPT_CANCELLED))
    life(FAILED)
    assert not kinds(life.passes(0.5), ev.Connect)


def test_a_probe_that_was_answered_before_the_attempt_began_does_not_end_it(life: Life) -> None:
    life(ENDED)
    life.passes(2)
    assert not kinds(life(ev.HostAnswered(sent=life.at - 10, was_away=True)), ev.Order.CANCEL_ATTEMPT)


@pytest.mark.parametrize("why", ["slept", "network"])
def test_a_changed_network_is_believed_within_a_second(why: str, life: Life) -> None:
    began = life.at
    if why == "slept":
        life(ev.Ticked(slept="this machine slept"))
    else:
        life(ev.NetworkChanged(source="10.9.9.9"))
    life.passes(0.2)
    assert kinds(life.orders, ev.Probe, ev.Order.SEND_PING)
    life(ev.HostAnswered(sent=life.at, was_away=False))
    silent(life)
    assert life.at - began < 1


def test_a_link_whose_address_is_gone_is_not_waited_for(life: Life) -> None:
    orders = life(ev.NetworkChanged(source="10.9.9.9", is_link_cut_off=True))
    assert connect(orders)
    assert "this machine lost the address that the connection used; opening a second connection" in logged(orders)


def test_changes_that_do_not_concern_the_way_to_the_host_are_nothing(life: Life) -> None:
    assert life(ev.NetworkChanged(source="10.0.0.2")) == []


def looked_up(life: Life, seconds: int) -> list[float]:
    """When names are looked up in that time, in vain."""
    found = []
    for _ in range(10 * seconds):
        if kinds(life.passes(0.1), ev.Order.RESOLVE_ENDPOINTS):
            found.append(life.at)
            life(ev.EndpointsFound(endpoints=()))
    return found


def test_in_a_dead_network_the_host_is_looked_up_ever_more_seldom_until_that_changes(life: Life) -> None:
    life(ENDED)
    assert 3 <= len(looked_up(life, 15)) <= 5
    assert 38 <= len(looked_up(life, 600)) <= 52
    assert not life.state.liveness.is_lookup_due(life.at, 3.0)
    life.at += 4
    assert kinds(life(ev.NetworkChanged(source="10.9.9.9")), ev.Order.RESOLVE_ENDPOINTS)


# time constants ---------------------------------------------------------------------------------------------


def test_time_constants_can_be_handed_in_and_nonsense_is_left_out() -> None:
    given = from_json(
        '{"silence": 2, "backoff": [0, 0.5], "tick": -1, "slow_after": true, "other": 1, "jitter": NaN,'
        '"host": {"start": 9, "shell": "x"}}'
    )
    assert given == replace(Timing(), silence=2, backoff=(0, 0.5), host=(("start", 9),))
    for text in ("", "{", "[]", "[" * 100_000, '{"backoff": []}', '{"backoff": [-1]}', '{"silence": 1e999}'):
        assert from_json(text) == Timing()


@pytest.mark.parametrize("chance", [0.0, 0.25, 0.999])
def test_a_delay_is_spread_by_a_quarter_at_most(chance: float) -> None:
    for failures in range(10):
        plain = TIMING.delay(failures, 0.5)
        assert plain * 0.75 <= Timing().delay(failures, chance) <= plain * 1.25
