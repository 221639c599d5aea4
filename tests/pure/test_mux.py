"""The mux, between two real ends: whatever happens to its links, every stream arrives once, whole and in order."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farlab.mux import frames
from farlab.mux.frames import DATA, EOF, MESSAGE, OPEN, PONG, RESET, ProtocolError
from farlab.mux.link_end import ACK_THRESHOLD, MAX_CONTROL_FRAMES
from farlab.mux.mux import MAX_STREAMS, UP, Event, Mux
from mux_pair import ID, PairOfEnds, as_said_to, hello_of, said_by
from mux_world import LIMIT, SCHEDULE, World

SOAK = int(os.environ.get("FARLAB_SOAK", "1"))
"""How many times as many examples as usual; with more than 1 they are other ones each time."""
numbers = st.integers(0, 1 << 20)
one_step = st.tuples(st.sampled_from(SCHEDULE), numbers, numbers)
steps = st.integers(5, 120).flatmap(lambda size: st.lists(one_step, min_size=size, max_size=size))
"""Of any length alike; a plain list would have ten steps on average, in which nothing goes wrong."""
versions = st.sampled_from([1, frames.VERSION])
often = settings(
    max_examples=120 * SOAK,
    derandomize=SOAK == 1,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(params=[1, frames.VERSION])
def ends(request: pytest.FixtureRequest) -> PairOfEnds:
    """A keeper's and an anchor's end, with a good link, of either version."""
    ends = PairOfEnds(version=request.param)
    ends.connect()
    ends.flow()
    return ends


@pytest.mark.timeout(0 if SOAK > 1 else 120)
@often
@given(steps, st.integers(1, 2), versions)
def test_every_stream_arrives_once_and_in_order_whatever_happens(steps: list, keepers: int, version: int) -> None:
    world = World(keepers, version)
    for step in steps:
        world.step(*step)
    world.settle()


@pytest.mark.timeout(0 if SOAK > 1 else 120)
@often
@given(steps, versions)
def test_nothing_at_all_is_lost_while_the_anchor_remembers(steps: list, version: int) -> None:
    world = World(version=version)
    for step in steps:
        if step[0] != "forget":
            world.step(*step)
    world.settle()


@pytest.mark.timeout(0 if SOAK > 1 else 120)
@often
@given(steps)
def test_others_may_print_into_a_link_and_read_of_it_and_all_arrives_over_that_very_link(steps: list) -> None:
    world = World()
    world.step("connect", 0, 0)
    world._send_out(world.links[0], 1 << 20)
    world._bring_out(world.links[0], 1 << 20)
    for step in steps:
        if step[0] not in ("connect", "cut", "forget"):
            world.step(*step)
    world.settle_here()


# cuts ----------------------------------------------------------------------------------------------------


def _a_day_before(state: str, version: int) -> World:
    """A mux that has lived: never linked, linked, or linked to an anchor that has forgotten it."""
    world = World(version=version)
    world.step("open", 0, 6)
    if state != "new":
        world.step("connect", 0, 0)
        for name, a in [("flow", 0), ("send", 1), ("message", 1), ("flow", 0), ("ping", 0), ("flow", 0)]:
            world.step(name, a, 6)
    for name, a, b in [("open", 0, 6), ("send", 0, 6), ("send", 1, 6), ("message", 0, 0), ("message", 1, 0)]:
        world.step(name, a, b)
    if state == "forgotten":
        world.step("forget", 0, 1)
    return world


@pytest.mark.parametrize("state", ["new", "resumed", "forgotten"])
@pytest.mark.parametrize("direction", [0, 1, 2], ids=["hello", "answer", "what follows"])
@pytest.mark.parametrize("version", [1, frames.VERSION])
def test_a_link_may_be_cut_at_every_byte(state: str, direction: int, version: int) -> None:
    for size in range(1000):
        world = _a_day_before(state, version)
        world.step("connect", 0, 0)
        link = world.links[-1]
        ways = [(world._send_out, world._bring_out, "out"), (world._send_back, world._bring_back, "back")] * 2
        for send, bring, _ in ways[:direction]:
            send(link, 1 << 20)
            bring(link, 1 << 20)
        send, bring, way = ways[direction]
        send(link, 1 << 20)
        is_all = size > len(getattr(link, way))
        bring(link, size)
        send, bring, _ = ways[direction + 1]  # the other way still works
        send(link, 1 << 20)
        bring(link, 1 << 20 if way == "out" else 0)
        world.step("cut", len(world.links) - 1, 7)
        world.settle()
        if is_all:
            return
    raise AssertionError("this never was the whole of it")


def test_a_spoilt_link_costs_nothing(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.send(stream, b"before")
    token, data = ends.anchor_token, ends.out() + as_said_to(ends.anchor, (99, 0, b""))
    with pytest.raises(ProtocolError):
        ends.anchor.receive(token, data)
    assert not ends.anchor.is_linked
    assert ends.anchor.receive(token, ends.out()) == []
    ends.keeper.send(stream, b" and after")
    ends.connect()
    assert ends.text_at_anchor(ends.flow()[1]) == b"before and after"


def test_a_frame_that_cannot_be_does_not_count(ends: PairOfEnds) -> None:
    with pytest.raises(ProtocolError):
        ends.anchor.receive(ends.anchor_token, as_said_to(ends.anchor, (MESSAGE, 0, b"no json")))
    ends.keeper.send_message({"n": 1})
    ends.connect()
    assert Event(MESSAGE, 0, {"n": 1}) in ends.flow()[1]


def test_calls_for_a_link_that_was_replaced_do_nothing(ends: PairOfEnds) -> None:
    old = ends.keeper_token
    late = ends.back(ends.anchor.send_message({"n": 1}))
    ends.connect()
    assert ends.keeper.receive(old, late) == []
    assert ends.keeper.data_to_send(old) == []
    ends.keeper.detach(old)
    assert ends.keeper.is_linked
    assert Event(MESSAGE, 0, {"n": 1}) in ends.flow()[0]


def test_a_hello_that_was_overtaken_is_refused_and_disturbs_nothing(ends: PairOfEnds) -> None:
    late = hello_of(ends.keeper)
    ends.connect()
    ends.flow()
    with pytest.raises(ProtocolError):
        ends.anchor.accept(late, ends.version)
    ends.keeper.send_message({"n": 1})
    assert Event(MESSAGE, 0, {"n": 1}) in ends.flow()[1]


# anchors that forget ---------------------------------------------------------------------------------------


def test_a_forgotten_mux_begins_anew_and_its_streams_are_reset(ends: PairOfEnds) -> None:
    stream = ends.open(b"question")
    ends.anchor = Mux(ID, False, LIMIT)
    ends.connect()
    at_keeper, at_anchor = ends.flow()
    assert at_keeper == [Event(RESET, stream, b""), Event(UP, 0, False)]
    assert at_anchor == []
    assert ends.keeper.streams == ends.anchor.streams == {}
    assert ends.keeper.buffered == 0


def test_a_stream_that_was_never_announced_survives_a_forgotten_mux(ends: PairOfEnds) -> None:
    ends.keeper.detach(ends.keeper_token)
    stream = ends.keeper.open("", b"new")
    ends.keeper.send(stream, b" and more")
    ends.anchor = Mux(ID, False, LIMIT)
    ends.connect()
    at_keeper, at_anchor = ends.flow()
    assert at_keeper == [Event(UP, 0, False)]
    assert at_anchor[0] == Event(OPEN, stream, "")
    assert ends.text_at_anchor(at_anchor) == b"new and more"


def test_two_anchors_in_turn_never_mix_their_streams(ends: PairOfEnds) -> None:
    stream = ends.open(b"to the first")
    first, ends.anchor = ends.anchor, Mux(ID, False, LIMIT)
    ends.connect()
    ends.flow()
    second_stream = ends.open(b"to the second")
    ends.anchor = first
    ends.connect()
    at_keeper, at_anchor = ends.flow()
    assert at_keeper == [Event(RESET, second_stream, b""), Event(UP, 0, False)]
    assert at_anchor == [Event(RESET, stream, b"")]
    assert first.streams == ends.keeper.streams == {}


def test_a_server_that_began_from_a_late_hello_is_not_taken_for_another() -> None:
    ends = PairOfEnds()
    ends.connect()
    ends.flow()
    late = hello_of(ends.keeper)
    ends.anchor = Mux(ID, False, LIMIT)
    ends.connect()
    ends.flow()
    ends.open(b"to the second")
    ends.anchor = Mux(ID, False, LIMIT)
    ends.anchor.accept(late, ends.version)
    ends.connect()
    assert [event.kind for event in ends.flow()[0]] == [RESET, UP]


def test_a_hello_for_another_mux_is_refused() -> None:
    other = Mux("another0123456789", True, LIMIT)
    with pytest.raises(ProtocolError):
        Mux(ID, False, LIMIT).accept(hello_of(other), frames.VERSION)


def test_up_says_whether_the_mux_goes_on(ends: PairOfEnds) -> None:
    ends.connect()
    assert ends.flow()[0] == [Event(UP, 0, True)]


# streams ---------------------------------------------------------------------------------------------------


def test_what_was_given_up_before_it_was_announced_is_never_heard_of(ends: PairOfEnds) -> None:
    ends.keeper.detach(ends.keeper_token)
    for _ in range(1000):
        ends.keeper.reset(ends.keeper.open("", b"x" * 3000))
    assert ends.keeper.buffered == 0
    assert not ends.keeper._queue._interactive
    ends.connect()
    assert ends.flow()[1] == []


def test_a_reset_stream_delivers_nothing_more(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.anchor.send(stream, b"too late")
    late = ends.back()
    ends.keeper.reset(stream)
    assert ends.keeper.receive(ends.keeper_token, late) == []
    assert ends.flow()[1] == [Event(RESET, stream, b"")]


def test_both_may_reset_at_once(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.reset(stream)
    ends.anchor.reset(stream)
    assert ends.flow() == ([], [])


def test_a_stream_ends_when_both_have_said_eof(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.send_eof(stream)
    assert ends.flow()[1] == [Event(EOF, stream, b"")]
    ends.anchor.send(stream, b"the answer")
    ends.anchor.send_eof(stream)
    assert [event.kind for event in ends.flow()[0]] == [DATA, EOF]
    assert ends.keeper.streams == ends.anchor.streams == {}


def test_misuse_is_told_to_the_driver(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.send_eof(stream)
    for call, *arguments in (
        (ends.keeper.send, stream, b"after EOF"),
        (ends.anchor.open,),
        (ends.keeper.open, "é"),
        (ends.keeper.open, "x" * 256),
        (ends.keeper.send_message, {"n": "x" * frames.MAX_TEXT}),
    ):
        with pytest.raises(ValueError, match=r"."):
            call(*arguments)


def test_no_more_streams_are_opened_than_the_other_end_takes(ends: PairOfEnds) -> None:
    for _ in range(MAX_STREAMS):
        ends.keeper.open()
    with pytest.raises(ValueError, match="streams"):
        ends.keeper.open()
    ends.flow()
    assert len(ends.anchor.streams) == MAX_STREAMS


# acknowledging ---------------------------------------------------------------------------------------------


def test_a_ping_acknowledges_all_in_both_directions(ends: PairOfEnds) -> None:
    stream = ends.open(b"question")
    ends.anchor.send(stream, b"answer")
    ends.flow()
    assert ends.keeper.buffered
    assert ends.anchor.buffered
    ends.keeper.send_ping(b"the mark")
    assert ends.flow()[0] == [Event(PONG, 0, b"the mark")]
    assert ends.keeper.buffered == ends.anchor.buffered == 0


def test_much_is_acknowledged_without_a_ping_once_for_all_that_came(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.send(stream, bytes(ACK_THRESHOLD * 4))
    ends.anchor.receive(ends.anchor_token, ends.out())
    assert said_by(ends.anchor, ends.back()) == [(frames.ACK, 0, frames.COUNT.pack(ends.anchor.received))]


def test_a_large_frame_that_takes_its_time_is_acknowledged_meanwhile_when_asked_for(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.anchor.ack_now()  # nothing is under way
    assert not ends.back()
    ends.keeper.send(stream, bytes(ACK_THRESHOLD * 4))
    frame = ends.out()
    ends.anchor.receive(ends.anchor_token, frame[:-1])
    assert not ends.back()
    ends.anchor.ack_now()
    said = ends.back()
    assert said_by(ends.anchor, said) == [(frames.ACK, 0, frames.COUNT.pack(ends.anchor.received))]
    assert not ends.keeper.receive(ends.keeper_token, said)
    [came] = ends.anchor.receive(ends.anchor_token, frame[-1:])
    assert len(came.data) == ACK_THRESHOLD * 4


def test_a_flood_of_pings_that_nobody_reads_is_cut(ends: PairOfEnds) -> None:
    mark = frames.HEARTBEAT.pack(0, b"12345678") + (bytes(8) if ends.version > 1 else b"")
    ping = as_said_to(ends.anchor, (frames.PING, 0, mark))
    ends.anchor.receive(ends.anchor_token, ping * MAX_CONTROL_FRAMES)
    with pytest.raises(ProtocolError):
        ends.anchor.receive(ends.anchor_token, ping)
