"""What a test left behind: processes, listening sockets and files, on the laptops and on every host.

A `Snapshot` is taken before and after; what is new is left over. Taking one changes nothing; `reap` does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import processes
from .bed import Bed
from .hosts import Host
from .people import PEOPLE

HOST_FILES = ("tmp/farlab-*", "run/user/*/farlab*")
HOME_FILES = (".local/state/farlab", ".local/share/jupyter/runtime", ".cache/farlab", ".config/farlab")
KEPT = {"jupyter_cookie_secret", "notebook_cookie_secret"}
"""Jupyter's own, kept for ever by design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is there now, each with a description that a person can read."""

    processes: dict[tuple[int, int], str]
    """By number and start time: a process may change its name and stays the same."""
    files: dict[Path, str]
    sockets: frozenset[str]

    def since(self, before: Snapshot) -> Snapshot:
        """What is here and was not there before."""
        return Snapshot(
            processes={key: words for key, words in self.processes.items() if key not in before.processes},
            files={path: words for path, words in self.files.items() if path not in before.files},
            sockets=self.sockets - before.sockets,
        )

    def __bool__(self) -> bool:
        return bool(self.processes or self.files or self.sockets)

    def __str__(self) -> str:
        return "\n".join(sorted([*self.processes.values(), *self.files.values(), *self.sockets]))


def take(marker: str, bed: Bed | None) -> Snapshot:
    """Look at what carries `marker` in its environment anywhere, and at everything on the bed."""
    running = {it.key: str(it) for it in processes.every() if it.pid != os.getpid() and processes.carries(it, marker)}
    files: dict[Path, str] = {}
    sockets: set[str] = set()
    if bed is not None:
        holders = {laptop.holder for laptop in bed.laptops}
        for laptop in bed.laptops:
            running |= {it.key: f"laptop: {it}" for it in laptop.processes() if it.pid not in holders}
            sockets |= {f"laptop: {words}" for words in processes.listening(laptop.holder)}
            files |= {path: f"laptop: {path}" for path in _files((laptop.runtime, laptop.tmp))}
        for host in bed.hosts.values():
            if host.is_up:
                running |= {it.key: f"{host.name}: {it}" for it in host.processes()}
                sockets |= {f"{host.name}: {words}" for words in host.listening()}
                files |= {path: f"{host.name}: {path}" for path in _host_files(host)}
    return Snapshot(processes=running, files=files, sockets=frozenset(sockets))


def _host_files(host: Host) -> Iterator[Path]:
    root = host.path("/")
    yield from _files(found for pattern in HOST_FILES for found in root.glob(pattern))
    for person in PEOPLE.values():
        home = host.home(person.name)
        yield from _files(home / name for name in HOME_FILES)


def _files(tops: Iterable[Path]) -> Iterator[Path]:
    """Everything below `tops` that is not a directory."""
    for top in tops:
        if top.is_symlink() or (top.exists() and not top.is_dir()):
            yield top
        for directory, directories, files in os.walk(top):
            links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
            yield from (Path(directory, name) for name in (*files, *links) if name not in KEPT)


def reap(left: Snapshot) -> None:
    """End those very processes and remove those files, so that the next test starts clean."""
    for pid, started in left.processes:
        processes.end(pid, started)
    for path in left.files:
        with contextlib.suppress(OSError):
            path.unlink()
