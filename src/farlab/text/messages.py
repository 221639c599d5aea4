"""Results and errors as text for a user.

Rule: pure; values in, text out. The caller has cleaned every text in a result (`sanitize.clean_value`), so that
nothing here can forget to.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from datetime import datetime
from functools import singledispatch

from ..advice import Named, command, fill
from ..durations import format_duration
from ..errors import Declined, FarlabError
from ..model import App, Connected, Disconnected, HostEnvironment, Kernel, SessionStatus, State, Terminated
from .results import Address, Command, Done, Environments, Opened, Sessions
from .wrapping import wrapped

DETAIL_LINES = 40
"""How many lines of another program's output an error shows."""
LEAST_HELD = 64 << 10
"""Bytes buffered that are worth telling."""
APPS = {
    App.LAB: "JupyterLab",
    App.NOTEBOOK: "Jupyter Notebook",
    App.NBCLASSIC: "classic notebook",
    App.SERVER: "Jupyter",
}


@singledispatch
def text(result: object) -> str:
    """A result as text."""
    raise TypeError(type(result).__name__)


@text.register
def _(result: Connected) -> str:
    took = f"{result.seconds.get('total', 0.0):.1f} s"
    how = f"already running (connected in {took})" if result.reused else f"started in {took}"
    where = f"`{result.host}`" + (f" in `{result.directory}`" if result.directory else "")
    app = APPS[App(result.app)] if result.app in list(App) else result.app
    return f"{app} on {where}, {how}\n\n  {result.url}\n\nto stop it: `{command(result, 'terminate')}`"


@text.register
def _(result: Terminated) -> str:
    kernels = f" ({_count(result.kernels, 'kernel')})" if result.kernels else ""
    if not result.was_running:
        return f"session `{result.name}` on `{result.host}` had ended already"
    return f"terminated session `{result.name}` on `{result.host}`{kernels}"


@text.register
def _(result: Disconnected) -> str:
    session = f"session `{result.name}` on `{result.host}`"
    if result.running is None:
        ask = fill("`{farlab list --host HOST}`", result)
        return f"disconnected; farlab never reached {session} (to see whether it runs: {ask})"
    if not result.running:
        return f"disconnected; {session} has ended"
    return f"disconnected; {session} is still running (to reconnect: `{command(result, 'connect')}`)"


@text.register
def _(result: Environments) -> str:
    lines = [line for found in result.environments for line in _environment(found)]
    none = f"`{result.host}` has no environment that farlab knows how to find"
    return "\n".join([*(lines or [none]), *([f"none is used: {result.why}"] if result.why else [])])


def _environment(found: HostEnvironment) -> Iterator[str]:
    has = found.jupyter or (f"no Jupyter; kernels: {', '.join(found.kernels)}" if found.kernels else "no Jupyter")
    python = f", Python {found.python}" if found.python else ""
    yield f"{'*' if found.is_used else ' '} {found.name}  {has}{python}  ({found.kind}, `{found.path}`)"
    if found.is_used:
        yield f"    used by `connect`: {found.why}"


@text.register
def _(result: Address) -> str:
    return result.url


@text.register
def _(result: Opened) -> str:
    return "" if result.opened else result.url


@text.register
def _(result: Command) -> str:
    return shlex.join(result.command)


@text.register
def _(result: Done) -> str:
    return ""


@text.register
def _(result: Sessions) -> str:
    if result.host is not None:
        return f"no session or other Jupyter server of yours on `{result.host}`"
    return fill("no sessions known here; `{farlab connect HOST}` starts one", None)


@text.register
def _(result: SessionStatus) -> str:
    rows = [(label, value) for label, value in _rows(result) if value]
    head = f"session `{result.name}` on `{result.host}`: {state_text(result)}"
    return "\n".join([head, *(f"  {label:<12}{value}" for label, value in rows)])


def _rows(session: SessionStatus) -> list[tuple[str, str]]:
    process = f"pid {session.pid}" if session.pid else ""
    place = "in tmux" if session.launcher == "tmux" else session.launcher
    since = clock_text(session.since) if session.since > 0 else ""
    has_run = session.started is not None and session.state is not State.ENDED
    streams = f", {_count(session.streams, 'stream')}" if session.streams else ""
    traffic = f"{size_text(session.bytes_in)} in, {size_text(session.bytes_out)} out{streams}{_held(session)}"
    return [
        (
            "running",
            f"since {clock_text(session.started or 0.0)} ({_ago(session, session.started)})" if has_run else "",
        ),
        ("this state" if has_run else "since", "" if has_run and session.state is State.UP else since),
        ("address", without_token(session.url)),
        ("node", "" if session.node == session.host else session.node),
        ("server", ", ".join(filter(None, (session.server or session.app, process, place)))),
        ("directory", session.directory),
        ("ssh-config", session.ssh_config or ""),
        ("environment", session.environment),
        ("kernels", _kernels(session)),
        ("traffic", traffic if session.keeper_pid else ""),
        ("buffers", "; ".join(_full_buffers(session))),
        ("last seen", _last_seen(session, ", round trip")),
        ("outages", outages_text(session) if session.keeper_pid else ""),
        ("keeper", f"pid {session.keeper_pid}" if session.keeper_pid else ""),
    ]


def _kernels(session: SessionStatus) -> str:
    """The kernels, or those that were known last while nobody can ask; "" where none ever were."""
    found, when = session.kernels, ""
    if found is None and session.state is not State.ENDED:
        found, when = session.last_kernels, f"as of {_ago(session, session.last_kernels_at)} ago"
    if found is None:
        return ""
    return "; ".join(kernel_text(kernel, when) for kernel in found) or " ".join(filter(None, ("none", when)))


def _ago(session: SessionStatus, when: float | None) -> str:
    """How long ago, seen from the time of the status."""
    return format_duration(round(max(session.at - (when or 0.0), 0.0)))


def _held(session: SessionStatus) -> str:
    """What is buffered here, where that is more than what is always on its way."""
    return f", {size_text(session.bytes_held)} buffered" if session.bytes_held >= LEAST_HELD else ""


def _full_buffers(session: SessionStatus) -> Iterator[str]:
    """Which buffer is full, so that the sender has to wait."""
    if session.full_since is not None:
        size, since = size_text(session.bytes_limit), clock_text(session.full_since)
        yield f"local buffer ({size}) full since {since}; uploads are paused"
    if session.host_full_since is not None:
        size, since = size_text(session.host_bytes_limit), clock_text(session.host_full_since)
        delay = f"output was delayed by {session.host_full_seconds:.0f} s"
        yield f"the host's buffer ({size}) was full from {since}; {delay}"


def clock_text(when: float) -> str:
    """A moment in local time."""
    try:
        return datetime.fromtimestamp(when).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


STATES = {
    State.CONNECTING: "connecting",
    State.ASKING: "`ssh` has a question",
    State.STARTING: "starting",
    State.UP: "up",
    State.SILENT: "no answer, opening a second connection",
    State.DOWN: "down, retrying",
    State.BLOCKED: "blocked",
    State.ENDED: "ended",
    State.NO_KEEPER: "not connected",
}


BRIEF_STATES = STATES | {State.ASKING: "asks", State.SILENT: "no answer"}
"""For a table."""


def state_text(session: SessionStatus) -> str:
    """The state, its reason, and what to type if that helps."""
    if session.foreign:
        return "not started by farlab"
    if session.is_keeper_silent:
        return _NO_ANSWER
    why = f": {session.reason}" if session.reason else ""
    if _is_known_by_host(session):
        return (session.reason or STATES[session.state]) + (f" (node `{session.node}`)" if session.node else "")
    can_connect = session.state in (State.BLOCKED, State.ENDED, State.NO_KEEPER)
    return STATES[session.state] + why + (f"; `{command(session, 'connect')}`" if can_connect else "")


_NO_ANSWER = "does not answer"


def _is_known_by_host(session: SessionStatus) -> bool:
    """Whether the host alone tells of it, and cannot reach it either: it may run on another node. Nobody retries."""
    return session.state is State.DOWN and session.keeper_pid is None and bool(session.node)


def session_cells(session: SessionStatus) -> dict[str, str]:
    """A session as one row of a table, by heading."""
    is_connected = session.keeper_pid is not None and session.state is not State.NO_KEEPER
    began = session.since if session.started is None else session.started
    state = _NO_ANSWER if session.is_keeper_silent else BRIEF_STATES[session.state]
    if _is_known_by_host(session):
        state = f"on {session.node}" if session.reason.startswith("elsewhere") else "not reachable"
    cells = {
        "host": session.host,
        "session": session.name,
        "state": "not farlab's" if session.foreign else state,
        "since": f"{_ago(session, began)} ago" if 0 < began <= session.at else "",
        "last seen": _last_seen(session, ","),
        "traffic": f"{size_text(session.bytes_in + session.bytes_out)}{_held(session)}" if is_connected else "",
        "outages": outages_text(session) if is_connected else "",
        "address": f"port {session.port} there" if session.foreign and session.port else without_token(session.url),
        "ssh-config": session.ssh_config or "",
        "directory": session.directory,
    }
    return {heading: cell or "-" for heading, cell in cells.items()}


def without_token(url: str) -> str:
    """`url` without its query, which holds the token."""
    return url.partition("?")[0]


def outages_text(session: SessionStatus) -> str:
    """How many there were, and the longest."""
    return f"{session.outages}, longest {format_duration(session.longest_outage)}" if session.outages else "none"


def _last_seen(session: SessionStatus, between: str) -> str:
    """When the host last sent anything, and the round-trip time."""
    if session.last_heard is None:
        return ""
    trip = "" if session.round_trip is None else f"{between} {session.round_trip * 1000:.0f} ms"
    return f"{format_duration(round(max(session.at - session.last_heard, 0.0)))} ago{trip}"


def kernel_text(kernel: Kernel, when: str = "") -> str:
    """One kernel: its notebook, or its kind, its state, and `when` that was so."""
    is_open = "readable by other users of the host" if kernel.private is False else ""
    return f"{kernel.notebook or kernel.name} ({', '.join(filter(None, (kernel.state, when, is_open)))})"


def loss_text(session: Named | None, kernels: tuple[Kernel, ...]) -> str:
    """What a terminate would end; without kernels, what runs is unknown."""
    which = f"session `{session.name}` on `{session.host}`" if session else "the session"
    lost = "running cells are interrupted; variables and unsaved changes are lost"
    if not kernels:
        return f"cannot tell which kernels run in {which}\n{lost}"
    lines = [f"this ends {which}, with its"]
    for heading, are_busy in (("busy kernels:", True), ("idle kernels:", False)):
        named = [kernel_text(kernel) for kernel in kernels if (kernel.state == "busy") is are_busy]
        lines += [heading, *(f"  {each}" for each in named)] if named else []
    return "\n".join((*lines, lost))


def change_text(session: SessionStatus, clock: str) -> str:
    """One line of `status --follow`."""
    return f"{clock}  {session.name} on {session.host}  {state_text(session)}"


def error_text(error: FarlabError, *, color: bool = False, width: int | None = None) -> str:
    """An error: what was tried, the other program's output, what to type next; in lines of `width`."""
    head = wrapped(error.message if isinstance(error, Declined) else f"error: {error.message}", width)
    head = re.sub("^error:", lambda _: _styled("error:", "1;31", color), head)
    lines = error.detail.rstrip().splitlines()
    skipped = [f"  | … {len(lines) - DETAIL_LINES} earlier lines"] if len(lines) > DETAIL_LINES else []
    detail = [*skipped, *(f"  | {line}" for line in lines[-DETAIL_LINES:])]
    told = wrapped(f"hint: {error.hint}", width).removeprefix("hint:")
    hint = ["", _styled("hint:", "1", color) + told] if error.hint else []
    return "\n".join([head, *detail, *hint])


def progress_text(who: str, what: str, seconds: float = 0.0, width: int | None = None) -> str:
    """What a command is waiting for and, from the first second on, how long; in less than `width` columns."""
    line = f"{who}: {what}"
    tail = f" … {int(seconds)} s" if seconds >= 1 else " …"
    room = len(line) if width is None else max(width - 1 - len(tail), 0)
    return line[:room] + tail


def size_text(size: int) -> str:
    """Bytes, in a unit that fits."""
    if size < 1024:
        return f"{size} B"
    value, units = size / 1024, ["KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.1f} {units[0]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _styled(word: str, code: str, color: bool) -> str:
    return f"\x1b[{code}m{word}\x1b[0m" if color else word
