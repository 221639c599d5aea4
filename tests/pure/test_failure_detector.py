"""When a silence is one: the table of what is known and how long it takes to be believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.durations import format_duration
from farlab.errors import Unreachable
from farlab.keeper.failure_detector import FailureDetector, Verdict
from farlab.keeper.outages import Outages
from farlab.keeper.timing import Timing

TIMING = Timing()
TRIP = 0.05


class Watch:
    """A failure detector that is told one thing after the other."""

    def __init__(self) -> None:
        self.known = FailureDetector(timing=TIMING, last_heard=0.0, due=0.0)

    def received(self, bytes_in: int, now: float) -> bool:
        self.known, is_alive = self.known.received(bytes_in, now)
        return is_alive

    def answered(self, round_trip: float, now: float) -> None:
        self.known = self.known.ping_answered(round_trip, now)

    def is_due(self, now: float) -> bool:
        is_due = now >= self.known.due
        self.known = self.known.ping_sent(now) if is_due else self.known
        return is_due

    def stir(self, now: float) -> None:
        self.known = self.known.network_changed(now)

    def reachable(self) -> None:
        self.known = self.known.host_reachable()

    def was_wrong(self) -> None:
        self.known = self.known.false_alarm()

    def verdict(self, now: float) -> Verdict:
        return self.known.verdict(now)


@pytest.fixture
def watch() -> Watch:
    """A line that was heard at 0, its round trip known; the next question is put at 0."""
    watch = Watch()
    watch.received(1, 0.0)
    watch.answered(TRIP, 0.0)
    assert watch.is_due(0.0)
    return watch


def believed_after(watch: Watch, verdict: Verdict, until: float = 60.0) -> float:
    """Seconds until the watch says so, looked at each 10 ms."""
    for tick in range(int(until * 100)):
        if watch.verdict(tick / 100) is verdict:
            return tick / 100
    raise AssertionError(f"never {verdict}")


def test_what_is_answered_is_fine_for_ever(watch: Watch) -> None:
    for tick in range(1, 1000):
        watch.received(tick, tick / 10)
        watch.is_due(tick / 10)
        assert watch.verdict(tick / 10) is Verdict.ALIVE


def test_a_question_each_heartbeat(watch: Watch) -> None:
    asked = [tick / 10 for tick in range(1, 100) if watch.is_due(tick / 10)]
    assert asked == [TIMING.heartbeat, 2 * TIMING.heartbeat, 3 * TIMING.heartbeat]


def test_a_missed_answer_is_doubted_after_a_second_and_a_half_and_silence_after_eight(watch: Watch) -> None:
    assert believed_after(watch, Verdict.SUSPECT) == pytest.approx(TIMING.suspect_after + 3 * TRIP, abs=0.02)
    assert believed_after(watch, Verdict.SILENT) == pytest.approx(TIMING.silence, abs=0.02)


def test_a_host_within_reach_makes_it_half_as_long(watch: Watch) -> None:
    watch.reachable()
    assert believed_after(watch, Verdict.SILENT) == pytest.approx(TIMING.stuck_after + 3 * TRIP, abs=0.02)


def test_a_changed_network_is_doubted_at_once_and_believed_within_three_round_trips(watch: Watch) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    assert watch.verdict(0.0) is Verdict.SUSPECT
    watch.reachable()
    assert believed_after(watch, Verdict.SILENT) == pytest.approx(TIMING.network_change_grace + 3 * TRIP, abs=0.02)


def test_a_question_that_was_open_when_the_network_changed_is_not_waited_for(watch: Watch) -> None:
    watch.stir(5.0)
    assert watch.is_due(5.0)
    assert watch.verdict(6.0) is Verdict.SUSPECT
    watch.reachable()
    assert watch.verdict(5.0 + TIMING.overdue_grace + 2.9 * TRIP) is Verdict.SUSPECT
    assert watch.verdict(5.0 + TIMING.overdue_grace + 3.1 * TRIP) is Verdict.SILENT


def test_a_question_that_was_put_just_before_the_network_changed_may_still_be_answered(watch: Watch) -> None:
    watch.stir(TIMING.network_change_grace / 2)
    assert watch.is_due(TIMING.network_change_grace / 2)
    watch.reachable()
    assert watch.verdict(TIMING.network_change_grace) is Verdict.SUSPECT


def test_a_changed_network_without_a_way_to_the_host_is_no_reason_for_haste(watch: Watch) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    assert believed_after(watch, Verdict.SILENT) == pytest.approx(TIMING.silence, abs=0.02)


def test_one_byte_ends_every_doubt(watch: Watch) -> None:
    watch.reachable()
    assert watch.verdict(3.0) is Verdict.SUSPECT
    assert watch.received(2, 3.0)
    assert watch.verdict(3.0) is Verdict.ALIVE
    assert watch.known.last_heard == 3.0


def test_bytes_that_waited_while_the_network_changed_prove_nothing(watch: Watch) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    watch.reachable()
    assert not watch.received(2, 0.1)
    watch.answered(1.0, 0.1)  # a question of before
    assert believed_after(watch, Verdict.SILENT) == pytest.approx(
        0.1 + TIMING.network_change_grace + 3 * TRIP, abs=0.02
    )


def test_an_answer_to_what_was_asked_since_the_network_changed_ends_the_doubt(watch: Watch) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    watch.answered(TRIP, TRIP)
    assert watch.received(2, TRIP)
    assert watch.verdict(1.0) is Verdict.ALIVE


def test_a_download_that_goes_on_while_an_answer_is_late_is_no_silence(watch: Watch) -> None:
    watch.stir(0.0)
    assert watch.is_due(0.0)
    watch.reachable()
    for tick in range(1, 100):
        watch.received(1 + tick, tick / 10)
        assert watch.verdict(tick / 10) is not Verdict.SILENT


def test_who_was_wrong_is_slower_to_believe_and_no_slower_than_eight_seconds(watch: Watch) -> None:
    waited = []
    for _ in range(6):
        watch.reachable()
        waited.append(believed_after(watch, Verdict.SILENT))
        watch.was_wrong()
    assert waited == sorted(waited)
    assert waited[0] < waited[1]
    assert waited[-1] == pytest.approx(TIMING.silence, abs=0.02)


def test_an_answer_that_waited_in_an_outage_says_nothing_of_the_way(watch: Watch) -> None:
    for seconds in (TRIP, TRIP, 40.0):
        watch.answered(seconds, 0.0)
    assert watch.known.round_trip == TRIP
    assert believed_after(watch, Verdict.SUSPECT) == pytest.approx(TIMING.suspect_after + 3 * TRIP, abs=0.02)


@given(st.lists(st.floats(0.0001, 30.0), max_size=20), st.booleans(), st.booleans())
def test_whatever_the_round_trip_eight_seconds_without_an_answer_are_enough(
    trips: list[float], is_stirred: bool, is_reachable: bool
) -> None:
    watch = Watch()
    watch.received(1, 0.0)
    for seconds in trips:
        watch.answered(seconds, 0.0)
    if is_stirred:
        watch.stir(0.0)
    assert watch.is_due(0.0)
    if is_reachable:
        watch.reachable()
    assert watch.verdict(TIMING.silence + 0.01) is Verdict.SILENT


# outages -------------------------------------------------------------------------------------------------


def test_what_is_logged_of_an_outage_is_a_few_lines() -> None:
    outages, lines = Outages(), list[str]()

    def keep(known: tuple[Outages, str]) -> None:
        nonlocal outages
        outages, line = known
        lines.extend([line] if line else [])

    keep(outages.begin(100.0, "no data"))
    for _ in range(40):
        keep(outages.attempt_failed(Unreachable("cannot reach `gpu1`", detail="banner\nssh: no route")))
    keep(outages.begin(130.0, "the link ended"))
    keep(outages.end(440.0, "reconnected"))
    assert lines == [
        "no data",
        "cannot reach `gpu1`: ssh: no route; retrying",
        "the link ended",
        "reconnected after 5 min 40 s, 40 failed attempts",
    ]
    assert (outages.count, outages.longest, outages.duration(1e9)) == (1, 340.0, 0.0)


def test_the_longest_outage_is_remembered_and_what_was_none_is_not_counted() -> None:
    outages, line = Outages().end(5.0, "connected")
    assert line == ""
    for began, ended in ((10.0, 40.0), (50.0, 51.0)):
        outages, _ = outages.begin(began, "")
        outages, _ = outages.end(ended, "")
    assert (outages.count, outages.longest) == (2, 30.0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (0, "0 s"), (0.44, "0.4 s"), (3, "3 s"), (12.4, "12 s"), (60, "1 min"), (340, "5 min 40 s"),
     (3600, "1 h"), (28_930, "8 h 2 min"), (86_400 * 3 + 4 * 3600 + 59, "3 d 4 h"), (3605, "1 h")],
)  # fmt: skip
def test_a_length_of_time_in_words(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words
