"""Where farlab keeps things on this machine: private directories only, made on first use."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from .errors import Internal

ASKPASS = "farlab-askpass"
"""The program that asks for `ssh`, where none was installed with us."""
_LONGEST_BASE = 60
"""A socket's path ends at 104 bytes on macOS, 108 on Linux; ours need some 40 below the base."""


def state_directory() -> Path:
    """What outlives everything: which sessions are known, the keepers' logs. It need not exist.

    `@` keeps it apart from the sessions of a host that is this very machine, which live beside it.
    """
    from platformdirs import user_state_path

    return user_state_path("farlab") / "@keepers"


def runtime_directory() -> Path:
    """Sockets and locks: below `$XDG_RUNTIME_DIR` where that is ours alone, else `/tmp/farlab-UID`; maybe not there."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if base.startswith("/") and len(base) <= _LONGEST_BASE and _is_private(Path(base)):
        return Path(base) / "farlab" / "@keepers"
    return Path(f"/tmp/farlab-{os.getuid()}/@keepers")  # noqa: S108 - owner and mode are checked


def tidy_runtime_directory() -> None:
    """Remove it where no keeper and no errand uses it any more; an askpass program of ours may lie there."""
    path = runtime_directory()
    try:
        left = {each.name for each in path.iterdir()}
    except OSError:
        return
    if left == {ASKPASS}:
        (path / ASKPASS).unlink(missing_ok=True)
    remove_if_empty(path)


def remove_if_empty(path: Path) -> None:
    """Remove one of our directories, and the farlab directory above it, where nothing is in them any more."""
    for each in (path, path.parent):
        try:
            each.rmdir()
        except OSError:
            return


def _is_private(path: Path) -> bool:
    try:
        found = path.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def make_private(path: Path) -> Path:
    """Make one of our directories and the farlab directory above it, 0700; refuse what somebody else made."""
    path.parent.parent.mkdir(parents=True, exist_ok=True)
    for each in (path.parent, path):
        each.mkdir(mode=0o700, exist_ok=True)
        found = each.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise Internal(f"`{each}` is not our directory", hint="remove it, or ask its owner to")
        if found.st_mode & 0o077:
            each.chmod(0o700)
    return path
