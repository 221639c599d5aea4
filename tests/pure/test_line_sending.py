"""What the line sends first, how much it keeps, and how far windows let it go."""

from __future__ import annotations

import pytest

from farlab.mux import codec
from farlab.mux.frames import DATA, FIRST_WINDOW, MAX_PAYLOAD, MESSAGE, OPEN, RESET, WINDOW
from farlab.mux.mux import Mux
from farlab.mux.streams import COST, CRUMB, MAX_WINDOW, SHARE, SMALL, TURN, Outbox, Stream
from line_pair import PairOfEnds, said_by
from line_world import LIMIT

MIB = 1 << 20


@pytest.fixture
def ends() -> PairOfEnds:
    """A keeper's and an anchor's end with room for much, and a good link."""
    ends = PairOfEnds(limit=64 * MIB)
    ends.connect()
    ends.flow()
    return ends


def sent(line: Mux, data: bytes) -> list[tuple[int, int, int]]:
    """What a line says, as (kind, stream, length)."""
    return [(kind, stream, len(payload)) for kind, stream, payload in said_by(line, data)]


# order -----------------------------------------------------------------------------------------------------


def test_interactive_goes_before_bulk_that_was_there_first(ends: PairOfEnds) -> None:
    bulk, keys = ends.open(), ends.open()
    ends.keeper.send(bulk, bytes(MIB))
    ends.keeper.send(keys, b"a key")
    assert sent(ends.keeper, ends.out())[0] == (DATA, keys, 5)


def test_what_steers_goes_before_all_data(ends: PairOfEnds) -> None:
    bulk, keys, gone = ends.open(), ends.open(), ends.open()
    ends.keeper.send(bulk, bytes(MIB))
    ends.keeper.send(keys, b"a key")
    ends.keeper.reset(gone)
    new = ends.keeper.open("", b"a request")
    assert sent(ends.keeper, ends.out())[:2] == [(RESET, gone, 0), (OPEN, new, 10)]


def test_interactive_never_starves_bulk(ends: PairOfEnds) -> None:
    bulk, chatter = ends.open(), ends.open()
    ends.keeper.send(bulk, bytes(MIB))
    before_bulk = 0
    for _ in range(1000):
        ends.keeper.send(chatter, bytes(SMALL))
        [(_, stream, size)] = sent(ends.keeper, ends.out(1))
        if stream == bulk:
            break
        before_bulk += size
    assert TURN <= before_bulk <= TURN + SMALL


def test_bulk_streams_take_turns(ends: PairOfEnds) -> None:
    streams = [ends.open() for _ in range(3)]
    for stream in streams:
        ends.keeper.send(stream, bytes(MIB))
    assert [stream for _, stream, _ in sent(ends.keeper, ends.out())[:6]] == streams * 2


def test_no_more_is_taken_than_asked_for_but_for_a_remnant(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.send(stream, bytes(MIB))
    assert len(ends.out(64 * 1024)) <= 64 * 1024 + SMALL + codec.SIZE
    ends.keeper.send(stream, b"the rest")
    assert max(size for _, _, size in sent(ends.keeper, ends.out())) <= MAX_PAYLOAD


def test_what_came_with_open_is_data_like_any_other_beyond_a_little(ends: PairOfEnds) -> None:
    keys = ends.open()
    new = ends.keeper.open("", bytes(MIB))
    ends.keeper.send(keys, b"a key")
    assert sent(ends.keeper, ends.out())[:2] == [(OPEN, new, SMALL + 1), (DATA, keys, 5)]


# how much is kept --------------------------------------------------------------------------------------------


def fill(ends: PairOfEnds, stream: int) -> int:
    """Send as long as the line wants; returns how much that was."""
    size = 0
    while ends.keeper.wants(stream):
        ends.keeper.send(stream, bytes(64 * 1024))
        size += 64 * 1024
    return size


def test_a_stream_may_wait_with_its_share_only_while_a_link_stands(ends: PairOfEnds) -> None:
    stream = ends.open()
    assert fill(ends, stream) == SHARE
    ends.keeper.detach(ends.keeper_token)
    assert fill(ends, stream) > 16 * MIB


def test_a_stream_may_wait_with_more_than_its_share_while_nothing_is_heard(ends: PairOfEnds) -> None:
    stream = ends.open()
    assert fill(ends, stream) == SHARE
    assert not ends.keeper.is_full(stream)
    ends.keeper.silent()
    assert fill(ends, stream) > 16 * MIB
    assert ends.keeper.is_full(stream)
    ends.anchor.ping(bytes(8))
    ends.keeper.receive(ends.keeper_token, ends.back())
    ends.out()  # what the window allows is on its way
    assert ends.keeper.streams[stream].size > SHARE
    assert not ends.keeper.wants(stream)


def test_a_new_link_is_not_taken_for_silent(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.silent()
    ends.connect()
    ends.flow()
    assert fill(ends, stream) == SHARE


def test_however_many_streams_are_full_there_is_room_for_one_more() -> None:
    ends = PairOfEnds(LIMIT)
    ends.connect()
    for _ in range(40):
        fill(ends, ends.open())
        ends.out()
    assert ends.keeper.held <= LIMIT + 64 * 1024
    ends.keeper.detach(ends.keeper_token)
    assert ends.keeper.held <= LIMIT + 64 * 1024


def test_full_streams_that_nobody_reads_do_not_stop_another(ends: PairOfEnds) -> None:
    for _ in range(200):
        stream = ends.open()
        for _ in range(4):
            fill(ends, stream)
            ends.flow()
            ends.keeper.ping(bytes(8))
    ends.flow()
    assert ends.keeper.held > 32 * MIB
    assert ends.keeper.wants(ends.open())


def test_crumbs_are_joined_so_that_memory_is_what_held_says(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.detach(ends.keeper_token)
    for _ in range(10000):
        ends.keeper.send(stream, b"xyz")
    assert len(ends.keeper.streams[stream].pending) <= 30000 / CRUMB + 1
    ends.connect()
    assert ends.text_at_anchor(ends.flow()[1]) == b"xyz" * 10000


def test_nothing_is_wanted_after_eof_nor_on_a_stream_that_is_gone(ends: PairOfEnds) -> None:
    stream = ends.open()
    assert ends.keeper.wants(stream)
    ends.keeper.send_eof(stream)
    assert not ends.keeper.wants(stream)
    ends.keeper.reset(stream)
    assert not ends.keeper.wants(stream)


# windows -----------------------------------------------------------------------------------------------------


def test_a_sender_stops_where_the_window_ends(ends: PairOfEnds) -> None:
    stream, other = ends.open(), ends.open()
    ends.keeper.send(stream, bytes(5 * MIB))
    assert len(ends.text_at_anchor(ends.flow()[1])) == FIRST_WINDOW
    ends.keeper.send(other, b"goes on")
    assert ends.text_at_anchor(ends.flow()[1]) == b"goes on"
    ends.anchor.consumed(stream, FIRST_WINDOW // 2)
    assert len(ends.text_at_anchor(ends.flow()[1])) == FIRST_WINDOW // 2


def test_little_that_was_consumed_is_not_worth_a_frame(ends: PairOfEnds) -> None:
    stream = ends.open(bytes(1000))
    assert ends.back() == b""
    assert ends.anchor.streams[stream].owed == 1000


def test_a_fast_reader_gets_a_larger_window_up_to_the_most(ends: PairOfEnds) -> None:
    stream = ends.open()
    for _ in range(20):
        fill(ends, stream)
        for event in ends.flow()[1]:
            ends.anchor.consumed(stream, len(event.data))
    assert ends.anchor.streams[stream].window == MAX_WINDOW


def test_a_slow_reader_keeps_its_window(ends: PairOfEnds) -> None:
    stream = ends.open()
    for _ in range(20):
        fill(ends, stream)
        ends.flow()
        ends.anchor.consumed(stream, min(ends.anchor.streams[stream].unread - 1, 300000))
    assert ends.anchor.streams[stream].window == FIRST_WINDOW


def test_a_stream_whose_other_end_has_ended_gets_no_more_credit(ends: PairOfEnds) -> None:
    stream = ends.keeper.open()
    ends.keeper.send(stream, bytes(FIRST_WINDOW))
    ends.keeper.send_eof(stream)
    ends.flow()
    ends.anchor.consumed(stream, FIRST_WINDOW)
    assert WINDOW not in [kind for kind, _, _ in sent(ends.anchor, ends.back())]


# the outbox alone ----------------------------------------------------------------------------------------------


def test_held_is_what_waits_and_what_is_not_acknowledged_to_the_byte() -> None:
    outbox = Outbox(LIMIT)
    stream = outbox.streams[1] = Stream(1, True)
    outbox.put(stream, b"x" * 100)
    outbox.order(MESSAGE, 0, b"y" * 20)
    assert outbox.held == 120 + COST
    while outbox.next(1 << 20):
        pass
    assert outbox.held == 120 + 2 * COST
    outbox.ack(1)
    assert outbox.held == 100 + COST
    outbox.drop(stream)
    outbox.ack(2)
    assert outbox.held == 0
