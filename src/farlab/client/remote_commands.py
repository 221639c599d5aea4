"""Commands to a host that need no keeper: one `ssh` from this very process, which asks the user."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

from .. import paths, saved
from ..advice import command
from ..errors import Interrupted, NoSession
from ..model import NAME, Confirm, HostEnvironment, OnProgress, Prompt, SessionStatus, State, Target
from ..protocol import commands
from ..protocol.commands import ForeignServer, Lines, ListSessions, Logs, Sessions, Stop, Stopped
from ..protocol.listing import ListedSession
from ..sanitize import shortened
from ..transport.from_host import kernels
from . import keeper_client, oneshot

MAX_LINE = 64 << 10
"""Characters of one line of a log."""
MAX_LOG = 8 << 20
"""Characters of a log that is not followed."""

TIMEOUT = 60.0
"""Seconds that a host may take, not counting time at prompts."""


def terminate(
    target: Target,
    *,
    confirm: Confirm | None,
    idle_too: bool,
    ask: Prompt | None,
    tell: OnProgress | None,
) -> int | None:
    """Terminate the session over one `ssh`. Returns how many kernels it had; None if it had ended by itself.

    Raises NoSession, which names those that run there instead, and Interrupted.

    `confirm` is called at most once: before busy kernels are ended, with `idle_too` before any, or if the host cannot
    tell which there are.
    """
    count: int | None = 0
    request = Stop(op="stop", name=target.name, node=_known_node(target), yes=confirm is None, asks=idle_too)
    for frame, reply in oneshot.run_remote_command(target, request, ask=ask, tell=tell, timeout=TIMEOUT):
        if isinstance(frame, commands.Confirm):
            found = kernels(frame.confirm) or ()
            lost = tuple(kernel for kernel in found if idle_too or kernel.state == "busy")
            if confirm and not confirm(lost):
                raise Interrupted(
                    f"nothing was terminated: session `{target.name}` on `{target.host}` is still running", hint=""
                )
            confirm = None
            reply(Stop(name=target.name, yes=True))
        elif isinstance(frame, Stopped):
            if not (frame.stopped or frame.had_ended):
                raise _not_there(target, frame.names)
            count = frame.kernels if frame.stopped else None
    return count


def _known_node(target: Target) -> str:
    """Where the session runs, as far as this machine knows: others that share that home may have one of this name."""
    known = saved.load(target)
    return known.node if known else ""


def _not_there(target: Target, names: Iterable[str]) -> NoSession:
    """The error for a session that is not there; `names` are there."""
    beside = [f"`{command(replace(target, name=name), 'terminate')}`" for name in names if NAME.fullmatch(name)]
    message = f"{target.host}: session `{target.name}` is not running"
    return NoSession(message, hint=f"others run there: {', '.join(beside)}" if beside else None)


def sessions_on(
    target: Target, *, ask: Prompt | None, tell: OnProgress | None, timeout: float
) -> tuple[SessionStatus, ...]:
    """All our sessions on the host, and the servers that farlab did not start."""
    found: list[SessionStatus] = []
    for frame, _ in oneshot.run_remote_command(target, ListSessions(op="list"), ask=ask, tell=tell, timeout=timeout):
        if isinstance(frame, Sessions):
            found += [_session(target, each) for each in frame.sessions if each]
            found += [_foreign(target, each) for each in frame.foreign if each]
    return tuple(found)


def environments_on(
    target: Target, directory: str | None, *, ask: Prompt | None, tell: OnProgress | None, timeout: float
) -> tuple[tuple[HostEnvironment, ...], str]:
    """The environments on the host, and why none of them would be used; "" where one would."""
    found, why = list[HostEnvironment](), ""
    request = commands.ListEnvironments(op="envs", directory=directory)
    for frame, _ in oneshot.run_remote_command(target, request, ask=ask, tell=tell, timeout=timeout):
        if isinstance(frame, commands.Environments):
            found += [HostEnvironment(**each.values()) for each in frame.environments if each]
            why = frame.why
    return tuple(found), why


def server_log(target: Target, *, follow: bool, lines: int, ask: Prompt | None) -> Iterator[str]:
    """The server's log: the last `lines`, whatever the host sends, then, if followed, new ones.

    Over the link that stands, else over one `ssh`.
    """
    is_first, left = True, MAX_LOG
    for some in _server_log(
        target, Logs(op="logs", name=target.name, node=_known_node(target), lines=lines, follow=follow), ask
    ):
        received = [shortened(line, MAX_LINE) for line in some]
        if is_first or not follow:
            received = received[max(len(received) - lines, 0) :]
            lines -= len(received)
        is_first = False
        left -= sum(map(len, received))
        yield from received
        if not follow and (lines <= 0 or left <= 0):
            return


def _server_log(target: Target, request: Logs, ask: Prompt | None) -> Iterator[list[str]]:
    by_keeper = keeper_client.server_log(target, lines=request.lines, follow=request.follow)
    if by_keeper is not None:
        yield from by_keeper
        return
    timeout = 365 * 86400.0 if request.follow else TIMEOUT
    for frame, _ in oneshot.run_remote_command(target, request, ask=ask, tell=None, timeout=timeout):
        if isinstance(frame, Lines):
            yield list(frame.lines)


def keeper_log(target: Target, *, follow: bool, lines: int) -> Iterator[str]:
    """The keeper's own log, from this machine. Raises NoSession where there is none, Internal."""
    path = saved.log_path(target)
    with paths.translate_read_errors(path):
        yield from _lines_of(target, path, follow=follow, lines=lines)


def _lines_of(target: Target, path: Path, *, follow: bool, lines: int) -> Iterator[str]:
    last, is_first = b"", True
    while is_first or follow:
        try:
            descriptor = paths.open_ours(path)
        except (FileNotFoundError, NotADirectoryError):
            raise NoSession(f"there is no keeper log for session `{target.name}` on `{target.host}`") from None
        with open(descriptor, "rb") as file:
            whole = file.readlines()
            new = whole[max(len(whole) - lines, 0) :] if is_first else _after(last, whole)
            last, is_first = whole[-1] if whole else b"", False
            yield from map(_text, new)
            for line in _appended(path, file) if follow else ():
                last = line
                yield _text(line)


def _appended(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Lines that are added to a log, until it starts afresh: as another file, or truncated (`keeper.log`)."""
    is_fresh = False
    while not is_fresh:
        time.sleep(0.3)
        with suppress(OSError):  # the keeper creates another; or it is unreachable for now
            found = path.stat()
            is_fresh = not os.path.samestat(found, os.fstat(file.fileno())) or found.st_size < file.tell()
        yield from iter(file.readline, b"")


def _after(last: bytes, lines: list[bytes]) -> list[bytes]:
    """The lines after the one that was read last; all if it is gone."""
    known = next((number for number in range(len(lines), 0, -1) if lines[number - 1] == last), 0)
    return lines[known:]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _session(target: Target, listed: ListedSession) -> SessionStatus:
    states = {"alive": State.UP, "up": State.UP, "starting": State.STARTING, "ended": State.ENDED}
    values = {**listed.values(), "kernels": kernels(listed.kernels), "state": states.get(listed.state, State.DOWN)}
    if listed.state not in states:
        values["reason"] = f"{listed.state} {listed.reason}".strip()
    age, values["at"] = values.pop("age"), time.time()
    values["started"] = None if age is None else round(values["at"] - age, 1)
    return SessionStatus(host=target.host, ssh_config=target.ssh_config, **values)


def _foreign(target: Target, server: ForeignServer) -> SessionStatus:
    values = {**server.values(), **asdict(target), "name": "", "server": f"Jupyter Server {server.server}".strip()}
    return SessionStatus(state=State.UP, foreign=True, **values)
