"""What the mux sends first, how much it keeps, and how far windows let it go."""

from __future__ import annotations

import pytest

from farlab.mux import codec
from farlab.mux.frames import DATA, INITIAL_WINDOW, MAX_PAYLOAD, MESSAGE, OPEN, RESET, WINDOW
from farlab.mux.mux import Mux
from farlab.mux.streams import (
    BULK_QUANTUM,
    COALESCE_LIMIT,
    FRAME_OVERHEAD,
    INTERACTIVE_LIMIT,
    MAX_WINDOW,
    STREAM_BUFFER,
    SendQueue,
    Stream,
)
from mux_pair import PairOfEnds, said_by
from mux_world import LIMIT

MIB = 1 << 20


@pytest.fixture
def ends() -> PairOfEnds:
    """A keeper's and an anchor's end with room for much, and a good link."""
    ends = PairOfEnds(limit=64 * MIB)
    ends.connect()
    ends.flow()
    return ends


def sent(mux: Mux, data: bytes) -> list[tuple[int, int, int]]:
    """What a mux says, as (kind, stream, length)."""
    return [(kind, stream, len(payload)) for kind, stream, payload in said_by(mux, data)]


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
        ends.keeper.send(chatter, bytes(INTERACTIVE_LIMIT))
        [(_, stream, size)] = sent(ends.keeper, ends.out(1))
        if stream == bulk:
            break
        before_bulk += size
    assert BULK_QUANTUM <= before_bulk <= BULK_QUANTUM + INTERACTIVE_LIMIT


def test_bulk_streams_take_turns(ends: PairOfEnds) -> None:
    streams = [ends.open() for _ in range(3)]
    for stream in streams:
        ends.keeper.send(stream, bytes(MIB))
    assert [stream for _, stream, _ in sent(ends.keeper, ends.out())[:6]] == streams * 2


def test_no_more_is_taken_than_asked_for_but_for_a_remnant(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.send(stream, bytes(MIB))
    assert len(ends.out(64 * 1024)) <= 64 * 1024 + INTERACTIVE_LIMIT + codec.HEADER_SIZE
    ends.keeper.send(stream, b"the rest")
    assert max(size for _, _, size in sent(ends.keeper, ends.out())) <= MAX_PAYLOAD


def test_what_came_with_open_is_data_like_any_other_beyond_a_little(ends: PairOfEnds) -> None:
    keys = ends.open()
    new = ends.keeper.open("", bytes(MIB))
    ends.keeper.send(keys, b"a key")
    assert sent(ends.keeper, ends.out())[:2] == [(OPEN, new, INTERACTIVE_LIMIT + 1), (DATA, keys, 5)]


# how much is kept --------------------------------------------------------------------------------------------


def fill(ends: PairOfEnds, stream: int) -> int:
    """Send as long as the mux wants; returns how much that was."""
    size = 0
    while ends.keeper.can_send(stream):
        ends.keeper.send(stream, bytes(64 * 1024))
        size += 64 * 1024
    return size


def test_a_stream_may_wait_with_its_share_only_while_a_link_stands(ends: PairOfEnds) -> None:
    stream = ends.open()
    assert fill(ends, stream) == STREAM_BUFFER
    ends.keeper.detach(ends.keeper_token)
    assert fill(ends, stream) > 16 * MIB


def test_a_stream_may_wait_with_more_than_its_share_while_nothing_is_heard(ends: PairOfEnds) -> None:
    stream = ends.open()
    assert fill(ends, stream) == STREAM_BUFFER
    assert not ends.keeper.is_blocked(stream)
    ends.keeper.mark_stalled()
    assert fill(ends, stream) > 16 * MIB
    assert ends.keeper.is_blocked(stream)
    ends.anchor.send_ping(bytes(8))
    ends.keeper.receive(ends.keeper_token, ends.back())
    ends.out()  # what the window allows is on its way
    assert ends.keeper.streams[stream].queued > STREAM_BUFFER
    assert not ends.keeper.can_send(stream)


def test_a_new_link_is_not_taken_for_silent(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.mark_stalled()
    ends.connect()
    ends.flow()
    assert fill(ends, stream) == STREAM_BUFFER


def test_however_many_streams_are_full_there_is_room_for_one_more() -> None:
    ends = PairOfEnds(LIMIT)
    ends.connect()
    for _ in range(40):
        fill(ends, ends.open())
        ends.out()
    assert ends.keeper.buffered <= LIMIT + 64 * 1024
    ends.keeper.detach(ends.keeper_token)
    assert ends.keeper.buffered <= LIMIT + 64 * 1024


def test_full_streams_that_nobody_reads_do_not_stop_another(ends: PairOfEnds) -> None:
    for _ in range(200):
        stream = ends.open()
        for _ in range(4):
            fill(ends, stream)
            ends.flow()
            ends.keeper.send_ping(bytes(8))
    ends.flow()
    assert ends.keeper.buffered > 32 * MIB
    assert ends.keeper.can_send(ends.open())


def test_crumbs_are_joined_so_that_memory_is_what_held_says(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.keeper.detach(ends.keeper_token)
    for _ in range(10000):
        ends.keeper.send(stream, b"xyz")
    assert len(ends.keeper.streams[stream].pending) <= 30000 / COALESCE_LIMIT + 1
    ends.connect()
    assert ends.text_at_anchor(ends.flow()[1]) == b"xyz" * 10000


def test_nothing_is_wanted_after_eof_nor_on_a_stream_that_is_gone(ends: PairOfEnds) -> None:
    stream = ends.open()
    assert ends.keeper.can_send(stream)
    ends.keeper.send_eof(stream)
    assert not ends.keeper.can_send(stream)
    ends.keeper.reset(stream)
    assert not ends.keeper.can_send(stream)


# windows -----------------------------------------------------------------------------------------------------


def test_a_sender_stops_where_the_window_ends(ends: PairOfEnds) -> None:
    stream, other = ends.open(), ends.open()
    ends.keeper.send(stream, bytes(5 * MIB))
    assert len(ends.text_at_anchor(ends.flow()[1])) == INITIAL_WINDOW
    ends.keeper.send(other, b"goes on")
    assert ends.text_at_anchor(ends.flow()[1]) == b"goes on"
    ends.anchor.mark_consumed(stream, INITIAL_WINDOW // 2)
    assert len(ends.text_at_anchor(ends.flow()[1])) == INITIAL_WINDOW // 2


def test_little_that_was_consumed_is_not_worth_a_frame(ends: PairOfEnds) -> None:
    stream = ends.open(bytes(1000))
    assert ends.back() == b""
    assert ends.anchor.streams[stream].pending_credit == 1000


def test_a_fast_reader_gets_a_larger_window_up_to_the_most(ends: PairOfEnds) -> None:
    stream = ends.open()
    for _ in range(20):
        fill(ends, stream)
        for event in ends.flow()[1]:
            ends.anchor.mark_consumed(stream, len(event.data))
    assert ends.anchor.streams[stream].window == MAX_WINDOW


def test_a_slow_reader_keeps_its_window(ends: PairOfEnds) -> None:
    stream = ends.open()
    for _ in range(20):
        fill(ends, stream)
        ends.flow()
        ends.anchor.mark_consumed(stream, min(ends.anchor.streams[stream].unconsumed - 1, 300000))
    assert ends.anchor.streams[stream].window == INITIAL_WINDOW


def test_a_stream_whose_other_end_has_ended_gets_no_more_credit(ends: PairOfEnds) -> None:
    stream = ends.keeper.open()
    ends.keeper.send(stream, bytes(INITIAL_WINDOW))
    ends.keeper.send_eof(stream)
    ends.flow()
    ends.anchor.mark_consumed(stream, INITIAL_WINDOW)
    assert WINDOW not in [kind for kind, _, _ in sent(ends.anchor, ends.back())]


# the queue alone ---------------------------------------------------------------------------------------------


def test_held_is_what_waits_and_what_is_not_acknowledged_to_the_byte() -> None:
    queue = SendQueue(LIMIT)
    stream = queue.streams[1] = Stream(1, True)
    queue.queue_data(stream, b"x" * 100)
    queue.queue_control(MESSAGE, 0, b"y" * 20)
    assert queue.buffered == 120 + FRAME_OVERHEAD
    while queue.next_frame(1 << 20):
        pass
    assert queue.buffered == 120 + 2 * FRAME_OVERHEAD
    queue.ack(1)
    assert queue.buffered == 100 + FRAME_OVERHEAD
    queue.discard(stream)
    queue.ack(2)
    assert queue.buffered == 0
