"""Questions to a host that need no line and no keeper: one `ssh` from this very process, which asks the person."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from .. import paths, saved
from ..errors import Interrupted, NoSession
from ..model import Kernel, SessionStatus, State, Target
from ..sanitize import shortened
from ..transport.host_messages import Foreign, KernelTold, Listed, Stopped, listed
from . import oneshot
from .oneshot import Ask, Tell, Words

MOST_LINE = 64 << 10
"""Characters of one line of a log."""
MOST_LOG = 8 << 20
"""Characters of a log that is not followed, which a host sends at most."""

TIMEOUT = 60.0
"""Seconds that a host may take, apart from those in which a person is asked."""


def terminate(
    target: Target,
    *,
    confirm: Callable[[tuple[Kernel, ...]], bool] | None,
    idle_too: bool,
    ask: Ask | None,
    tell: Tell | None,
) -> int:
    """End the session by one `ssh`. Returns how many kernels it had. Raises NoSession, Interrupted.

    `confirm` is asked once at most: before busy kernels are ended, with `idle_too` before any, or where none can be
    named.
    """
    count = 0
    words = {"op": "stop", "yes": confirm is None, "asks": idle_too}
    for frame, reply in oneshot.frames(target, words, ask=ask, tell=tell, timeout=TIMEOUT):
        if "confirm" in frame:
            found = _kernels(frame["confirm"]) or ()
            lost = tuple(kernel for kernel in found if idle_too or kernel.state == "busy")
            if confirm and not confirm(lost):
                raise Interrupted(f"session `{target.name}` on `{target.host}` goes on", hint="")
            confirm = None
            reply({"yes": True})
        elif "stopped" in frame:
            count = Stopped.read_leniently(frame).kernels
    return count


def sessions_on(target: Target, *, ask: Ask | None, tell: Tell | None, timeout: float) -> tuple[SessionStatus, ...]:
    """Every session of ours on the host, and the servers that farlab did not start."""
    found: list[SessionStatus] = []
    for frame, _ in oneshot.frames(target, {"op": "list"}, ask=ask, tell=tell, timeout=timeout):
        found += [_session(target, each) for each in listed(frame.get("sessions"))]
        found += [_foreign(target, each) for each in listed(frame.get("foreign"))]
    return tuple(found)


def server_log(target: Target, *, follow: bool, lines: int, ask: Ask | None) -> Iterator[str]:
    """The server's log, over one `ssh`: so many lines of what is there, whatever the host sends, then what comes."""
    words = {"op": "logs", "lines": lines, "follow": follow}
    timeout = 365 * 86400.0 if follow else TIMEOUT
    is_first, left = True, MOST_LOG
    for frame, _ in oneshot.frames(target, words, ask=ask, tell=None, timeout=timeout):
        if not isinstance(frame.get("lines"), list):
            continue
        said = [shortened(line, MOST_LINE) for line in frame["lines"] if isinstance(line, str)]
        if is_first or not follow:
            said = said[max(len(said) - lines, 0) :]
            lines -= len(said)
        is_first = False
        left -= sum(map(len, said))
        yield from said
        if not follow and (lines <= 0 or left <= 0):
            return


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
            raise NoSession(f"session `{target.name}` on `{target.host}` has no log here") from None
        with open(descriptor, "rb") as file:
            whole = file.readlines()
            new = whole[max(len(whole) - lines, 0) :] if is_first else _after(last, whole)
            last, is_first = whole[-1] if whole else b"", False
            yield from map(_text, new)
            for line in _appended(path, file) if follow else ():
                last = line
                yield _text(line)


def _appended(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Lines that are added to a log, until it is begun anew: another file (swept away), or cut (`story`)."""
    is_anew = False
    while not is_anew:
        time.sleep(0.3)
        with suppress(OSError):  # the keeper makes another; or it cannot be reached for now
            found = path.stat()
            is_anew = not os.path.samestat(found, os.fstat(file.fileno())) or found.st_size < file.tell()
        yield from iter(file.readline, b"")


def _after(last: bytes, lines: list[bytes]) -> list[bytes]:
    """What follows the line that was read last; all, where that is not there any more."""
    known = next((number for number in range(len(lines), 0, -1) if lines[number - 1] == last), 0)
    return lines[known:]


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")


def _kernels(value: object) -> tuple[Kernel, ...] | None:
    return tuple(map(_kernel, listed(value))) if isinstance(value, list) else None


def _kernel(words: Words) -> Kernel:
    return Kernel(**KernelTold.read_leniently(words).values())


def _session(target: Target, words: Words) -> SessionStatus:
    states = {"alive": State.UP, "up": State.UP, "starting": State.STARTING, "ended": State.ENDED}
    told = Listed.read_leniently(words)
    values = told.values()
    if told.state not in states:
        values["reason"] = f"{told.state} {told.reason}".strip()
    values["state"] = states.get(told.state, State.DOWN)
    return SessionStatus(
        host=target.host, ssh_config=target.ssh_config, **values, kernels=_kernels(words.get("kernels"))
    )


def _foreign(target: Target, words: Words) -> SessionStatus:
    told = Foreign.read_leniently(words)
    server = f"Jupyter Server {told.server}".strip()
    words = {**told.values(), **asdict(target), "name": "", "server": server}
    return SessionStatus(state=State.UP, foreign=True, **words)
