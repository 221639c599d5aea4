"""The keeper's states: the table is whole, every state can be left, and nothing gets stuck."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farlab.keeper import states
from farlab.keeper.states import TABLE, Happened, after, delay
from farlab.model import State

LIVED = [state for state in State if state is not State.NO_KEEPER]


@pytest.mark.parametrize("state", LIVED)
@pytest.mark.parametrize("happened", list(Happened))
def test_what_has_no_row_changes_nothing(state: State, happened: Happened) -> None:
    assert after(state, happened) is TABLE.get((state, happened), state)
    assert TABLE.get((state, happened)) is not state  # such a row would say nothing


@pytest.mark.parametrize("state", [State.CONNECTING, State.ASKING, State.DOWN, State.BLOCKED, State.ENDED])
def test_a_server_that_answers_as_its_link_ends_is_not_up(state: State) -> None:
    assert after(state, Happened.SERVER_UP) is state
    assert after(state, Happened.HEARD) is state


@pytest.mark.parametrize("state", LIVED)
def test_from_every_state_a_person_can_get_to_the_notebook(state: State) -> None:
    assert State.UP in reachable(state)


@pytest.mark.parametrize("state", [each for each in LIVED if each is not State.BLOCKED])
def test_a_lost_link_is_no_end(state: State) -> None:
    """Only what needs a person stays where it is; all else tries again or has ended."""
    if (state, Happened.LINK_LOST) in TABLE:
        assert after(state, Happened.LINK_LOST) in (State.DOWN, State.ENDED)


def test_only_a_person_or_their_keys_lead_out_of_blocked_and_only_a_person_out_of_ended() -> None:
    for state in (State.BLOCKED, State.ENDED):
        ways = {happened for happened in Happened if TABLE.get((state, happened), state) is not state}
        assert ways == {Happened.PERSON_CONNECTS} | ({Happened.KEYS_CHANGED} if state is State.BLOCKED else set())


def test_the_first_try_is_at_once_and_the_last_delay_is_for_ever() -> None:
    assert delay(0, 0.5) == 0.0
    assert [delay(tries, 0.5) for tries in range(1, 6)] == [1.0, 2.0, 4.0, 8.0, 15.0]
    assert delay(10_000, 0.5) == 15.0


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_spread_by_a_quarter_at_most(tries: int, chance: float) -> None:
    plain = states.BACKOFF[min(tries, len(states.BACKOFF) - 1)]
    assert plain * 0.75 <= delay(tries, chance) <= plain * 1.25


def reachable(state: State) -> set[State]:
    found, todo = {state}, deque([state])
    while todo:
        here = todo.popleft()
        for there in {target for (source, _), target in TABLE.items() if source is here} - found:
            found.add(there)
            todo.append(there)
    return found


class Life(RuleBasedStateMachine):
    """A keeper that lives through whatever can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.CONNECTING
        self.lost = False

    @rule(happened=st.sampled_from(list(Happened)))
    def anything(self, happened: Happened) -> None:
        before, self.state = self.state, after(self.state, happened)
        if self.state is State.UP is not before:
            assert happened in (Happened.SERVER_UP, Happened.HEARD), before

    @precondition(lambda self: self.state is not State.UP)
    @rule()
    def a_person_brings_it_up(self) -> None:
        """However it got here: connect, a link, the server's word."""
        for happened in (Happened.PERSON_CONNECTS, Happened.LINE_UP, Happened.SERVER_UP):
            self.state = after(self.state, happened)
        assert self.state is State.UP

    @invariant()
    def it_is_a_state_of_a_keeper(self) -> None:
        assert self.state in LIVED


TestLife = Life.TestCase
