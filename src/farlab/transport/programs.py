"""Starts the user's programs as a shell of theirs would: in the environment of their terminal, found on its `PATH`."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Mapping
from typing import Any, NoReturn

_OURS = ("FARLAB_", "_FARLAB_", "PYTHON")
"""How the names of variables begin that are meant for farlab, or for the Python that runs it."""


def users_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a user's programs are given of it."""
    return {name: value for name, value in environ.items() if not name.startswith(_OURS)}


def find(program: str, environ: Mapping[str, str]) -> str | None:
    """The file that a shell would run; None where there is none."""
    if os.sep in program:
        return program
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory or os.curdir, program)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def become(argv: list[str]) -> NoReturn:
    """Be such a program instead of this process. Raises OSError."""
    path = find(argv[0], os.environ) or argv[0]
    try:
        os.execv(path, argv)  # noqa: S606 - no shell is wanted
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    os.execv("/bin/sh", ["/bin/sh", path, *argv[1:]])  # noqa: S606 - same


def start(argv: list[str], environ: Mapping[str, str], **how: Any) -> subprocess.Popen[bytes]:
    """`subprocess.Popen`, but the first such program on `PATH` counts, and `sh` runs a script without `#!`, as shells
    do (execvp(3)). Raises OSError."""
    path = find(argv[0], environ)
    if path is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), argv[0])
    try:
        return subprocess.Popen(argv, executable=path, env=environ, **how)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    return subprocess.Popen(["/bin/sh", path, *argv[1:]], env=environ, **how)
