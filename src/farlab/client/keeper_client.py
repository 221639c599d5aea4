"""Asks a keeper that lives one thing, and knows one that lives and does not answer: stopped, or stuck.

Rule: what changes anything is asked only of a keeper that has just answered. A stopped one would do it later, when
nobody wants it any more.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from ..errors import from_json
from ..keeper import control_client
from ..model import Target

PATIENCE = 4.0
"""Seconds within which a keeper tells how it is, on a busy machine too."""
GLANCE = 1.5
"""The same for whoever looks at many."""
_SLOW = 60.0
"""Seconds for what a keeper has to ask others about."""

Words = dict[str, Any]


def glance(target: Target, patience: float = PATIENCE) -> Words | None:
    """What the keeper knows by itself, at once; None where there is none. Raises KeeperSilent."""
    return _exchange(target, patience, {"op": "status"})


def ask(target: Target, **words: object) -> Words | None:
    """One request and its answer; None where there is no keeper, or it ends just now. Raises KeeperSilent."""
    return None if glance(target) is None else _exchange(target, _SLOW, words)


def _exchange(target: Target, patience: float, words: Words) -> Words | None:
    channel = control_client.find(target, patience)
    if channel is None:
        return None
    with closing(channel):
        channel.send(**words)
        try:
            answer = channel.receive(patience)
        except TimeoutError:
            raise control_client.silent_error(target, channel.pid) from None
    if answer and isinstance(answer.get("error"), dict):
        raise from_json(answer["error"])
    return answer
