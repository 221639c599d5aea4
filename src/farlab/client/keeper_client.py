"""Sends one request to a running keeper, and recognises one that does not answer: stopped, or stuck.

Rule: a request that changes anything goes only to a keeper that has just answered. A stopped one would carry it out
later, when nobody wants it any more.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from ..errors import from_json
from ..keeper import control_client
from ..model import Target

STATUS_TIMEOUT = 4.0
"""Seconds in which a keeper answers a status request, on a busy machine too."""
LIST_TIMEOUT = 1.5
"""The same when asking many."""
_REQUEST_TIMEOUT = 60.0
"""Seconds for a request for which the keeper asks others."""

Words = dict[str, Any]


def status(target: Target, timeout: float = STATUS_TIMEOUT) -> Words | None:
    """What the keeper knows without asking others; None if there is no keeper. Raises KeeperSilent."""
    return _exchange(target, timeout, {"op": "status"})


def request(target: Target, **message: object) -> Words | None:
    """The reply to one request; None if there is no keeper, or it is exiting. Raises KeeperSilent."""
    return None if status(target) is None else _exchange(target, _REQUEST_TIMEOUT, message)


def _exchange(target: Target, timeout: float, message: Words) -> Words | None:
    control = control_client.find(target, timeout)
    if control is None:
        return None
    with closing(control):
        control.send(**message)
        try:
            reply = control.receive(timeout)
        except TimeoutError:
            raise control_client.silent_error(target, control.pid) from None
    if reply and isinstance(reply.get("error"), dict):
        raise from_json(reply["error"])
    return reply
