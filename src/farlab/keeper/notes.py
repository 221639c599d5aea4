"""The notes for a user who connects, above all on options that a running session does not have. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..advice import command, free_name
from ..model import Kernel, Kernels, Target
from ..protocol.mux_messages import SessionInfo

Options = Mapping[str, Any]
"""The fields of `model.SessionOptions`."""

_OPTIONS = {
    "--dir": "directory",
    "--env": "environment",
    "--app": "app",
    "--kernels": "kernels",
    "--keep-host": "keep_host",
    "--keep-laptop": "keep_laptop",
    "--keep-hours": "keep_hours",
}
"""The options that belong into a command that starts another session like it."""
_NODE = re.compile(r"[A-Za-z0-9._-]{1,255}")
_PLAIN = re.compile(rb"[A-Za-z0-9 ,.:;!?()%/_-]{4,60}")
"""What is quoted of foreign output: no backtick or quote, which could look like something to type."""


def unmet(target: Target, session: SessionInfo, options: Options, *, limit: int, taken: Collection[str]) -> list[str]:
    """A note on the options that the running session does not have, and the command that starts one beside it.

    `limit`: bytes that the host says it keeps, 0 where it does not say; `taken`: names of known sessions.
    """
    notes = list(_differences(session, options))
    if not limit and (options.get("keep_host") or options.get("keep_hours")):
        notes.append("the buffer on the host keeps its size: an older farlab started this session")
    if notes:
        notes.append(f"beside it: `{another(target, options, {*taken, *session.names})}`")
    return ["; ".join(notes)] if notes else []


def another(target: Target, options: Options, taken: Collection[str]) -> str:
    """The command that starts another session with these options, under a free name."""
    argv = [text for option, key in _OPTIONS.items() if options.get(key) for text in (option, _plain(options[key]))]
    argv += [text for line in options.get("setup") or () for text in ("--setup", str(line))]
    argv += ["--keep-output"] if options.get("keep_output") else []
    named = options.get("directory") or options.get("environment") or options.get("app") or ""
    name = free_name(posixpath.basename(str(named).rstrip("/")), {*taken, target.name})
    return command(target, "connect", "--name", name, *argv)


def open_kernels(names: Collection[str]) -> list[str]:
    """These kinds of kernels communicate over TCP only."""
    if not names:
        return []
    kinds = ", ".join(f"`{name}`" for name in sorted(names))
    return [
        f"other users of the host can read what these kernels send, over TCP: {kinds}; `--kernels private` forbids them"
    ]


def no_notebook(target: Target, session: SessionInfo, notebook: str, *, is_below: bool) -> str:
    """A notebook that cannot be opened: it is not there, or (`is_below` is false) where the server has no files."""
    root = session.root or session.directory
    if is_below:
        return f"`--notebook`: there is no `{notebook}` in `{session.directory}` on `{target.host}`"
    folder = posixpath.dirname(notebook)
    if not folder.startswith("~"):
        folder = posixpath.normpath(posixpath.join(session.directory, folder))
    beside = another(target, {"directory": folder}, {target.name, *session.names})
    return f"`--notebook {notebook}` is outside `{root}`, where this session's files begin; beside it: `{beside}`"


def of_new_session(session: SessionInfo, options: Options) -> list[str]:
    """What the user should know of a session that has just been started."""
    found = []
    if options.get("keep_output") and session.keep_output:
        found.append(
            "`--keep-output` keeps output while no tab is open; ipywidgets are lost on reload and need a trusted "
            "notebook; notebooks autosave"
        )
    if session.chosen and options.get("environment"):
        env = options["environment"]
        found.append(f"`{env}` has no Jupyter: that of `{session.chosen}` runs, with the kernel of `{env}`")
    elif session.chosen:
        found.append(f"your login shell finds no Jupyter; that of the environment `{session.chosen}` runs")
    if session.batch:
        found.append(
            f"this is a login node of {session.batch}: the notebook runs on it, not on a compute node, and many sites "
            "end long work there"
        )
    if session.launcher == "detached":
        found.append("the host has no usable tmux, so the session runs without it")
    return found


def silent_kernel(target: Target, kernel: Kernel) -> str:
    """A kernel was started and has not answered since."""
    name = "".join(each for each in kernel.notebook or kernel.name if each.isprintable() and each != "`")[:100]
    return f"the kernel of {name} was started but does not answer; `{command(target, 'logs')}` shows what it says"


def on_other_nodes(target: Target, nodes: Collection[str]) -> str:
    """A new session has namesakes on other nodes, which share the home."""
    named = ", ".join(f"`{node}`" for node in nodes if _NODE.fullmatch(node))
    return f"`{target.name}` also runs on {named or 'another node'}; `{command(target, 'list')}` shows all of them"


def not_saved(directory: Path) -> str:
    """The keeper cannot save what it knows of the session."""
    missing = f"cannot write to `{directory}`, so `farlab list` does not show this session"
    return f"{missing}, and its port may change after a reboot"


def background_output(host: str, sample: bytes) -> str:
    """Another program prints into the link; `sample` is some of it."""
    found = _PLAIN.search(sample)
    quote = f' ("{found[0].decode().strip()}")' if found else ""
    return (
        f"a start-up file on `{host}`, such as `~/.bashrc`, starts a background program that prints into the "
        f"connection{quote}. Nothing is lost, but it costs time: append `>/dev/null 2>&1` to that line"
    )


def _differences(session: SessionInfo, options: Options) -> list[str]:
    directory, environment, app = (options.get(key) for key in ("directory", "environment", "app"))
    found = []
    if directory and not _is_in(session, str(directory)):
        found.append(f"the session already runs in `{session.directory}`; `--dir {directory}` was ignored")
    if environment and environment != session.environment:
        own = f"`{session.environment}`" if session.environment else "your login shell's environment"
        found.append(f"the session already runs in {own}; `--env {environment}` was ignored")
    if app and app != session.app:
        found.append(f"the session already runs {session.server}; `--app {app}` was ignored")
    kernels = Kernels.PRIVATE if session.which_kernels == Kernels.PRIVATE else Kernels.ANY
    if options.get("kernels") and options["kernels"] != kernels:
        found.append(f"the session already runs with `--kernels {kernels}`")
    if options.get("keep_output") and not session.keep_output:
        found.append("the session already runs without `--keep-output`")
    return found


def _is_in(session: SessionInfo, directory: str) -> bool:
    """Whether the session runs in `directory`: named as when it was started, or the same path in the end."""
    if directory == session.asked:
        return True
    path = directory.removeprefix("~/") if directory != "~" else ""
    return posixpath.normpath(posixpath.join(session.home, path)) == session.directory


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
