"""The status of a session as a value: of what its keeper says, or of what is saved where it has none. Pure."""

from __future__ import annotations

from dataclasses import asdict

from ..keeper.web.addresses import app_path, label
from ..model import SessionStatus, State, Target
from ..protocol import control
from ..saved import SavedSession
from ..transport.from_host import kernels


def without_keeper(known: SavedSession) -> SessionStatus:
    """A session that nothing here is connected to, as it was when it was."""
    here, path = f"http://{label(known.target)}.localhost:{known.port}", app_path(known.app, known.base_url, None)
    return SessionStatus(
        **asdict(known.target),
        state=State.NO_KEEPER,
        port=known.port,
        url=here + path if known.app else "",  # an older farlab has not saved it
        directory=known.directory,
    )


def session_status(target: Target, status: control.Status) -> SessionStatus:
    """A keeper's status; an older keeper does not tell how its host is found, a newer one may know other states."""
    state = State(status.state) if status.state in set(State) else State.DOWN
    values = {**status.values(), **asdict(target), "kernels": kernels(status.kernels)}
    return SessionStatus(**{**values, "state": state, "last_kernels": kernels(status.last_kernels)})
