"""Each rule of the protocol that the other end can break: it is noticed, and costs the link and nothing else."""

from __future__ import annotations

import pytest

from farlab.remote import frames
from farlab.remote.frames import FIRST_WINDOW, MAX_PAYLOAD, ProtocolError, encode, encode_text
from line_pair import PairOfEnds

HELLO = {"version": 1, "line": "0123456789abcdefghij", "life": 1, "received": 0}
LARGEST = encode(frames.DATA, 1, bytes(MAX_PAYLOAD))
MUCH = encode(frames.WINDOW, 1, b"\xff" * 4)

TO_EITHER = {
    "a kind that is none": encode(99, 0),
    "a second hello": encode_text(frames.HELLO, HELLO),
    "a payload that is too long": frames.head(frames.DATA, 1, MAX_PAYLOAD + 1),
    "more acknowledged than was sent": encode(frames.ACK, 0, frames.COUNT.pack(1000)),
    "an ACK of the wrong size": encode(frames.ACK, 0, bytes(4)),
    "a PING on a stream": encode(frames.PING, 1, bytes(16)),
    "a PONG that acknowledges too much": encode(frames.PONG, 0, frames.BEAT.pack(1000, bytes(8))),
    "data on a stream never opened": encode(frames.DATA, 2, b"x"),
    "data on stream 0": encode(frames.DATA, 0, b"x"),
    "empty data": encode(frames.DATA, 1),
    "data after EOF": encode(frames.EOF, 1) + encode(frames.DATA, 1, b"x"),
    "a second EOF": encode(frames.EOF, 1) * 2,
    "an EOF that says something": encode(frames.EOF, 1, b"x"),
    "a RESET that says something": encode(frames.RESET, 1, b"x"),
    "a RESET of a stream never opened": encode(frames.RESET, 2),
    "a WINDOW of the wrong size": encode(frames.WINDOW, 1, bytes(8)),
    "a window beyond all bounds": MUCH * 2,
    "more than the window holds": LARGEST * (FIRST_WINDOW // MAX_PAYLOAD) + encode(frames.DATA, 1, b"x"),
    "a message that is no object": encode(frames.MESSAGE, 0, b"[1]"),
    "a message on a stream": encode(frames.MESSAGE, 1, b"{}"),
}
TO_ANCHOR = {
    "an OPEN of an old number": encode(frames.OPEN, 1, b"\x00"),
    "an OPEN of stream 0": encode(frames.OPEN, 0, b"\x00"),
    "an OPEN without a destination": encode(frames.OPEN, 2),
    "an OPEN with half a destination": encode(frames.OPEN, 2, b"\x05shop"),
    "an OPEN to what is not ASCII": encode(frames.OPEN, 2, b"\x02\xc3\xa9"),
}
TO_KEEPER = {"an OPEN by the answerer": encode(frames.OPEN, 2, b"\x00")}
BEFORE_THE_HELLO = {
    "a message": encode(frames.MESSAGE, 0, b"{}"),
    "an ACK": encode(frames.ACK, 0, frames.COUNT.pack(0)),
    "another line's": encode_text(frames.HELLO, {**HELLO, "line": "x" * 20}),
    "no life": encode_text(frames.HELLO, {**HELLO, "life": 0}),
    "a life before this one": encode_text(frames.HELLO, {**HELLO, "life": 1}),
    "a life to come": encode_text(frames.HELLO, {**HELLO, "life": 1000}),
    "a new life that has received something": encode_text(frames.HELLO, {**HELLO, "life": 3, "received": 1}),
    "more received than was sent": encode_text(frames.HELLO, {**HELLO, "life": 2, "received": 1000}),
}


@pytest.fixture
def ends() -> PairOfEnds:
    """Two ends in their line's second life, with one stream."""
    ends = PairOfEnds()
    ends.connect()
    ends.flow()
    ends.anchor = PairOfEnds().anchor
    ends.connect()
    ends.flow()
    ends.open()
    return ends


def refused(line, token: int, data: bytes) -> None:
    """The line refuses these bytes, lets go of the link, and goes on."""
    with pytest.raises(ProtocolError):
        line.receive(token, data)
    assert not line.linked
    assert 1 in line.streams


def check_that_it_goes_on(ends: PairOfEnds) -> None:
    """Another link stands, and a message arrives in both directions."""
    ends.connect()
    ends.flow()
    ends.keeper.message({"n": 1})
    ends.anchor.message({"n": 2})
    assert [[event.data for event in events] for events in ends.flow()] == [[{"n": 2}], [{"n": 1}]]


@pytest.mark.parametrize("broken", {**TO_EITHER, **TO_ANCHOR}.values(), ids={**TO_EITHER, **TO_ANCHOR}.keys())
def test_the_anchor_refuses(ends: PairOfEnds, broken: bytes) -> None:
    refused(ends.anchor, ends.anchor_token, broken)


@pytest.mark.parametrize("broken", {**TO_EITHER, **TO_KEEPER}.values(), ids={**TO_EITHER, **TO_KEEPER}.keys())
def test_the_keeper_refuses(ends: PairOfEnds, broken: bytes) -> None:
    refused(ends.keeper, ends.keeper_token, broken)


@pytest.mark.parametrize("broken", BEFORE_THE_HELLO.values(), ids=BEFORE_THE_HELLO.keys())
def test_the_keeper_refuses_as_an_answer(ends: PairOfEnds, broken: bytes) -> None:
    refused(ends.keeper, ends.keeper.attach(), broken)
    check_that_it_goes_on(ends)


def test_what_is_just_allowed_is_taken(ends: PairOfEnds) -> None:
    data = LARGEST * (FIRST_WINDOW // MAX_PAYLOAD) + encode(frames.WINDOW, 1, b"\xff\xdf\xff\xff")
    for line, token in ((ends.anchor, ends.anchor_token), (ends.keeper, ends.keeper_token)):
        assert sum(len(event.data) for event in line.receive(token, data)) == FIRST_WINDOW


def test_frames_that_crossed_a_reset_are_ignored(ends: PairOfEnds) -> None:
    ends.keeper.reset(1)
    for late in (encode(frames.DATA, 1, b"x"), encode(frames.EOF, 1), encode(frames.RESET, 1), MUCH):
        assert ends.keeper.receive(ends.keeper_token, late) == []
