"""Only what was asked is an answer: a host cannot set its own round trip, nor make a silence of what it says."""

from __future__ import annotations

import math
import struct
import time

import pytest

from farlab.keeper.heartbeat import Heartbeat

FORGED = [struct.pack(">d", value) for value in (math.nan, math.inf, -math.inf, 0.0, 1e300, -1e300)]


@pytest.mark.parametrize("mark", [*FORGED, bytes(8), b"\xff" * 8, b"", b"x" * 99], ids=repr)
def test_an_answer_to_nothing_says_nothing(mark: bytes) -> None:
    heartbeat = Heartbeat()
    heartbeat.mark()
    for forged in (mark, struct.pack(">d", time.monotonic() + 1e9), struct.pack(">d", time.monotonic())):
        assert heartbeat.answered(forged) is None


def test_an_answer_counts_once_and_is_measured_from_when_it_was_asked() -> None:
    heartbeat = Heartbeat()
    mark = heartbeat.mark()
    first = heartbeat.answered(mark)
    assert first is not None
    assert 0 <= first < 60
    assert heartbeat.answered(mark) is None


def test_what_is_never_answered_is_not_remembered_for_ever() -> None:
    heartbeat = Heartbeat()
    marks = [heartbeat.mark() for _ in range(10_000)]
    assert heartbeat.answered(marks[0]) is None
    assert heartbeat.answered(marks[-1]) is not None
    assert len(set(marks)) == 10_000
