"""Fixtures of the pure tests."""

from __future__ import annotations

import pytest

from farlab.keeper import events as ev
from farlab.model import State
from policy_life import DOOR, GREETED, JOINED, Life, user


@pytest.fixture
def life() -> Life:
    """One whose session is up, over a link that works, found where it can be probed."""
    life = Life()
    life(user(), JOINED)
    life.hears()
    life(GREETED, ev.Signal.SESSION_UP, ev.Signal.SERVER_ANSWERED, ev.EndpointsFound(endpoints=DOOR, source="10.0.0.2"))
    life.goes_on(10)
    assert life.state.state is State.UP
    life.orders.clear()
    return life
