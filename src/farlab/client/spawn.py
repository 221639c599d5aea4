"""Finds the keeper of a session, or starts one: detached from the terminal, one per session."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from .. import paths, saved
from ..advice import default_name
from ..errors import Internal, KeeperSilent
from ..keeper.control_client import ControlClient, find, socket_path
from ..model import SessionOptions, Target
from ..protocol import control, json_lines
from ..protocol.records import InvalidMessage
from . import keeper_client, keeper_process

_LOCK_TIMEOUT = 30.0
"""Seconds that another command may take to start the keeper, on a busy machine too."""
_LOCK_INTERVAL = 0.01
"""Seconds between two attempts to take the lock."""


def find_or_start(target: Target, options: SessionOptions, *, may_ask: bool, is_resumed: bool = False) -> ControlClient:
    """A connection to the session's keeper, which is started if there is none. Twenty at once start one.

    `is_resumed`: it connects by itself to the session that was connected before, and starts none.

    Raises PortBusy, DiskFull, Internal, KeeperSilent.
    """
    found = find(target)
    if found is None:
        try:
            with _locked(target, min(options.timeout, _LOCK_TIMEOUT)):
                found = find(target)
                if found is None:
                    _start(target, options, may_ask=may_ask, is_resumed=is_resumed)
                    found = find(target)
        except KeyboardInterrupt:
            paths.tidy_runtime_directory()
            raise
    keeper_process.discard()
    if found is None:
        raise Internal("the keeper exited at once", detail=_log_tail(target))
    return found


@contextmanager
def _locked(target: Target, timeout: float) -> Iterator[None]:
    path, end = socket_path(target).with_suffix(".lock"), time.monotonic() + timeout
    while True:
        with paths.translate_write_errors(path.parent):
            descriptor = _open_lock(path)
        if descriptor is None:
            continue
        with open(descriptor, "r+", encoding="ascii", errors="replace") as file:
            if not _lock(file.fileno(), end):
                raise _stuck(target, file.read(20))
            if not _is_same(path, file.fileno()):
                continue  # the last holder has removed it: lock the new one
            with suppress(OSError):  # no space left: nobody learns our pid
                os.ftruncate(file.fileno(), 0)
                os.write(file.fileno(), str(os.getpid()).encode())
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _lock(descriptor: int, end: float) -> bool:
    """Wait for the lock until `end`: its holder may be stopped, by Ctrl-Z. Whether we have it."""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(_LOCK_INTERVAL)


def _stuck(target: Target, pid: str) -> KeeperSilent:
    """The error for another `farlab`, process `pid`, that is stuck while it starts the keeper."""
    message = f"another `farlab` is starting the keeper of session `{target.name}` on `{target.host}` but is stuck"
    if not (pid.isascii() and pid.isdigit()):
        return KeeperSilent(message)
    hint = f"nothing was done. If it was stopped (Ctrl-Z), `fg` in its terminal or `kill -CONT {pid}` resumes it"
    return KeeperSilent(f"{message} (process {pid})", hint=hint, pid=int(pid))


def _open_lock(path: Path) -> int | None:
    """None if the last keeper has just removed the directory."""
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


def _start(target: Target, options: SessionOptions, *, may_ask: bool, is_resumed: bool) -> None:
    """Start a keeper and wait until it listens; it reports that on its standard output."""
    wish = asdict(options)
    request = control.Start(
        **asdict(target),
        port=options.port,
        wish=wish,
        may_ask=may_ask,
        usual_name=default_name.get(),
        resume=is_resumed,
    )
    try:
        reply = _send(keeper_process.start(), json_lines.encoded(request))
    except OSError as error:
        raise Internal("cannot start the keeper", detail=str(error)) from error
    _check(reply, target)


def _send(process: subprocess.Popen[bytes], request: bytes) -> bytes:
    """The reply of a new keeper to its first request."""
    with process:
        return process.communicate(request)[0]


def _forget_the_new(target: Target) -> None:
    """Remove the log of a session that is not saved."""
    if saved.load(target) is None:
        saved.delete(target)


def _check(reply: bytes, target: Target) -> None:
    """Raise the error that a new keeper reports, or Internal if it reports nothing."""
    try:
        message = json_lines.decoded(reply)
        error = control.Error.read(message) if "error" in message else None
        if error is None:
            control.Started.read(message)
    except InvalidMessage:
        raise Internal("the keeper exited at once", detail=_log_tail(target)) from None
    if error is not None:
        _forget_the_new(target)
        raise keeper_client.reported(error)


def _log_tail(target: Target) -> str:
    try:
        with open(paths.open_ours(saved.log_path(target)), encoding="utf-8", errors="replace") as file:
            return "\n".join(file.read().splitlines()[-20:])
    except OSError:
        return ""
