"""The keeper's states: pure. What happened goes in, what to do comes out; the table is the whole truth.

    CONNECTING  the first link is being made          ASKING   ssh asks the person something
    STARTING    the line stands, the server not yet   UP       all is well
    SILENT      nothing heard; a second link is made  DOWN     no link; trying again, for ever
    BLOCKED     only a person can help                ENDED    the server is gone, or never came

A pair of a state and an event that has no row changes nothing. Such pairs come about: several things can happen in
one turn of the loop, an answer and the end of its link, and each is told after the others.
"""

from __future__ import annotations

from enum import StrEnum

from ..model import State


class Happened(StrEnum):
    """What a keeper can live through."""

    QUESTION = "question"
    ANSWERED = "answered"
    LINE_UP = "line-up"
    SERVER_STARTING = "server-starting"
    SERVER_UP = "server-up"
    SERVER_ENDED = "server-ended"
    SILENCE = "silence"
    HEARD = "heard"
    LINK_LOST = "link-lost"
    REFUSED = "refused"
    PERSON_CONNECTS = "person-connects"
    KEYS_CHANGED = "keys-changed"


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
_H = Happened

TABLE: dict[tuple[State, Happened], State] = {
    (_C, _H.QUESTION): _A,
    (_C, _H.LINE_UP): _S,
    (_C, _H.LINK_LOST): _D,
    (_C, _H.REFUSED): _B,
    (_C, _H.SERVER_ENDED): _E,
    (_A, _H.ANSWERED): _C,
    (_A, _H.LINE_UP): _S,
    (_A, _H.LINK_LOST): _D,
    (_A, _H.REFUSED): _B,
    (_A, _H.SERVER_ENDED): _E,
    (_S, _H.SERVER_UP): _U,
    (_S, _H.SERVER_ENDED): _E,
    (_S, _H.SILENCE): _I,
    (_S, _H.LINK_LOST): _D,
    (_U, _H.SERVER_STARTING): _S,
    (_U, _H.SERVER_ENDED): _E,
    (_U, _H.SILENCE): _I,
    (_U, _H.LINK_LOST): _D,
    (_U, _H.LINE_UP): _S,
    (_I, _H.HEARD): _U,
    (_I, _H.LINE_UP): _S,
    (_I, _H.LINK_LOST): _D,
    (_I, _H.SERVER_UP): _U,
    (_I, _H.SERVER_STARTING): _S,
    (_I, _H.SERVER_ENDED): _E,
    (_D, _H.LINE_UP): _S,
    (_D, _H.QUESTION): _A,
    (_D, _H.REFUSED): _B,
    (_D, _H.SERVER_ENDED): _E,
    (_D, _H.PERSON_CONNECTS): _C,
    (_B, _H.PERSON_CONNECTS): _C,
    (_B, _H.KEYS_CHANGED): _D,
    (_E, _H.PERSON_CONNECTS): _C,
}

BACKOFF = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds before each try; the last for ever."""
JITTER = 0.25


def after(state: State, happened: Happened) -> State:
    """The state that follows."""
    return TABLE.get((state, happened), state)


def delay(failures: int, chance: float) -> float:
    """Seconds to wait after so many tries in a row that failed. `chance` in [0, 1) spreads many keepers out."""
    return BACKOFF[min(failures, len(BACKOFF) - 1)] * (1 + JITTER * (2 * chance - 1))
