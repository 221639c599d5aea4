"""What the person asked for and a session that was there has not, and how to have it. Pure: values in, text out."""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from ..advice import command, free_name
from ..model import Kernels, Target
from ..protocol.mux_messages import SessionInfo

Words = Mapping[str, Any]

_OPTIONS = {
    "--dir": "directory",
    "--env": "environment",
    "--app": "app",
    "--kernels": "kernels",
    "--keep-host": "keep_host",
    "--keep-laptop": "keep_laptop",
    "--keep-hours": "keep_hours",
}
"""What makes a session what it is, by option: each belongs into the command that starts another one."""


def unmet(target: Target, session: SessionInfo, wish: Words, *, limit: int, taken: Collection[str]) -> list[str]:
    """A note for each thing that the running session has not; the last says how to have it without ending anything.

    `limit`: what the far end says it keeps, 0 where it does not say; `taken`: names of sessions that are known.
    """
    notes = list(_differences(session, wish))
    if not limit and (wish.get("keep_host") or wish.get("keep_hours")):
        notes.append("the buffer on the host keeps its size: an older farlab started this session")
    if notes:
        beside = another(target, wish, {*taken, *session.names})
        end = command(target, "terminate", "--name", target.name)  # whatever the person's configuration takes it for
        notes[-1] += f"; `{beside}` starts another one (or end this one first: `{end}`)"
    return notes


def another(target: Target, wish: Words, taken: Collection[str]) -> str:
    """The command that starts another session beside this one, as the wish has it, under a name that is free."""
    words = [text for option, key in _OPTIONS.items() if wish.get(key) for text in (option, _plain(wish[key]))]
    words += [text for line in wish.get("setup") or () for text in ("--setup", str(line))]
    words += ["--keep-output"] if wish.get("keep_output") else []
    named = wish.get("directory") or wish.get("environment") or wish.get("app") or ""
    name = free_name(posixpath.basename(str(named).rstrip("/")), {*taken, target.name})
    return command(target, "connect", "--name", name, *words)


def open_kernels(names: Collection[str]) -> list[str]:
    """That some kinds of kernels have no private way to talk."""
    if not names:
        return []
    kinds = ", ".join(f"`{name}`" for name in sorted(names))
    return [
        f"other users of the host can read what these kernels send, over TCP: {kinds}; `--kernels private` forbids them"
    ]


def cost_of_kept_output(session: SessionInfo) -> list[str]:
    """What `--keep-output` costs, said when the session starts."""
    if not session.keep_output:
        return []
    cost = (
        "`--keep-output` keeps output while no tab is open; ipywidgets are lost on reload and need a trusted notebook"
    )
    return [f"{cost}; notebooks autosave"]


def _differences(session: SessionInfo, wish: Words) -> list[str]:
    directory, environment, app = (wish.get(key) for key in ("directory", "environment", "app"))
    found = []
    if directory and not _is_in(session, str(directory)):
        found.append(f"the session already runs in `{session.directory}`; `--dir {directory}` was ignored")
    if environment and environment != session.environment:
        own = f"`{session.environment}`" if session.environment else "your login shell's environment"
        found.append(f"the session already runs in {own}; `--env {environment}` was ignored")
    if app and app != session.app:
        found.append(f"the session already runs {session.server}; `--app {app}` was ignored")
    kernels = Kernels.PRIVATE if session.which_kernels == Kernels.PRIVATE else Kernels.ANY
    if wish.get("kernels") and wish["kernels"] != kernels:
        found.append(f"the session already runs with `--kernels {kernels}`")
    if wish.get("keep_output") and not session.keep_output:
        found.append("the session already runs without `--keep-output`")
    return found


def _is_in(session: SessionInfo, directory: str) -> bool:
    """Whether the session runs where `directory` is: the same words as then, or the same place in the end."""
    if directory == session.asked:
        return True
    path = directory.removeprefix("~/") if directory != "~" else ""
    return posixpath.normpath(posixpath.join(session.home, path)) == session.directory


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
