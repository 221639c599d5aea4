"""Finds the keeper of a session, or starts one: detached from the terminal, one per session."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, cast

from .. import paths, store
from ..errors import Internal, from_json
from ..model import Target, Wish
from .control import Channel


def socket_path(target: Target) -> Path:
    """Where the keeper of `target` listens."""
    return paths.runtime_directory() / f"{store.key_of(target)}.sock"


def find(target: Target) -> Channel | None:
    """A connection to the living keeper, or None."""
    try:
        return Channel(socket_path(target))
    except OSError:
        return None


def find_or_start(target: Target, wish: Wish, *, may_ask: bool) -> Channel:
    """A connection to the session's keeper; made first if there is none. Twenty at once make one.

    Raises PortBusy, Internal.
    """
    found = find(target)
    if found is None:
        with _locked(target):
            found = find(target)
            if found is None:
                _start(target, wish, may_ask=may_ask)
                found = find(target)
    if found is None:
        raise Internal("the keeper ended as soon as it was started", detail=_log_tail(target))
    return found


@contextmanager
def _locked(target: Target) -> Iterator[None]:
    path = socket_path(target).with_suffix(".lock")
    while True:
        paths.make_private(path.parent)
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # the last keeper that ended has just removed the directory
        with open(descriptor, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_same(path, file.fileno()):
                continue  # whoever had it has removed it: the next ones lock another
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _start(target: Target, wish: Wish, *, may_ask: bool) -> None:
    """Start a keeper and wait until it listens; it says so on its standard output."""
    wanted = {**asdict(target), "port": wish.port, "wish": asdict(wish), "may_ask": may_ask}
    paths.make_private(paths.state_directory())
    log = os.open(store.log_path(target), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "farlab.keeper"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Internal("cannot start the keeper", detail=str(error)) from error
    finally:
        os.close(log)
    stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    with stdin, stdout:
        stdin.write(json.dumps(wanted).encode())
        stdin.close()
        _check(stdout.read(), target)


def _check(out: bytes, target: Target) -> None:
    try:
        words = json.loads(out)
    except ValueError:
        raise Internal("the keeper ended as soon as it was started", detail=_log_tail(target)) from None
    if "error" in words:
        if store.recall(target) is None:
            store.forget(target)  # the log that was begun for it
        raise from_json(words["error"])


def _log_tail(target: Target) -> str:
    try:
        return "\n".join(store.log_path(target).read_text("utf-8", "replace").splitlines()[-20:])
    except OSError:
        return ""
