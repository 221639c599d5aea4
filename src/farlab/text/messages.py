"""Results and errors in a person's words.

Rule: pure; values in, text out. Every text in a result is washed already
(`washing.washed`), so that nothing here can forget to.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from datetime import datetime
from functools import singledispatch

from ..advice import Named, command, fill
from ..durations import format_duration
from ..errors import FarlabError
from ..model import KEEPER_SILENT, Connected, Disconnected, Kernel, SessionStatus, State, Terminated
from .results import Address, Command, Done, Opened, Sessions

_ASK_THE_HOST = "`{farlab list --host HOST}` shows whether it runs"
DETAIL_LINES = 40
"""How much of another program's words an error shows."""


@singledispatch
def text(result: object) -> str:
    """A result as a person reads it. Its texts are washed already."""
    raise TypeError(type(result).__name__)


APPS = {"lab": "JupyterLab", "notebook": "Jupyter Notebook", "nbclassic": "classic notebook", "server": "Jupyter"}


@text.register
def _(result: Connected) -> str:
    how = "running already, found in" if result.reused else "started in"
    took = f"{how} {result.seconds.get('total', 0.0):.1f} s"
    where = f"`{result.host}`" + (f", in `{result.directory}`" if result.directory else "")
    ending = command(result, "terminate")
    return f"{APPS.get(result.app, result.app)} on {where}, {took}\n\n  {result.url}\n\nto end it: `{ending}`"


@text.register
def _(result: Terminated) -> str:
    kernels = {0: "", 1: ", with 1 kernel"}.get(result.kernels, f", with {result.kernels} kernels")
    if not result.was_running:
        return f"session `{result.name}` on `{result.host}` had ended already; what was left of it is gone"
    return f"ended session `{result.name}` on `{result.host}`{kernels}"


@text.register
def _(result: Disconnected) -> str:
    session = f"session `{result.name}` on `{result.host}`"
    if result.running is None:
        return f"disconnected; {session} was not reached from here, " + fill(_ASK_THE_HOST, result)
    if not result.running:
        return f"disconnected; {session} has ended"
    return f"disconnected; {session} goes on, `{command(result, 'connect')}` brings it back"


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
        return f"no session and no other Jupyter server of yours on `{result.host}`"
    return fill("no session known here; `{farlab connect HOST}` starts one", None)


@text.register
def _(result: SessionStatus) -> str:
    rows = [(label, value) for label, value in _rows(result) if value]
    head = f"session `{result.name}` on `{result.host}`: {state_text(result)}"
    return "\n".join([head, *(f"  {label:<12}{value}" for label, value in rows)])


_PLACES = {"tmux": "in tmux", "systemd": "under systemd"}


def _rows(session: SessionStatus) -> list[tuple[str, str]]:
    kernels = None if session.kernels is None else [kernel_text(kernel) for kernel in session.kernels]
    process = f"pid {session.pid}" if session.pid else ""
    place = _PLACES.get(session.launcher, session.launcher)
    since = clock_text(session.since) if session.since > 0 else ""
    streams = _count(session.streams, "stream")
    traffic = f"{size_text(session.bytes_in)} in, {size_text(session.bytes_out)} out, {streams}"
    held = f", {size_text(session.bytes_held)} held back" if session.bytes_held else ""
    return [
        ("since", since),
        ("address", without_token(session.url)),
        ("node", "" if session.node == session.host else session.node),
        ("server", ", ".join(filter(None, (session.server or session.app, process, place)))),
        ("directory", session.directory),
        ("ssh-config", session.ssh_config or ""),
        ("environment", session.environment),
        ("kernels", "" if kernels is None else "; ".join(kernels) or "none"),
        ("traffic", traffic + held if session.keeper_pid else ""),
        ("full", "; ".join(_full(session))),
        ("heard", _heard(session)),
        ("outages", outages_text(session) if session.keeper_pid else ""),
        ("keeper", f"pid {session.keeper_pid}" if session.keeper_pid else ""),
    ]


def _full(session: SessionStatus) -> Iterator[str]:
    """Where what could not be sent has reached its bound, so that whoever sends has to wait."""
    if session.full_since is not None:
        size, since = size_text(session.bytes_limit), clock_text(session.full_since)
        yield f"this machine keeps {size} at most, reached {since}; uploads wait"
    if session.host_full_since is not None:
        size, since = size_text(session.host_bytes_limit), clock_text(session.host_full_since)
        waited = f"output waited in Jupyter for {session.host_full_seconds:.0f} s"
        yield f"the host keeps {size} at most, reached {since} while this machine was away; {waited}"


def clock_text(when: float) -> str:
    """A moment, as the clock and the calendar here have it."""
    try:
        return datetime.fromtimestamp(when).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return "at an unknown time"


STATES = {
    State.CONNECTING: "connecting",
    State.ASKING: "`ssh` has a question",
    State.STARTING: "starting",
    State.UP: "up",
    State.SILENT: "silent, making a second link",
    State.DOWN: "down, trying again",
    State.BLOCKED: "blocked",
    State.ENDED: "ended",
    State.NO_KEEPER: "not connected",
}


def state_text(session: SessionStatus) -> str:
    """The state, why it is so, and what to type where that helps."""
    if session.foreign:
        return "not started by farlab"
    why = f": {session.reason}" if session.reason and not _is_silent(session) else ""
    again = session.state in (State.BLOCKED, State.ENDED, State.NO_KEEPER) and not _is_silent(session)
    hint = f"; `{command(session, 'connect')}`" if again else ""
    return _state(session) + why + hint


def _state(session: SessionStatus) -> str:
    return "does not answer" if _is_silent(session) else STATES[session.state]


def _is_silent(session: SessionStatus) -> bool:
    return session.state is State.NO_KEEPER and session.reason == KEEPER_SILENT


def session_cells(session: SessionStatus) -> dict[str, str]:
    """A session as one row of a table, by heading."""
    is_kept = session.keeper_pid is not None and session.state is not State.NO_KEEPER
    held = f", {size_text(session.bytes_held)} held" if session.bytes_held else ""
    cells = {
        "host": session.host,
        "session": session.name,
        "state": "not farlab's" if session.foreign else _state(session),
        "for": format_duration(session.at - session.since) if 0 < session.since <= session.at else "",
        "heard": _heard(session),
        "carried": f"{size_text(session.bytes_in + session.bytes_out)}{held}" if is_kept else "",
        "outages": outages_text(session) if is_kept else "",
        "address": without_token(session.url),
        "ssh-config": session.ssh_config or "",
        "directory": session.directory,
    }
    return {heading: cell or "-" for heading, cell in cells.items()}


def without_token(url: str) -> str:
    """`url` without its query, where Jupyter takes the token from."""
    return url.partition("?")[0]


def outages_text(session: SessionStatus) -> str:
    """How many there were, and the longest."""
    return f"{session.outages}, longest {format_duration(session.longest_outage)}" if session.outages else "none"


def _heard(session: SessionStatus) -> str:
    """When the host last gave a sign of life, and how far away it is."""
    if session.last_heard is None:
        return ""
    trip = "" if session.round_trip is None else f", in {session.round_trip * 1000:.0f} ms"
    return f"{format_duration(round(max(session.at - session.last_heard, 0.0)))} ago{trip}"


def kernel_text(kernel: Kernel) -> str:
    """One kernel: the notebook it belongs to, or its kind, and what it does."""
    is_open = ", others on the host can read it" if kernel.private is False else ""
    return f"{kernel.notebook or kernel.name} ({kernel.state}{is_open})"


def loss_text(session: Named | None, kernels: tuple[Kernel, ...]) -> str:
    """What ends with a session; without kernels, nobody can tell what runs in it."""
    which = f"session `{session.name}` on `{session.host}`" if session else "the session"
    lost = "what runs is interrupted; variables, and what notebooks have not saved, are lost"
    if not kernels:
        return f"{which} does not tell what runs in it\n{lost}"
    lines = [f"{which} would end, and with it"]
    for heading, are_busy in (("busy kernels:", True), ("idle kernels:", False)):
        named = [kernel_text(kernel) for kernel in kernels if (kernel.state == "busy") is are_busy]
        lines += [heading, *(f"  {each}" for each in named)] if named else []
    return "\n".join((*lines, lost))


def change_text(session: SessionStatus, clock: str) -> str:
    """One line of `status --follow`."""
    return f"{clock}  {session.name} on {session.host}  {state_text(session)}"


def error_text(error: FarlabError, *, color: bool = False) -> str:
    """An error: what was tried, the other program's words, what to type next."""
    head = f"{_styled('error:', '1;31', color)} {error.message}"
    lines = error.detail.rstrip().splitlines()
    skipped = [f"  | … {len(lines) - DETAIL_LINES} lines before"] if len(lines) > DETAIL_LINES else []
    detail = [*skipped, *(f"  | {line}" for line in lines[-DETAIL_LINES:])]
    hint = ["", f"{_styled('hint:', '1', color)} {error.hint}"] if error.hint else []
    return "\n".join([head, *detail, *hint])


def progress_text(who: str, what: str, seconds: float = 0.0, width: int | None = None) -> str:
    """What is being waited for and, from the first second on, for how long; in less than `width` columns."""
    line = f"{who}: {what}"
    tail = f" … {int(seconds)} s" if seconds >= 1 else " …"
    room = len(line) if width is None else max(width - 1 - len(tail), 0)
    return line[:room] + tail


def size_text(size: int) -> str:
    """Bytes, in the unit that suits."""
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
