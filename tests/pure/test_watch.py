"""When a silence is one: the table of what is known and how long it takes to be believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.durations import format_duration
from farlab.errors import Unreachable
from farlab.keeper.failure_detector import DOUBT, HEARTBEAT, OVERDUE, SILENCE, STIRRED, STUCK, FailureDetector, Verdict
from farlab.keeper.outages import Outages

TRIP = 0.05


@pytest.fixture
def watch() -> FailureDetector:
    """A line that was heard at 0, its round trip known; the next question is put at 0."""
    watch = FailureDetector(0.0)
    watch.received(1, 0.0)
    watch.answered(TRIP, 0.0)
    assert watch.is_due(0.0)
    return watch


def believed_after(watch: FailureDetector, verdict: Verdict, until: float = 60.0) -> float:
    """Seconds until the watch says so, looked at each 10 ms."""
    for tick in range(int(until * 100)):
        if watch.verdict(tick / 100) is verdict:
            return tick / 100
    raise AssertionError(f"never {verdict}")


def test_what_is_answered_is_fine_for_ever(watch: FailureDetector) -> None:
    for tick in range(1, 1000):
        watch.received(tick, tick / 10)
        watch.is_due(tick / 10)
        assert watch.verdict(tick / 10) is Verdict.FINE


def test_a_question_each_heartbeat(watch: FailureDetector) -> None:
    asked = [tick / 10 for tick in range(1, 100) if watch.is_due(tick / 10)]
    assert asked == [HEARTBEAT, 2 * HEARTBEAT, 3 * HEARTBEAT]


def test_a_missed_answer_is_doubted_after_a_second_and_a_half_and_silence_after_eight(watch: FailureDetector) -> None:
    assert believed_after(watch, Verdict.DOUBT) == pytest.approx(DOUBT + 3 * TRIP, abs=0.02)
    assert believed_after(watch, Verdict.SILENCE) == pytest.approx(SILENCE, abs=0.02)


def test_a_host_within_reach_makes_it_half_as_long(watch: FailureDetector) -> None:
    watch.reachable()
    assert believed_after(watch, Verdict.SILENCE) == pytest.approx(STUCK + 3 * TRIP, abs=0.02)


def test_a_changed_network_is_doubted_at_once_and_believed_within_three_round_trips(watch: FailureDetector) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    assert watch.verdict(0.0) is Verdict.DOUBT
    watch.reachable()
    assert believed_after(watch, Verdict.SILENCE) == pytest.approx(STIRRED + 3 * TRIP, abs=0.02)


def test_a_question_that_was_open_when_the_network_changed_is_not_waited_for(watch: FailureDetector) -> None:
    watch.stir(5.0)
    assert watch.is_due(5.0)
    assert watch.verdict(6.0) is Verdict.DOUBT
    watch.reachable()
    assert watch.verdict(5.0 + OVERDUE + 2.9 * TRIP) is Verdict.DOUBT
    assert watch.verdict(5.0 + OVERDUE + 3.1 * TRIP) is Verdict.SILENCE


def test_a_question_that_was_put_just_before_the_network_changed_may_still_be_answered(watch: FailureDetector) -> None:
    watch.stir(STIRRED / 2)
    assert watch.is_due(STIRRED / 2)
    watch.reachable()
    assert watch.verdict(STIRRED) is Verdict.DOUBT


def test_a_changed_network_without_a_way_to_the_host_is_no_reason_for_haste(watch: FailureDetector) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    assert believed_after(watch, Verdict.SILENCE) == pytest.approx(SILENCE, abs=0.02)


def test_one_byte_ends_every_doubt(watch: FailureDetector) -> None:
    watch.reachable()
    assert watch.verdict(3.0) is Verdict.DOUBT
    assert watch.received(2, 3.0)
    assert watch.verdict(3.0) is Verdict.FINE
    assert watch.last_heard == 3.0


def test_bytes_that_waited_while_the_network_changed_prove_nothing(watch: FailureDetector) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    watch.reachable()
    assert not watch.received(2, 0.1)
    watch.answered(1.0, 0.1)  # a question of before
    assert believed_after(watch, Verdict.SILENCE) == pytest.approx(0.1 + STIRRED + 3 * TRIP, abs=0.02)


def test_an_answer_to_what_was_asked_since_the_network_changed_ends_the_doubt(watch: FailureDetector) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    watch.answered(TRIP, TRIP)
    assert watch.received(2, TRIP)
    assert watch.verdict(1.0) is Verdict.FINE


def test_a_download_that_goes_on_while_an_answer_is_late_is_no_silence(watch: FailureDetector) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    watch.reachable()
    for tick in range(1, 100):
        watch.received(1 + tick, tick / 10)
        assert watch.verdict(tick / 10) is not Verdict.SILENCE


def test_who_was_wrong_is_slower_to_believe_and_no_slower_than_eight_seconds(watch: FailureDetector) -> None:
    waited = []
    for _ in range(6):
        watch.reachable()
        waited.append(believed_after(watch, Verdict.SILENCE))
        watch.was_wrong()
    assert waited == sorted(waited)
    assert waited[0] < waited[1]
    assert waited[-1] == pytest.approx(SILENCE, abs=0.02)


def test_an_answer_that_waited_in_an_outage_says_nothing_of_the_way(watch: FailureDetector) -> None:
    for seconds in (TRIP, TRIP, 40.0):
        watch.answered(seconds, 0.0)
    assert watch.round_trip == TRIP
    assert believed_after(watch, Verdict.DOUBT) == pytest.approx(DOUBT + 3 * TRIP, abs=0.02)


@given(st.lists(st.floats(0.0001, 30.0), max_size=20), st.booleans(), st.booleans())
def test_whatever_the_round_trip_eight_seconds_without_an_answer_are_enough(
    trips: list[float], is_stirred: bool, is_reachable: bool
) -> None:
    watch = FailureDetector(0.0)
    watch.received(1, 0.0)
    for seconds in trips:
        watch.answered(seconds, 0.0)
    if is_stirred:
        watch.stir(0.0)
    assert watch.is_due(0.0)
    if is_reachable:
        watch.reachable()
    assert watch.verdict(SILENCE + 0.01) is Verdict.SILENCE


# outages -------------------------------------------------------------------------------------------------


def test_the_story_of_an_outage_is_a_few_lines() -> None:
    lines: list[str] = []
    outages = Outages(lines.append)
    outages.begin(100.0, "nothing heard")
    for _ in range(40):
        outages.failed(Unreachable("cannot reach `gpu1`", detail="banner\nssh: no route"))
    outages.begin(130.0, "the link ended")
    outages.end(440.0, "reconnected")
    assert lines == [
        "nothing heard",
        "cannot reach `gpu1`: ssh: no route; retrying",
        "the link ended",
        "reconnected after 5 min 40 s, 40 failed attempts",
    ]
    assert (outages.count, outages.longest, outages.lasts(1e9)) == (1, 340.0, 0.0)


def test_the_longest_outage_is_remembered_and_what_was_none_is_not_counted() -> None:
    outages = Outages(lambda text: None)
    outages.end(5.0, "connected")
    for began, ended in ((10.0, 40.0), (50.0, 51.0)):
        outages.begin(began, "")
        outages.end(ended, "")
    assert (outages.count, outages.longest) == (2, 30.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0, "0 s"), (0.44, "0.4 s"), (3, "3 s"), (12.4, "12 s"), (60, "1 min"), (340, "5 min 40 s"),
     (3600, "1 h"), (28_930, "8 h 2 min"), (86_400 * 3 + 4 * 3600 + 59, "3 d 4 h"), (3605, "1 h")],
)  # fmt: skip
def test_a_length_of_time_in_words(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
