"""Starts a keeper's process, which waits for its first request; without one it ends.

`connect` starts it before its own imports: both take as long, and there is more than one core.
"""

from __future__ import annotations

import subprocess
import sys

_early: list[subprocess.Popen[bytes]] = []


def start_early() -> None:
    """Start a process that the next `start` returns. Where that fails, `start` will say so."""
    try:
        _early.append(_popen())
    except OSError:
        return


def start() -> subprocess.Popen[bytes]:
    """A keeper that waits for its first request on `stdin`, and replies on `stdout`. Raises OSError."""
    return _early.pop() if _early else _popen()


def discard() -> None:
    """End the process that was started early: a keeper is there already."""
    while _early:
        with _early.pop() as process:
            process.kill()


def _popen() -> subprocess.Popen[bytes]:
    """It forks when it gets its request, so nobody has to wait for a keeper."""
    argv = [sys.executable, "-m", "farlab.keeper"]
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
