"""What the policy decides where a login is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

from farlab.errors import (
    CannotAsk,
    FarlabError,
    HostKeyChanged,
    Internal,
    Interrupted,
    Usage,
)
from farlab.keeper import events as ev
from farlab.model import State
from policy_life import (
    ENDED,
    FAILED,
    GREETED,
    LATE,
    REFUSED,
    TIMING,
    Life,
    connect,
    kinds,
    refused,
    user,
)  # fmt: skip


@pytest.mark.parametrize("error", [REFUSED, CannotAsk("nobody there"), HostKeyChanged("another key")])
@pytest.mark.parametrize("how", ["asked", "over a master"])
def test_a_refused_login_that_needs_a_user_waits_for_them_or_for_what_it_uses(how: str, error: FarlabError) -> None:
    life = Life()
    asked = [ev.Prompted(is_open=True), ev.Prompted(is_open=False)] if how == "asked" else []
    joined = ev.LinkJoined(source="10.0.0.2", is_shared=how != "asked")
    life(user(may_ask=True), *asked, joined, GREETED, ev.Signal.SESSION_UP, ev.Signal.SERVER_ANSWERED)
    life.goes_on(10)
    found = life(ENDED)
    assert kinds(found, ev.Order.NOTE_LOGIN)
    orders = life(ev.AttemptFailed(error=error))
    assert life.state.state is State.BLOCKED
    assert kinds(orders, ev.Order.WATCH_LOGIN)
    changed = ev.NetworkChanged(source="10.9.9.9")
    assert not kinds([*life(changed, LATE, ev.Signal.USER_LEFT), *life.passes(3600)], ev.Connect)
    found = life(ev.Signal.LOGIN_CHANGED)
    assert kinds(found, ev.Order.STOP_WATCHING_LOGIN)
    assert connect(found).bypass_master is False
    assert life.state.state is State.DOWN
    life(ev.AttemptFailed(error=error))
    assert connect(life(user(may_ask=True))).may_ask


def refusals(life: Life, error: FarlabError, seconds: float) -> list[float]:
    """When a login is tried that is refused each time, in seconds from now."""
    began, found, end = life.at, list[float](), life.at + seconds
    while life.at < end:
        life.passes(end - life.at, until=lambda: life.state.attempts.current is not None)
        if life.state.attempts.current:
            found.append(round(life.at - began))
            life(ev.AttemptFailed(error=error))
    return found


@pytest.mark.parametrize(("error", "due"), [
    (REFUSED, [0, 60, 300, 900, 4500, 8100]),
    (CannotAsk("nobody there"), [0, 60, 300, 900, 4500, 8100]),
    (Interrupted("no", hint=""), [0]),
])  # fmt: skip
def test_a_login_that_needed_nobody_is_tried_again_less_and_less(
    error: FarlabError, due: list[float], life: Life
) -> None:
    life(ENDED)
    found = refusals(life, error, 9000)
    assert len(found) == len(due)
    assert all(abs(seen - wanted) <= 6 for seen, wanted in zip(found, due, strict=True)), found
    assert life.state.state is State.BLOCKED


def test_another_host_key_is_looked_at_again_each_ten_minutes(life: Life) -> None:
    life(ENDED)
    found = refusals(life, HostKeyChanged("another key"), 7200)
    assert all(600 <= later - seen <= 660 for seen, later in pairwise(found)), found
    assert len(found) > 10


def test_another_network_is_worth_one_try_and_a_storm_of_changes_four_in_ten_minutes(life: Life) -> None:
    life(ENDED, refused())
    assert connect(life(ev.NetworkChanged(source="10.9.9.9")))
    life(refused())
    tries = 0
    for second in range(600):
        life.at += 1
        tries += len(kinds(life(ev.Signal.LOGIN_CHANGED, ev.Ticked(slept="it slept"), ev.Ticked()), ev.Connect))
        if life.state.attempts.current:
            life(refused())
        life(ev.NetworkChanged(source=f"10.9.8.{second % 200}"))
        if life.state.attempts.current:
            tries += 1
            life(refused())
    assert tries == 2


@pytest.mark.parametrize("error", [Usage("line 2"), Internal("no `ssh`")])
def test_what_is_wrong_on_this_machine_is_no_login_and_just_goes_on(error: FarlabError, life: Life) -> None:
    life(ENDED)
    assert len(refusals(life, error, 120)) >= 10
    assert life.state.state is State.DOWN


def test_past_the_master_refused_means_by_way_of_the_master_and_not_past_it_again(life: Life) -> None:
    life(ENDED, FAILED)
    life.passes(2)
    orders = life(refused(has_master=True))
    assert connect(orders).bypass_master is False
    assert life.state.state is State.DOWN
    life(FAILED)
    life.passes(60, until=lambda: life.state.attempts.current is not None)
    assert life.orders[-1] == ev.Connect(may_ask=False, bypass_master=False, timeout=TIMING.attempt_timeout)
    life(refused(has_master=True))
    assert life.state.state is State.BLOCKED


def test_a_user_who_can_answer_takes_the_place_of_an_attempt_that_cannot_ask(life: Life) -> None:
    life(ENDED)
    orders = life(user(may_ask=True))
    assert kinds(orders, ev.Order.CANCEL_ATTEMPT, ev.Connect) == [ev.Order.CANCEL_ATTEMPT]
    assert connect(life(ev.Signal.ATTEMPT_CANCELLED)) == ev.Connect(may_ask=True, bypass_master=False, timeout=None)
    assert kinds(life(ev.Signal.USER_LEFT), ev.Order.CANCEL_ATTEMPT)
    assert connect(life(ev.Signal.ATTEMPT_CANCELLED)).may_ask is False


def test_a_question_that_is_not_answered_is_not_put_again(life: Life) -> None:
    life(ENDED, user(may_ask=True), ev.Signal.ATTEMPT_CANCELLED, ev.Prompted(is_open=True))
    assert life.state.state is State.ASKING
    assert kinds(life(ev.Signal.USER_DECLINED, ev.Signal.USER_LEFT), ev.Order.CANCEL_ATTEMPT) == [
        ev.Order.CANCEL_ATTEMPT
    ]
    life(ev.Prompted(is_open=False), ev.Signal.ATTEMPT_CANCELLED)
    assert isinstance(life.state.reason, Interrupted)
    assert life.state.state is State.BLOCKED
