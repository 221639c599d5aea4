"""Each rule of the protocol that the other end can break: it is noticed, and costs the link and nothing else."""

from __future__ import annotations

import pytest

from farlab.mux import frames
from farlab.mux.frames import COUNT, INITIAL_WINDOW, MAX_PAYLOAD, MISSED, ProtocolError, pack_text
from mux_pair import PairOfEnds, answer_to, as_said_to

Said = list[tuple[int, int, bytes]]


def said(kind: int, stream: int, payload: bytes = b"") -> Said:
    return [(kind, stream, payload)]


HELLO = {"version": 1, "line": "0123456789abcdefghij", "life": 1, "received": 0}
LARGEST = said(frames.DATA, 1, bytes(MAX_PAYLOAD))
MUCH = said(frames.WINDOW, 1, b"\xff" * 4)

TO_EITHER = {
    "a kind that is none": said(99, 0),
    "more acknowledged than was sent": said(frames.ACK, 0, frames.COUNT.pack(1000)),
    "an ACK of the wrong size": said(frames.ACK, 0, bytes(4)),
    "a PING on a stream": said(frames.PING, 1, bytes(16)),
    "a PING of the wrong size": said(frames.PING, 0, bytes(17)),
    "data on a stream never opened": said(frames.DATA, 2, b"x"),
    "data on stream 0": said(frames.DATA, 0, b"x"),
    "empty data": said(frames.DATA, 1),
    "data after EOF": said(frames.EOF, 1) + said(frames.DATA, 1, b"x"),
    "a second EOF": said(frames.EOF, 1) * 2,
    "an EOF that says something": said(frames.EOF, 1, b"x"),
    "a RESET that says something": said(frames.RESET, 1, b"x"),
    "a RESET of a stream never opened": said(frames.RESET, 2),
    "a WINDOW of the wrong size": said(frames.WINDOW, 1, bytes(8)),
    "a window beyond all bounds": MUCH * 2,
    "more than the window holds": LARGEST * (INITIAL_WINDOW // MAX_PAYLOAD) + said(frames.DATA, 1, b"x"),
    "a message that is no object": said(frames.MESSAGE, 0, b"[1]"),
    "a message on a stream": said(frames.MESSAGE, 1, b"{}"),
}
TO_EITHER_OF_1 = {
    "a PONG that acknowledges too much": said(frames.PONG, 0, frames.HEARTBEAT.pack(1000, bytes(8))),
    "a second hello": said(frames.HELLO, 0, pack_text(HELLO)),
    "a question of version 2": said(frames.AGAIN, 0, MISSED.pack(0, 1)),
    "an answer of version 2": said(frames.BEGIN, 0, bytes(4)),
}
TO_EITHER_OF_2 = {
    "a PONG that acknowledges too much": said(frames.PONG, 0, frames.HEARTBEAT.pack(1000, bytes(8)) + COUNT.pack(0)),
    "a PONG of version 1": said(frames.PONG, 0, frames.HEARTBEAT.pack(0, bytes(8))),
    "an AGAIN of the wrong size": said(frames.AGAIN, 0, bytes(8)),
    "an AGAIN after more than was sent": said(frames.AGAIN, 0, MISSED.pack(1000, 1)),
    "a BEGIN of the wrong size": said(frames.BEGIN, 0, bytes(8)),
}
TO_ANCHOR = {
    "an OPEN of an old number": said(frames.OPEN, 1, b"\x00"),
    "an OPEN of stream 0": said(frames.OPEN, 0, b"\x00"),
    "an OPEN without a destination": said(frames.OPEN, 2),
    "an OPEN with half a destination": said(frames.OPEN, 2, b"\x05shop"),
    "an OPEN to what is not ASCII": said(frames.OPEN, 2, b"\x02\xc3\xa9"),
}
TO_KEEPER = {"an OPEN by the server": said(frames.OPEN, 2, b"\x00")}
BEFORE_THE_HELLO_OF_1 = {
    "a message": said(frames.MESSAGE, 0, b"{}"),
    "an ACK": said(frames.ACK, 0, frames.COUNT.pack(0)),
}
ANSWERS = {
    "another mux's": {**HELLO, "line": "x" * 20},
    "no life": {**HELLO, "life": 0},
    "a life before this one": {**HELLO, "life": 1},
    "a life to come": {**HELLO, "life": 1000},
    "a new life that has received something": {**HELLO, "life": 3, "received": 1},
    "more received than was sent": {**HELLO, "life": 2, "received": 1000},
}


@pytest.fixture(params=[1, frames.VERSION])
def ends(request: pytest.FixtureRequest) -> PairOfEnds:
    """Two ends in their mux's second epoch, with one stream, on a link of either version."""
    ends = PairOfEnds(version=request.param)
    ends.connect()
    ends.flow()
    ends.anchor = PairOfEnds().anchor
    ends.connect()
    ends.flow()
    ends.open()
    return ends


def refused(mux, token: int, data: bytes) -> None:
    """The mux refuses these bytes, lets go of the link, and goes on."""
    with pytest.raises(ProtocolError):
        mux.receive(token, data)
    assert not mux.is_linked
    assert 1 in mux.streams


def check_that_it_goes_on(ends: PairOfEnds) -> None:
    """Another link stands, and a message arrives in both directions."""
    ends.connect()
    ends.flow()
    ends.keeper.send_message({"n": 1})
    ends.anchor.send_message({"n": 2})
    assert [[event.data for event in events] for events in ends.flow()] == [[{"n": 2}], [{"n": 1}]]


def each_of(*tables: dict[str, Said]) -> pytest.MarkDecorator:
    """The test for each of what is in these tables."""
    every = {name: broken for table in tables for name, broken in table.items()}
    return pytest.mark.parametrize("broken", every.values(), ids=every.keys())


only_1 = pytest.mark.parametrize("ends", [1], indirect=True)
only_2 = pytest.mark.parametrize("ends", [frames.VERSION], indirect=True)


@each_of(TO_EITHER, TO_ANCHOR)
def test_the_anchor_refuses(ends: PairOfEnds, broken: Said) -> None:
    refused(ends.anchor, ends.anchor_token, as_said_to(ends.anchor, *broken))


@each_of(TO_EITHER, TO_KEEPER)
def test_the_keeper_refuses(ends: PairOfEnds, broken: Said) -> None:
    refused(ends.keeper, ends.keeper_token, as_said_to(ends.keeper, *broken))


@only_1
@each_of(TO_EITHER_OF_1)
def test_either_refuses_in_version_1(ends: PairOfEnds, broken: Said) -> None:
    refused(ends.keeper, ends.keeper_token, as_said_to(ends.keeper, *broken))
    refused(ends.anchor, ends.anchor_token, as_said_to(ends.anchor, *broken))


@only_2
@each_of(TO_EITHER_OF_2)
def test_either_refuses_in_version_2(ends: PairOfEnds, broken: Said) -> None:
    refused(ends.keeper, ends.keeper_token, as_said_to(ends.keeper, *broken))
    refused(ends.anchor, ends.anchor_token, as_said_to(ends.anchor, *broken))


@only_1
@each_of(BEFORE_THE_HELLO_OF_1)
def test_the_keeper_refuses_before_the_hello_in_version_1(ends: PairOfEnds, broken: Said) -> None:
    token = ends.keeper.attach(1)
    refused(ends.keeper, token, as_said_to(ends.keeper, *broken))
    check_that_it_goes_on(ends)


@only_1
def test_a_payload_that_is_too_long_is_refused_in_version_1(ends: PairOfEnds) -> None:
    head = frames.HEADER.pack(frames.DATA << 24 | (MAX_PAYLOAD + 1), 1)
    refused(ends.keeper, ends.keeper_token, head)
    refused(ends.anchor, ends.anchor_token, head)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_the_keeper_refuses_as_an_answer(ends: PairOfEnds, answer: dict) -> None:
    token = ends.keeper.attach(ends.version)
    refused(ends.keeper, token, answer_to(ends.keeper, answer))
    check_that_it_goes_on(ends)


def test_what_is_just_allowed_is_taken(ends: PairOfEnds) -> None:
    data = LARGEST * (INITIAL_WINDOW // MAX_PAYLOAD) + said(frames.WINDOW, 1, b"\xff\xdf\xff\xff")
    for mux, token in ((ends.anchor, ends.anchor_token), (ends.keeper, ends.keeper_token)):
        assert sum(len(event.data) for event in mux.receive(token, as_said_to(mux, *data))) == INITIAL_WINDOW


def test_frames_that_crossed_a_reset_are_ignored(ends: PairOfEnds) -> None:
    ends.keeper.reset(1)
    for late in (said(frames.DATA, 1, b"x"), said(frames.EOF, 1), said(frames.RESET, 1), MUCH):
        assert ends.keeper.receive(ends.keeper_token, as_said_to(ends.keeper, *late)) == []
