"""A keeper's own files on a laptop, and what stays the same of its session whatever happens to them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import steps
from bed import Laptop, processes, wait_for

ROUND = 30.0
"""Seconds within which a keeper looks at its files, on a busy machine."""
OLD = 11 * 86400.0


def state(laptop: Laptop) -> Path:
    return laptop.home / ".local/state/farlab/@keepers"


def runtime(laptop: Laptop) -> Path:
    return laptop.runtime / "farlab/@keepers"


def memory(laptop: Laptop) -> Path:
    [found] = state(laptop).glob("*.json")
    return found


def age(path: Path, seconds: float = OLD) -> None:
    """Make a file that old."""
    then = path.lstat().st_mtime - seconds
    os.utime(path, (then, then), follow_symlinks=False)


def known(connected: Any) -> dict[str, Any]:
    """What stays the same for as long as a session does."""
    return {key: connected[key] for key in ("url", "port", "token", "pid")}


def dialled(laptop: Laptop) -> list[processes.Process]:
    return [it for it in steps.links(laptop) if "-G" not in it.argv]


def assert_one(laptop: Laptop, connected: Any) -> None:
    """There is one keeper, with one `ssh` and one port, and it is that of this session."""
    wait_for("one keeper", lambda: len(steps.keepers(laptop)) == 1)  # those that commands held ready end with them
    wait_for("the end of a killed keeper's ssh", lambda: len(dialled(laptop)) == 1, timeout=60)
    assert steps.status(laptop, "alice")["port"] == connected["port"]
    assert steps.answers(laptop, connected)
