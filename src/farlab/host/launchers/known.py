"""The launchers that there are, in the order to try them. Standard library, Python 3.6."""

from farlab.host.launchers.base import Launcher
from farlab.host.launchers.detached import Detached
from farlab.host.launchers.tmux import OwnTmux, Tmux

MYPY = False
if MYPY:
    from typing import Any, Dict, Tuple

LAUNCHERS = (Tmux(), OwnTmux(), Detached())


def named(name: "Any") -> Launcher:
    """The launcher of that name; one that only knows processes where there is none."""
    return next((each for each in LAUNCHERS if each.name == name), LAUNCHERS[-1])


def of_record(record: "Dict[str, Any]", session: str) -> "Tuple[Launcher, Dict[str, str]]":
    """The launcher of a session and its handle, which an older farlab's record does not have."""
    launcher, handle = named(record.get("launcher")), record.get("handle")
    known = launcher.handle_for(session)
    if isinstance(handle, dict) and all(isinstance(handle.get(key), str) for key in known):
        known = handle
    return launcher, known
