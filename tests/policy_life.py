"""A keeper's policy with a clock of its own, for the tests of `farlab.keeper.policy`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from farlab.errors import Authentication, Unreachable
from farlab.keeper import events as ev
from farlab.keeper.link_state import initial
from farlab.keeper.policy import decide
from farlab.keeper.timing import Timing
from farlab.model import Target
from farlab.transport.base import Endpoint

TIMING = Timing(jitter=0.0, refused_pauses=(1.0, 3.0, 8.0, 20.0, 15.0, 35.0, 20.0, 40.0))
DOOR = (Endpoint(family=2, address=("10.0.0.1", 22)),)
UNREACHABLE, REFUSED, TURNED_AWAY = Unreachable("cannot reach `gpu1`"), Authentication("refused"), Unreachable("no")
UNREACHABLE.is_unanswered = True


class Life:
    """A keeper's policy with its clock, and all that it ordered."""

    def __init__(self, *, is_resumed: bool = False) -> None:
        self.at, self.bytes_in, self.is_backlogged = 1000.0, 0, False
        self.state = initial(Target(host="gpu1"), TIMING, self.at, is_resumed=is_resumed)
        self.orders: list[ev.Action] = []

    def __call__(self, *events: ev.Event) -> list[ev.Action]:
        """What is ordered when that happens, all in one moment."""
        orders: list[ev.Action] = []
        for event in events:
            now = ev.Moment(at=self.at, bytes_in=self.bytes_in, is_backlogged=self.is_backlogged)
            self.state, found = decide(self.state, event, now)
            orders += found
        self.orders += orders
        return orders

    def passes(self, seconds: float, *, until: Callable[[], bool] = lambda: False) -> list[ev.Action]:
        """What is ordered while so much time passes, or until that holds."""
        end, orders = self.at + seconds, list[ev.Action]()
        while self.at < end and not until():
            self.at = min(end, max(self.at, self.state.next_tick(self.at)))
            orders += self(ev.Ticked())
        return orders

    def hears(self) -> None:
        """Bytes come over the link."""
        self.bytes_in += 1

    def goes_on(self, seconds: float) -> list[ev.Action]:
        """What is ordered while every ping is answered."""
        end, orders = self.at + seconds, list[ev.Action]()
        while self.at < end:
            orders += self.passes(TIMING.tick)
            self.hears()
            orders += self(ev.PingAnswered(round_trip=0.05))
        return orders

    @property
    def attempts(self) -> int:
        return sum(isinstance(order, ev.Connect) for order in self.orders)


JOINED, GREETED, ENDED = (
    ev.LinkJoined(source="10.0.0.2"),
    ev.LinkGreeted(is_resumed=True),
    ev.LinkEnded(reason="it ended"),
)


def user(*, may_ask: bool = False) -> ev.UserConnects:
    return ev.UserConnects(options={}, may_ask=may_ask)


def refused(*, has_master: bool = False) -> ev.AttemptFailed:
    return ev.AttemptFailed(error=REFUSED, has_master=has_master)


FAILED, LATE = ev.AttemptFailed(error=UNREACHABLE), ev.HostAnswered(sent=math.inf, was_away=True)


def kinds(orders: list[ev.Action], *kinds: type | ev.Order) -> list[Any]:
    """Those of these classes, and those orders themselves."""
    return [order for order in orders if order in kinds or type(order) in kinds]


def logged(orders: list[ev.Action]) -> list[str]:
    return [order.text for order in orders if isinstance(order, ev.Log)]


def connect(orders: list[ev.Action]) -> ev.Connect:
    """The one attempt among them."""
    [found] = kinds(orders, ev.Connect)
    assert isinstance(found, ev.Connect)
    return found
