"""Where farlab keeps its files on this machine: in private directories, created on first use."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shlex
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from .errors import DiskFull, Internal

ASKPASS = "farlab-askpass"
"""The askpass program, if farlab was installed without one."""
_LEFTOVER = re.compile(rf".*\.lock|{ASKPASS}\..*")
"""Files of ours, beside sockets, that are leftovers if no process holds them."""
_LONGEST_BASE = 60
"""A socket's path ends at 104 bytes on macOS, 108 on Linux; ours need some 40 below the base."""
_NEW_FILE_AGE = 60.0
"""Seconds for which a file that no process holds may be one that is just being created."""


def absolute(file: str) -> str:
    """The absolute path of a file; `~` is the home here. Links and `..` stay."""
    return str(Path(file).expanduser().absolute())


def homes() -> tuple[str, ...]:
    """The user's home here, as shells name it and as the file system does."""
    home = os.path.expanduser("~")
    return tuple(each for each in dict.fromkeys((home, os.path.realpath(home))) if os.path.isabs(each) and each != "/")


def state_directory() -> Path:
    """What is permanent: the saved sessions and the keepers' logs. It may not exist.

    `@` keeps it apart from the sessions of a host that is this very machine, whose files are beside it.
    """
    from platformdirs import user_state_path

    return user_state_path("farlab") / "@keepers"


def runtime_directory() -> Path:
    """Sockets and locks: below `$XDG_RUNTIME_DIR` if that is private and writable, else `/tmp`. It may not exist."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and len(base) <= _LONGEST_BASE and _is_private(Path(base)):
        inner = Path(base) / "farlab" / "@keepers"
        found = next(each for each in (inner, inner.parent, Path(base)) if os.path.lexists(each))
        if _owned(found) and os.access(found, os.W_OK | os.X_OK):
            return inner
    return _below_tmp(f"/tmp/farlab-{os.getuid()}") / "@keepers"  # noqa: S108 - owner and mode are checked


def _below_tmp(usual: str) -> Path:
    """`usual`, or if another user has created it, that with a random suffix: else they could lock us out for ever.

    An existing one of ours is used, so that every command finds the same.
    """
    if _owned(Path(usual)):
        return Path(usual)
    for each in sorted(Path("/tmp").glob(f"{Path(usual).name}-*")):  # noqa: S108
        if _owned(each):
            return each
    return Path(f"{usual}-{_mark()}") if os.path.lexists(usual) else Path(usual)


@cache
def _mark() -> str:
    """A suffix that others cannot guess; the same for the life of the process."""
    return secrets.token_hex(4)


def _owned(path: Path) -> os.stat_result | None:
    """The status of `path`, if it is a directory of ours."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else None


def tidy_runtime_directory() -> None:
    """Remove what killed processes have left there, and the directory if no keeper and no command uses it any more.

    It touches only directories in which nobody else can have created anything, and only what we create: sockets, locks,
    unfinished askpass programs.
    """
    path = runtime_directory()
    if not _is_ours_alone(path):
        return
    try:
        in_use = {each for each in path.iterdir() if not _remove_leftover(each)}
    except OSError:
        return
    if {each.name for each in in_use} == {ASKPASS}:  # which no process will run
        (path / ASKPASS).unlink(missing_ok=True)
    remove_if_empty(path)


def _remove_leftover(path: Path) -> bool:
    """Remove a socket on which nobody listens, or a file of ours that no process holds. Whether it is gone."""
    try:
        found = path.lstat()
        if is_recent(found):
            return False
        if stat.S_ISSOCK(found.st_mode):
            with socket.socket(socket.AF_UNIX) as sock:
                is_left = sock.connect_ex(str(path)) == errno.ECONNREFUSED
        elif is_left := stat.S_ISREG(found.st_mode) and _LEFTOVER.fullmatch(path.name) is not None:
            with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW), "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_left:
            path.unlink()
    except OSError:  # somebody holds it
        return not path.exists()
    return is_left


def is_recent(found: os.stat_result) -> bool:
    """Whether a file may be one that is just being created, or is from the future: the clock has jumped."""
    return time.time() - found.st_mtime < _NEW_FILE_AGE


def remove_if_empty(path: Path) -> None:
    """Remove one of our directories, and the farlab directory above it, if they are empty."""
    for each in (path, path.parent):
        try:
            each.rmdir()
        except OSError:
            return


def _is_private(path: Path) -> bool:
    found = _owned(path)
    return found is not None and not found.st_mode & 0o077


def _is_ours_alone(path: Path) -> bool:
    """Whether nobody else can have created anything in a directory that `make_private` has made."""
    return _is_private(path) and _is_private(path.parent)


def is_private_socket(path: Path) -> bool:
    """Whether only we can have created that socket, and only we can connect to it."""
    try:
        found = path.lstat()
    except OSError:
        return False
    is_ours = stat.S_ISSOCK(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return is_ours and _is_ours_alone(path.parent)


def make_private(path: Path) -> Path:
    """Create one of our directories and the farlab directory above it, 0700. Raises Internal for another user's."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    for each in (path.parent, path):
        with suppress(FileExistsError):
            each.mkdir(mode=0o700)
        if not _owned(each):
            raise Internal(f"`{each}` exists but is not a directory of yours", hint="remove it, or ask its owner to")
        if not _is_private(each):
            each.chmod(0o700)
    return path


def open_ours(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a file that only we create, without blocking. Raises OSError if something else has its name.

    A link, a pipe or another user's file in its place could make us wait for ever, or write to what is not ours.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o600)
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid():
        return descriptor
    os.close(descriptor)
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))


@contextmanager
def translate_read_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while reading `path` into Internal, with a hint."""
    try:
        yield
    except OSError as error:
        hint = f"`ls -ld {shlex.quote(str(path))}` shows who owns it; it must be yours"
        raise Internal(
            f"cannot read `{path}` on this machine", detail=os.strerror(error.errno or 0), hint=hint
        ) from error


@contextmanager
def translate_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while writing to `path` into DiskFull or Internal, with a hint."""
    try:
        yield
    except OSError as error:
        reason, place = os.strerror(error.errno or 0), shlex.quote(str(path))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = f"`df -h {place}; df -i {place}; quota -s` shows which; free some space and try again"
            raise DiskFull("a disk of this machine, or your quota on it, is full", detail=reason, hint=hint) from error
        hint = f"`ls -ld {place}` shows who owns it; it must be yours"
        raise Internal(f"cannot write to `{path}` on this machine", detail=reason, hint=hint) from error
