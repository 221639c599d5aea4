"""What an anchor tells, read as values: whatever a host says, nothing is taken for what it should be."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from farlab.keeper.told import FarEnd, Told

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("state", "node", "token", "base_url", "pid", "answers", "keep_output", "limit", "full", "other")
FULL = st.fixed_dictionaries({}, optional={"ago": ANYTHING, "for": ANYTHING})


def test_a_session_is_what_its_anchor_tells() -> None:
    words = {"state": "up", "node": "n1", "token": "t", "pid": 7, "answers": False, "keep_output": True, "other": 1}
    assert Told.of(words) == Told(state="up", node="n1", token="t", pid=7, answers=False, keep_output=True)


def test_what_is_not_told_is_empty() -> None:
    assert Told.of({}) == Told(state="", node="", pid=None, answers=True, keep_output=False)
    assert FarEnd.of({}, 1000.0) == FarEnd(limit=0, full_since=None, full_seconds=0.0)


def test_times_of_the_far_end_are_told_as_times_of_here() -> None:
    told = {"limit": 1 << 20, "seconds": 60.0, "full": {"ago": 100, "for": 2.5}}
    assert FarEnd.of(told, 1000.0) == FarEnd(limit=1 << 20, full_since=900.0, full_seconds=2.5)


@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING | FULL))
def test_nothing_that_a_host_says_ends_its_reader(words: dict[str, Any]) -> None:
    told, far_end = Told.of(words), FarEnd.of(words, 1000.0)
    assert all(isinstance(text, str) for text in (told.state, told.node, told.token, told.base_url))
    assert told.pid is None or isinstance(told.pid, int)
    assert isinstance(far_end.limit, int)
    assert far_end.full_since is None or isinstance(far_end.full_since, float)
