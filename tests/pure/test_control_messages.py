"""What a keeper takes of whoever speaks to it, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.errors import from_json
from farlab.keeper import control_messages
from farlab.keeper.buffers import BufferLimits
from farlab.model import App, Kernels, Question, QuestionKind, SessionOptions
from farlab.protocol.records import InvalidMessage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    "wish",
    [
        SessionOptions(),
        SessionOptions(
            directory="~/a b\udc80", environment="ml", setup=("module load x", "é"), app=App.LAB, notebook="a.ipynb"
        ),
        SessionOptions(
            port=65535,
            timeout=0.5,
            kernels=Kernels.PRIVATE,
            keep_output=True,
            keep_host=1 << 20,
            keep_laptop=1 << 40,
            keep_hours=0.1,
        ),
    ],
)
def test_a_wish_arrives_as_it_was_said(wish: SessionOptions) -> None:
    said = json.loads(json.dumps(asdict(wish)))
    assert control_messages.wish(said) == said


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keep_laptop", "x"),
        ("keep_laptop", -1),
        ("keep_laptop", 1),
        ("keep_host", 1 << 63),
        ("keep_hours", float("nan")),
        ("keep_hours", "2"),
        ("keep_hours", -1),
        ("port", 70000),
        ("port", 0),
        ("port", "8888"),
        ("timeout", []),
        ("timeout", float("inf")),
        ("directory", 7),
        ("directory", "a\0"),
        ("directory", "\ud800"),
        ("setup", "x"),
        ("setup", [7]),
        ("setup", ["x"] * 2000),
        ("app", {}),
        ("notebook", "x" * 5000),
        ("keep_output", "yes"),
    ],
)
def test_what_no_keeper_could_do_is_refused(key: str, value: Any) -> None:
    with pytest.raises(InvalidMessage, match=key):
        control_messages.wish({key: value})


@pytest.mark.parametrize("kind", ["secret", "yes-no", "notice", "of-a-newer-farlab", ""])
def test_a_question_of_no_known_kind_is_a_secret(kind: str) -> None:
    question = control_messages.Asked.read({"prompt": "code?", "kind": kind}).question
    assert question == Question(prompt="code?", kind=QuestionKind(kind if kind in list(QuestionKind) else "secret"))


@given(JSON | st.dictionaries(st.sampled_from(list(control_messages.Wished.fields())), JSON))
def test_of_any_wish_that_is_taken_limits_can_be_made(said: Any) -> None:
    try:
        wish = control_messages.wish(said)
    except InvalidMessage as wrong:
        error = control_messages.refusal(wrong)
        assert (error.slug, from_json(error.as_json()).hint) == ("usage", "")
        return
    limits = BufferLimits().with_options(wish)
    assert 1 << 20 <= limits.laptop <= 1 << 62
    assert 0 < limits.seconds < 1e11
    json.dumps(limits.message(), allow_nan=False)
