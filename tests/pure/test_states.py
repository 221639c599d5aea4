"""The keeper's states: the table is whole, every state can be left, and nothing gets stuck."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from farlab.keeper.states import TABLE, Trigger, next_state
from farlab.model import State

LIVED = [state for state in State if state is not State.NO_KEEPER]


@pytest.mark.parametrize("state", LIVED)
@pytest.mark.parametrize("trigger", list(Trigger))
def test_what_has_no_row_changes_nothing(state: State, trigger: Trigger) -> None:
    assert next_state(state, trigger) is TABLE.get((state, trigger), state)
    assert TABLE.get((state, trigger)) is not state  # such a row would say nothing


@pytest.mark.parametrize("state", [State.CONNECTING, State.ASKING, State.DOWN, State.BLOCKED, State.ENDED])
def test_a_server_that_answers_as_its_link_ends_is_not_up(state: State) -> None:
    assert next_state(state, Trigger.SERVER_UP) is state
    assert next_state(state, Trigger.HEARD) is state


@pytest.mark.parametrize("state", LIVED)
def test_from_every_state_a_user_can_get_to_the_notebook(state: State) -> None:
    assert State.UP in reachable(state)


@pytest.mark.parametrize("state", [each for each in LIVED if each is not State.BLOCKED])
def test_a_lost_link_is_no_end(state: State) -> None:
    """Only what needs the user stays where it is; all else tries again or has ended."""
    if (state, Trigger.LINK_LOST) in TABLE:
        assert next_state(state, Trigger.LINK_LOST) in (State.DOWN, State.ENDED)


def test_only_a_user_or_a_retry_leads_out_of_blocked_and_only_a_user_out_of_ended() -> None:
    for state in (State.BLOCKED, State.ENDED):
        ways = {trigger for trigger in Trigger if TABLE.get((state, trigger), state) is not state}
        assert ways == {Trigger.USER_CONNECTS} | ({Trigger.RETRY} if state is State.BLOCKED else set())


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

    @rule(trigger=st.sampled_from(list(Trigger)))
    def anything(self, trigger: Trigger) -> None:
        before, self.state = self.state, next_state(self.state, trigger)
        if self.state is State.UP is not before:
            assert trigger in (Trigger.SERVER_UP, Trigger.HEARD), before

    @precondition(lambda self: self.state is not State.UP)
    @rule()
    def a_user_brings_it_up(self) -> None:
        """However it got here: connect, a link, the server's word."""
        for trigger in (Trigger.USER_CONNECTS, Trigger.LINK_UP, Trigger.SERVER_UP):
            self.state = next_state(self.state, trigger)
        assert self.state is State.UP

    @invariant()
    def it_is_a_state_of_a_keeper(self) -> None:
        assert self.state in LIVED


TestLife = Life.TestCase
