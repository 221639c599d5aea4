"""The keeper's states: pure. A trigger goes in, the next state comes out; the table is the whole truth.

    CONNECTING  the first link is being made          ASKING   ssh asks the user something
    STARTING    a link stands, the server not yet     UP       all is well
    SILENT      nothing heard; a second link is made  DOWN     no link; trying again, for ever
    BLOCKED     only the user can help                ENDED    the server is gone, or never came

A pair of a state and a trigger that has no row changes nothing. Such pairs come about: several things can happen in
one turn of the loop, an answer and the end of its link, and each is told after the others.
"""

from __future__ import annotations

from enum import StrEnum

from ..model import State


class Trigger(StrEnum):
    """What leads from one state to another."""

    QUESTION = "question"
    ANSWERED = "answered"
    LINK_UP = "link-up"
    SERVER_STARTING = "server-starting"
    SERVER_UP = "server-up"
    SERVER_ENDED = "server-ended"
    SILENCE = "silence"
    HEARD = "heard"
    LINK_LOST = "link-lost"
    REFUSED = "refused"
    USER_CONNECTS = "user-connects"
    RETRY = "retry"


_C, _A, _S, _U, _I, _D, _B, _E = (
    State.CONNECTING,
    State.ASKING,
    State.STARTING,
    State.UP,
    State.SILENT,
    State.DOWN,
    State.BLOCKED,
    State.ENDED,
)
_T = Trigger

TABLE: dict[tuple[State, Trigger], State] = {
    (_C, _T.QUESTION): _A,
    (_C, _T.LINK_UP): _S,
    (_C, _T.LINK_LOST): _D,
    (_C, _T.REFUSED): _B,
    (_C, _T.SERVER_ENDED): _E,
    (_A, _T.ANSWERED): _C,
    (_A, _T.LINK_UP): _S,
    (_A, _T.LINK_LOST): _D,
    (_A, _T.REFUSED): _B,
    (_A, _T.SERVER_ENDED): _E,
    (_S, _T.SERVER_UP): _U,
    (_S, _T.SERVER_ENDED): _E,
    (_S, _T.SILENCE): _I,
    (_S, _T.LINK_LOST): _D,
    (_U, _T.SERVER_STARTING): _S,
    (_U, _T.SERVER_ENDED): _E,
    (_U, _T.SILENCE): _I,
    (_U, _T.LINK_LOST): _D,
    (_U, _T.LINK_UP): _S,
    (_I, _T.HEARD): _U,
    (_I, _T.LINK_UP): _S,
    (_I, _T.LINK_LOST): _D,
    (_I, _T.SERVER_UP): _U,
    (_I, _T.SERVER_STARTING): _S,
    (_I, _T.SERVER_ENDED): _E,
    (_D, _T.LINK_UP): _S,
    (_D, _T.QUESTION): _A,
    (_D, _T.REFUSED): _B,
    (_D, _T.SERVER_ENDED): _E,
    (_D, _T.USER_CONNECTS): _C,
    (_B, _T.USER_CONNECTS): _C,
    (_B, _T.RETRY): _D,
    (_E, _T.USER_CONNECTS): _C,
}


def next_state(state: State, trigger: Trigger) -> State:
    """The state that follows."""
    return TABLE.get((state, trigger), state)
