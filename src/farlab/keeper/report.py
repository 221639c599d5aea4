"""What the keeper reports to its clients: values made of facts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..durations import format_duration
from ..errors import FarlabError, from_json
from ..model import Connected, SessionStatus, State, Target
from ..protocol.mux_messages import SessionInfo
from ..sanitize import shortened

_VOLATILE = frozenset(
    {
        *("at", "started", "last_heard", "round_trip", "streams", "bytes_in", "bytes_out", "bytes_held"),
        *("longest_outage", "last_kernels", "last_kernels_at"),
    }
)
"""Keys of a status that change all the time: no news for a client that follows."""
_LINES, _LONGEST = 3, 2000


def connected(target: Target, session: SessionInfo, **facts: Any) -> Connected:
    """The result of a connect. `facts` are its other fields."""
    app, pid = session.app or "lab", session.pid or 0
    return Connected(**_of_both(target, session), app=app, pid=pid, token=session.token, **facts)


def status(target: Target, session: SessionInfo, **facts: Any) -> SessionStatus:
    """The status of a session. `facts` are its other fields."""
    return SessionStatus(**_of_both(target, session), app=session.app, pid=session.pid, **facts)


def _of_both(target: Target, session: SessionInfo) -> dict[str, Any]:
    names = ("node", "launcher", "transport", "directory", "environment", "server")
    own = {"host": target.host, "name": target.name, "ssh_config": target.ssh_config}
    return {**own, **{name: getattr(session, name) for name in names}}


def lasting(status: Mapping[str, Any]) -> dict[str, Any]:
    """A status without what changes all the time."""
    kernels = status["kernels"]
    still = None if kernels is None else [{**kernel, "last_activity": ""} for kernel in kernels]
    return {**{key: value for key, value in status.items() if key not in _VOLATILE}, "kernels": still}


def reason(trouble: FarlabError | None, said: list[str], next_attempt: str) -> str:
    """Why the session cannot be reached; what is said while a link is being made tells more than what was.

    `next_attempt`: when, where the host refuses one connection after the other.
    """
    if said:
        return shortened(f"waits for the host: {' '.join(said[-_LINES:])}", _LONGEST)
    if trouble and next_attempt:
        return f"{trouble.message}; the host may be shutting this address out: next attempt at {next_attempt}"
    return trouble.message if trouble else ""


def still_there(reason: FarlabError, state: State, seconds: float) -> FarlabError:
    """Why a connect to a session failed that was last seen `seconds` ago, and what becomes of it."""
    seen = f"the session was last seen {format_duration(round(max(seconds, 0.0)))} ago"
    next_step = "farlab is waiting for you" if state is State.BLOCKED else "farlab keeps trying to reach it"
    hint = "; ".join(filter(None, (reason.hint, seen))) + f", and {next_step}"
    return from_json({**reason.as_json(), "hint": hint})
