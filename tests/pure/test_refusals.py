"""How a host that refuses is spared."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from farlab.keeper import events as ev
from farlab.keeper.timing import Timing
from policy_life import ENDED, FAILED, TURNED_AWAY, Life, kinds, user


def test_a_host_that_refuses_is_left_alone_for_longer_than_a_ban_lasts() -> None:
    """At most four connections in half a minute, and silences of more than 30 s and of more than ten minutes."""
    life, at = Life(), list[float]()
    life.state = replace(life.state, timing=Timing(jitter=0.0), was_up=True)
    life(user())
    for _ in range(30):
        life.passes(1300, until=lambda: life.state.attempts.current is not None)
        at.append(life.at)
        life(ev.AttemptFailed(error=TURNED_AWAY))
    pauses = [then - now for now, then in itertools.pairwise(at)]
    assert all(sum(0 <= then - now < 30 for then in at) <= 4 for now in at), at
    assert pauses[:3] == pytest.approx([1, 3, 8])
    assert [min(pauses[:6]), max(pauses[3:6]) > 30, max(pauses[6:15]) > 600, max(pauses[15:]) > 600] == [1, 1, 1, 1]
    assert min(pauses[6:]) >= 30


def test_a_probe_that_is_refused_ends_the_probes_and_hastens_nothing(life: Life) -> None:
    life(ENDED, FAILED)
    life.passes(0.5)
    assert life.state.liveness.is_probing
    life(ev.HostAnswered(sent=life.at, was_away=True, is_refused=True))
    assert not kinds(life.passes(0.4), ev.Connect)
    orders = life.passes(60, until=lambda: life.state.attempts.current is not None)
    assert not kinds(orders, ev.Probe)
    life(FAILED)  # nothing came back: probes do no harm
    assert kinds(life.passes(5), ev.Probe)


def test_where_nothing_ever_comes_back_nothing_is_sent_for_a_minute_and_later_for_ten(life: Life) -> None:
    """A firewall that drops what comes, and lets in who has not come for some time, looks like a dead network."""
    life(ENDED)
    began, quiet, sent, intervals = life.at, [], life.at, list[float]()
    while life.at < began + 6000:
        orders = life.passes(1.0)
        intervals += [order.interval for order in kinds(orders, ev.Probe)]
        current = life.state.attempts.current
        if current and current.is_cancelled:
            life(ev.Signal.ATTEMPT_CANCELLED)
        elif current and life.at - current.began > 15:
            life(FAILED)
        if life.state.liveness.is_probing or life.state.attempts.current:
            quiet += [(sent - began, life.at - sent)] if life.at - sent > 3 else []
            sent = life.at
    assert [(round(when, -2), round(pause)) for when, pause in quiet] == [(600, 66), (3600, 621)]
    assert [interval for interval, _ in itertools.groupby(intervals)] == [0.1, 1.0, 5.0]
    life(ev.HostAnswered(sent=life.at, was_away=True))
    assert not life.state.refusals.silences
