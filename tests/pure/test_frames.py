"""Frames: bytes cut anywhere give the same frames, and memory is not held longer than its worth."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.remote import frames
from farlab.remote.frames import Frames, ProtocolError, encode, encode_text, read_hello

HELLO = {"version": 1, "line": "0123456789abcdef", "life": 0, "link": 1, "received": 0}
COUNTS = ("version", "life", "link", "received")
any_frame = st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=60))


@given(st.lists(any_frame, max_size=12), st.data())
def test_frames_are_the_same_wherever_the_bytes_are_cut(wanted: list, data: st.DataObject) -> None:
    text = b"".join(encode(*frame) for frame in wanted)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    reader, got = Frames(), []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        got += [(kind, stream, bytes(payload)) for kind, stream, payload in reader.feed(text[start:end])]
    assert got == wanted


def test_a_frame_may_be_as_long_as_allowed_and_no_longer() -> None:
    assert [len(frame[2]) for frame in Frames().feed(encode(17, 1, bytes(frames.MAX_PAYLOAD)))] == [frames.MAX_PAYLOAD]
    with pytest.raises(ProtocolError):
        list(Frames().feed(encode(17, 1, bytes(frames.MAX_PAYLOAD + 1))[:8]))


def test_a_small_payload_does_not_keep_what_was_read_in_memory() -> None:
    text = encode(17, 1, bytes(100)) + encode(17, 1, bytes(60000))
    small, large = (payload for _, _, payload in Frames().feed(text))
    assert isinstance(small, bytes)
    assert isinstance(large, memoryview), "a large one is not copied"


def test_a_hello_is_split_from_what_follows() -> None:
    text = encode_text(frames.HELLO, HELLO)
    for size in range(len(text)):
        assert read_hello(text[:size]) is None
    assert read_hello(text + b"rest") == (HELLO, b"rest")


def test_a_hello_may_say_more_than_is_known_today() -> None:
    hello = {**HELLO, "version": 7, "more": [1, {"x": None}]}
    assert read_hello(encode_text(frames.HELLO, hello)) == (hello, b"")


@pytest.mark.parametrize(
    "change",
    [
        *(
            {key: value}
            for key in ("version", "life", "link", "received")
            for value in (-1, 1 << 63, 1.0, True, "1", None)
        ),
        *({"line": value} for value in ("short", "x" * 65, "0123456789abcde/", "0123456789abcdeé", "²" * 16, 17, None)),
        {"version": 0},
    ],
    ids=str,
)
def test_a_hello_without_its_fields_is_refused(change: dict) -> None:
    with pytest.raises(ProtocolError):
        read_hello(encode_text(frames.HELLO, {**HELLO, **change}))


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-",
        b"\x02",
        encode(frames.HELLO, 1, json.dumps(HELLO).encode()),
        encode(frames.HELLO, 0, b"[]"),
        encode(frames.HELLO, 0, b"\xff"),
        encode(frames.HELLO, 0, b"[" * 60000),
        encode(frames.HELLO, 0, b"9" * 60000),
        encode(frames.HELLO, 0, bytes(frames.MAX_TEXT + 1))[:8],
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_hello_is_refused_as_soon_as_it_can_be_known(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_hello(text)


def test_text_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="text of"):
        encode_text(frames.MESSAGE, {"x": "y" * frames.MAX_TEXT})
