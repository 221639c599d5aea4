"""Sends one request to a running keeper, and recognises one that does not answer: stopped, or stuck.

Rule: a request that changes anything goes only to a keeper that has just answered. A stopped one would carry it out
later, when nobody wants it any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from ..errors import FarlabError, Internal, from_json
from ..keeper import control_client
from ..model import State, Target
from ..protocol import control
from ..protocol.records import InvalidMessage, Record

STATUS_TIMEOUT = 4.0
"""Seconds in which a keeper answers a status request, on a busy machine too."""
LIST_TIMEOUT = 1.5
"""The same when asking many."""
_REQUEST_TIMEOUT = 60.0
"""Seconds for a request for which the keeper asks others."""

_R = TypeVar("_R", bound=Record)


def status(target: Target, timeout: float = STATUS_TIMEOUT) -> control.Status | None:
    """What the keeper knows without asking others; None if there is no keeper. Raises KeeperSilent."""
    answer = _exchange(target, timeout, control.AskStatus(op="status"), control.StatusAnswer)
    return answer.status if answer else None


def status_at(path: Path, timeout: float) -> control.Status | None:
    """The same of a keeper whose session nobody names; None where none answers."""
    with suppress(OSError), closing(control_client.ControlClient(path, timeout)) as connection:
        connection.send(op="status")
        reply = connection.receive(timeout)
        return control.StatusAnswer.read_leniently(reply).status if reply else None
    return None


def request(target: Target, message: Record, answer: type[_R]) -> _R | None:
    """The reply to one request; None if there is no keeper, or it is exiting. Raises KeeperSilent."""
    return None if status(target) is None else _exchange(target, _REQUEST_TIMEOUT, message, answer)


def server_log(target: Target, *, lines: int, follow: bool) -> Iterator[list[str]] | None:
    """The server's log, over the link of the keeper; None where no link stands, or keeper or session are older."""
    with suppress(FarlabError, TimeoutError):
        known = status(target)
        connection = control_client.find(target) if known and known.state == State.UP else None
        if connection is None:
            return None
        connection.send(op="logs", lines=lines, follow=follow)
        first = connection.receive(_REQUEST_TIMEOUT)
        if first is None or "lines" in first:
            return _lines(connection, first)
        connection.close()
    return None


def _lines(connection: control_client.ControlClient, message: dict[str, object] | None) -> Iterator[list[str]]:
    with closing(connection), suppress(InvalidMessage):
        while message is not None:
            yield list(control.Lines.read(message).lines)
            message = connection.receive()


def read(target: Target, message: dict[str, object], answer: type[_R]) -> _R:
    """A keeper's message as the answer that is expected. Raises the error that it reports, or Internal."""
    try:
        if "error" in message:
            raise reported(control.Error.read(message))
        return answer.read(message)
    except InvalidMessage as invalid:
        message_text = f"the keeper of session `{target.name}` on `{target.host}` sent an invalid message"
        raise Internal(message_text, detail=str(invalid)) from None


def reported(error: control.Error) -> FarlabError:
    """The error that a keeper reports."""
    return from_json(error.error.values())


def _exchange(target: Target, timeout: float, message: Record, answer: type[_R]) -> _R | None:
    connection = control_client.find(target, timeout)
    if connection is None:
        return None
    with closing(connection):
        connection.send(**vars(message))
        try:
            reply = connection.receive(timeout)
        except TimeoutError:
            raise control_client.silent_error(target, connection.pid) from None
    return None if reply is None else read(target, reply, answer)
