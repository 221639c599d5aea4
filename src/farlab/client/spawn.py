"""Finds the keeper of a session, or starts one: detached from the terminal, one per session."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, cast

from .. import paths, saved
from ..advice import default_name
from ..errors import FarlabError, Internal, KeeperSilent, from_json
from ..keeper.control_client import ControlClient, find, socket_path
from ..model import SessionOptions, Target

_LOCK_PATIENCE = 30.0
"""Seconds that another one may take to start the keeper, on a busy machine too."""
_LOOK = 0.01
"""Seconds between two looks whether the lock is free."""
_HASTE = 1.0
"""Seconds that a keeper may take to find that whoever started it has gone."""


def find_or_start(target: Target, wish: SessionOptions, *, may_ask: bool) -> ControlClient:
    """A connection to the session's keeper; made first if there is none. Twenty at once make one.

    Raises PortBusy, DiskFull, Internal, KeeperSilent.
    """
    found = find(target)
    if found is None:
        try:
            with _locked(target, min(wish.timeout, _LOCK_PATIENCE)):
                found = find(target)
                if found is None:
                    _start(target, wish, may_ask=may_ask)
                    found = find(target)
        except KeyboardInterrupt:
            paths.tidy_runtime_directory()
            raise
    if found is None:
        raise Internal("the keeper ended as soon as it was started", detail=_log_tail(target))
    return found


@contextmanager
def _locked(target: Target, patience: float) -> Iterator[None]:
    path, end = socket_path(target).with_suffix(".lock"), time.monotonic() + patience
    while True:
        with paths.translate_write_errors(path.parent):
            descriptor = _open_lock(path)
        if descriptor is None:
            continue
        with open(descriptor, "r+", encoding="ascii", errors="replace") as file:
            if not _lock(file.fileno(), end):
                raise _stuck(target, file.read(20))
            if not _is_same(path, file.fileno()):
                continue  # whoever had it has removed it: the next ones lock another
            with suppress(OSError):  # no room: it tells nobody who we are
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), str(os.getpid()).encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _lock(descriptor: int, end: float) -> bool:
    """Wait for the lock until `end`: whoever has it may be stopped, by Ctrl-Z. Whether it is ours."""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_LOOK)


def _stuck(target: Target, pid: str) -> KeeperSilent:
    """The error for another `farlab`, the process `pid`, that has begun to start the keeper and does not get on."""
    message = f"another `farlab` starts the keeper of session `{target.name}` on `{target.host}` and does not get on"
    if not (pid.isascii() and pid.isdigit()):
        return KeeperSilent(message)
    hint = (
        f"nothing was done. If it was stopped, as by Ctrl-Z, `fg` in its terminal or `kill -CONT {pid}` lets it go on"
    )
    return KeeperSilent(f"{message} (process {pid})", hint=hint, pid=int(pid))


def _open_lock(path: Path) -> int | None:
    """None where the last keeper that ended has just removed the directory."""
    try:
        paths.make_private(path.parent)
        return os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _start(target: Target, wish: SessionOptions, *, may_ask: bool) -> None:
    """Start a keeper and wait until it listens; it says so on its standard output."""
    wanted = {**asdict(target), "port": wish.port, "wish": asdict(wish), "may_ask": may_ask}
    wanted["usual_name"] = default_name.get()
    log, process = _open_log(target), None
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "farlab.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        answer = _tell(process, json.dumps(wanted).encode())
    except OSError as error:
        raise Internal("cannot start the keeper", detail=str(error)) from error
    except KeyboardInterrupt:
        if process is None or _has_ended(process):
            _forget_the_new(target)
        raise
    finally:
        os.close(log)
    _check(answer, target)


def _tell(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    """What a keeper answers to what it is told."""
    stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with stdin, stdout:
        stdin.write(wanted)
        stdin.close()
        return stdout.read()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Whether a keeper ends now that nobody listens. One that waits for a visit already does so a little later."""
    with suppress(OSError, subprocess.TimeoutExpired):
        cast("IO[bytes]", process.stdout).close()
        cast("IO[bytes]", process.stdin).close()
        process.wait(_HASTE)
    return process.returncode is not None


def _forget_the_new(target: Target) -> None:
    """Remove the log that was begun for a session of which nothing is remembered."""
    if saved.load(target) is None:
        saved.delete(target)


def _open_log(target: Target) -> int:
    """Where a keeper may complain. No disk, full or another's, hinders one: what it connects needs nothing written."""
    try:
        paths.make_private(paths.state_directory())
        return paths.open_ours(saved.log_path(target), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    except (OSError, FarlabError):
        return os.open(os.devnull, os.O_WRONLY)


def _check(out: bytes, target: Target) -> None:
    try:
        words = json.loads(out)
    except ValueError:
        raise Internal("the keeper ended as soon as it was started", detail=_log_tail(target)) from None
    if "error" in words:
        _forget_the_new(target)
        raise from_json(words["error"])


def _log_tail(target: Target) -> str:
    try:
        with open(paths.open_ours(saved.log_path(target)), encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().splitlines()[-20:])
    except OSError:
        return ""
