"""Frames: bytes cut anywhere give the same frames, and memory is not held longer than its worth."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farlab.mux import codec, frames
from farlab.mux.codec import GAP, CheckedCodec, PlainCodec, read_hello
from farlab.mux.frames import VERSION, ProtocolError, pack_text

HELLO = {"version": 1, "line": "0123456789abcdef", "life": 0, "link": 1, "received": 0}
COUNTS = ("version", "life", "link", "received")
any_frame = st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.binary(max_size=60))
foreign = st.one_of(st.just(b""), st.binary(max_size=60), st.sampled_from([codec._MARK, codec._MARK[:1], bytes(22)]))
CODECS = {1: lambda: (PlainCodec(), PlainCodec()), 2: lambda: (CheckedCodec(1, 2), CheckedCodec(2, 1))}
versions = pytest.mark.parametrize("version", [1, VERSION])


def encode(kind: int, stream: int, payload: bytes, number: int = 0, version: int = 1) -> bytes:
    return b"".join(CODECS[version]()[0].pack(kind, stream, number, payload))


def said_hello(hello: dict | bytes, version: int, stream: int = 0) -> bytes:
    """A client's first frame."""
    maker = PlainCodec() if version == 1 else CheckedCodec(0, codec.HELLO_KEY)
    return b"".join(maker.pack(frames.HELLO, stream, 0, hello if isinstance(hello, bytes) else pack_text(hello)))


def read(version: int, pieces: list[bytes]) -> list[tuple[int, int, int | None, bytes]]:
    reader = CODECS[version]()[1]
    found = [(*frame[:3], bytes(frame[3])) for piece in pieces for frame in reader.feed(piece)]
    return [frame for frame in found if frame[0] != GAP]


def cut(text: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@versions
@given(st.lists(any_frame, max_size=12), st.data())
def test_frames_are_the_same_wherever_the_bytes_are_cut(version: int, wanted: list, data: st.DataObject) -> None:
    text = b"".join(encode(kind, stream, payload, number, version) for kind, stream, number, payload in wanted)
    if version == 1:
        wanted = [(kind, stream, None, payload) for kind, stream, _, payload in wanted]
    assert read(version, cut(text, data)) == wanted


@given(st.lists(st.tuples(any_frame, foreign), max_size=12), st.data())
def test_whole_frames_are_found_whatever_stands_between_them(wanted: list, data: st.DataObject) -> None:
    text = b"".join(
        before + encode(kind, stream, payload, number, VERSION) for (kind, stream, number, payload), before in wanted
    )
    assert read(VERSION, cut(text, data)) == [frame for frame, _ in wanted]


@given(any_frame, any_frame, foreign, st.data())
def test_a_frame_with_something_inside_is_none_and_the_next_one_is(
    hit: tuple, good: tuple, inside: bytes, data: st.DataObject
) -> None:
    first, second = (encode(each[0], each[1], each[3], each[2], VERSION) for each in (hit, good))
    at = data.draw(st.integers(1, len(first) - 1))
    text = first[:at] + (inside or b"x") + first[at:] + second
    assert read(VERSION, cut(text, data))[-1:] == [good]
    assert len(read(VERSION, [text])) == (2 if first in text[: -len(second)] else 1)


@given(any_frame, any_frame, any_frame, st.data())
def test_a_frame_of_which_something_is_missing_is_none(
    hit: tuple, good: tuple, last: tuple, data: st.DataObject
) -> None:
    first, *rest = (encode(each[0], each[1], each[3], each[2], VERSION) for each in (hit, good, last))
    at = data.draw(st.integers(0, len(first) - 1))
    size = data.draw(st.integers(1, len(first) - at))
    text = first[:at] + first[at + size :] + b"".join(rest)
    assume(not text.startswith(first))  # the byte after it may be the one that is missing
    assert read(VERSION, cut(text, data))[-2:] == [good, last]


@versions
def test_a_frame_may_be_as_long_as_allowed_and_no_longer(version: int) -> None:
    frame = encode(17, 1, bytes(frames.MAX_PAYLOAD), 1, version)
    assert [len(frame[3]) for frame in CODECS[version]()[1].feed(frame)] == [frames.MAX_PAYLOAD]
    too_long = encode(17, 1, bytes(frames.MAX_PAYLOAD + 1), 1, version)
    if version == 1:
        with pytest.raises(ProtocolError):
            list(PlainCodec().feed(too_long[:8]))
    else:
        assert read(version, [too_long]) == []


@versions
def test_a_small_payload_does_not_keep_what_was_read_in_memory(version: int) -> None:
    text = encode(17, 1, bytes(100), 1, version) + encode(17, 1, bytes(60000), 2, version)
    small, large = (frame[3] for frame in CODECS[version]()[1].feed(text))
    assert isinstance(small, bytes)
    assert isinstance(large, memoryview), "a large one is not copied"


@versions
def test_a_hello_is_split_from_what_follows(version: int) -> None:
    text = said_hello(HELLO, version)
    for size in range(len(text)):
        assert read_hello(text[:size], version) is None
    assert read_hello(text + b"rest", version) == (HELLO, b"rest")


def test_a_hello_is_found_behind_what_others_print() -> None:
    text = b"Welcome!\n" + codec._MARK + said_hello(HELLO, VERSION) + b"rest"
    for size in range(len(text) - 4):
        assert read_hello(text[:size], VERSION) is None
    assert read_hello(text, VERSION) == (HELLO, b"rest")


@versions
def test_a_hello_may_say_more_than_is_known_today(version: int) -> None:
    hello = {**HELLO, "version": 7, "more": [1, {"x": None}]}
    assert read_hello(said_hello(hello, version), version) == (hello, b"")


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
@versions
def test_a_hello_without_its_fields_is_refused(change: dict, version: int) -> None:
    with pytest.raises(ProtocolError):
        read_hello(said_hello({**HELLO, **change}, version), version)


@pytest.mark.parametrize(
    "text",
    [
        b"SSH-2.0-",
        b"\x02",
        said_hello(HELLO, 1, stream=1),
        said_hello(b"[]", 1),
        said_hello(b"\xff", 1),
        said_hello(b"[" * 60000, 1),
        said_hello(b"9" * 60000, 1),
        said_hello(bytes(frames.MAX_TEXT + 1), 1)[:8],
    ],
    ids=lambda text: repr(text[:12]),
)
def test_what_is_no_hello_is_refused_as_soon_as_it_can_be_known(text: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_hello(text, 1)


def test_text_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(ValueError, match="text of"):
        pack_text({"x": "y" * frames.MAX_TEXT})
