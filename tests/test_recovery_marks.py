"""Only what was asked is an answer: a host cannot set its own round trip, nor make a silence of what it says."""

from __future__ import annotations

import asyncio
import math
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from farlab.keeper.failure_detector import Verdict
from farlab.keeper.recovery import Recovery
from farlab.model import State, Target


class Stub:
    """What `Recovery` needs of a keeper whose line goes nowhere: it remembers the marks of pings."""

    def __init__(self) -> None:
        self.target, self.state = Target(host="far"), State.UP
        self.line = self.carrier = self.maker = self.local_state = self
        self.marks: list[bytes] = []
        self.is_linked = self.is_greeted = self.was_up = True
        self.held = self.bytes_in = self.heard = self.tries = 0
        self.is_slow = False

    def ping(self, mark: bytes) -> None:
        self.marks.append(mark)

    def pump(self) -> None: ...

    def log(self, text: str) -> None: ...


def recovery(then: Callable[[Recovery, Stub], None]) -> None:
    async def run() -> None:
        keeper: Any = Stub()
        then(Recovery(keeper), keeper)

    asyncio.run(run())


FORGED = [struct.pack(">d", value) for value in (math.nan, math.inf, -math.inf, 0.0, 1e300, -1e300)]


@pytest.mark.parametrize("mark", [*FORGED, bytes(8), b"\xff" * 8, b"", b"x" * 99], ids=repr)
def test_an_answer_to_nothing_says_nothing(mark: bytes) -> None:
    def then(ours: Recovery, keeper: Stub) -> None:
        for forged in (mark, struct.pack(">d", time.monotonic() + 1e9), struct.pack(">d", time.monotonic())):
            ours.answered(forged)
        assert ours.pulse.watch.round_trip is None
        now = time.monotonic()
        assert ours.pulse.watch.is_due(now)
        assert ours.pulse.watch.verdict(now + 0.1) is Verdict.FINE

    recovery(then)


def test_an_answer_counts_once_and_is_measured_from_when_it_was_asked() -> None:
    def then(ours: Recovery, keeper: Stub) -> None:
        ours.ping()
        [mark] = keeper.marks
        ours.answered(mark)
        first = ours.pulse.watch.round_trip
        assert first is not None
        assert 0 <= first < 60
        ours.answered(mark)
        assert ours.pulse.watch.round_trip == first

    recovery(then)


def test_what_is_never_answered_is_not_remembered_for_ever() -> None:
    def then(ours: Recovery, keeper: Stub) -> None:
        for _ in range(10_000):
            ours.ping()
        ours.answered(keeper.marks[0])
        assert ours.pulse.watch.round_trip is None
        ours.answered(keeper.marks[-1])
        assert ours.pulse.watch.round_trip is not None
        assert len(set(keeper.marks)) == 10_000

    recovery(then)
