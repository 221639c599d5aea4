"""What a test left behind: processes, listening sockets and files, on the laptops and on every host.

`take` looks before the test, `since` after it; what is new is left over. Looking changes nothing; `reap` does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import processes
from .bed import Bed
from .hosts import NOT_OURS
from .users import USERS

HOST_FILES = ("tmp/farlab-*", "run/user/*/farlab*")
HOME_FILES = (".local/state/farlab", ".local/share/jupyter/runtime", ".cache/farlab", ".config/farlab")
KEPT = {"jupyter_cookie_secret", "notebook_cookie_secret"}
"""Jupyter's own, kept for ever by design."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is there now, the test's or not."""

    processes: frozenset[tuple[int, int]]
    """By number and start time: a process may change its name and stays the same."""
    files: dict[str, str]
    sockets: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """What a test left, each with a description that a user can read."""

    processes: dict[tuple[int, int], str]
    files: dict[str, str]
    sockets: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.processes or self.files or self.sockets)

    def __str__(self) -> str:
        return "\n".join(sorted([*self.processes.values(), *self.files.values(), *self.sockets]))


def take(bed: Bed | None) -> Snapshot:
    """Everything that is there: whatever of it is there later was not left behind by what happened between."""
    return Snapshot(
        processes=frozenset(processes.keys()), files=dict(_all_files(bed)), sockets=frozenset(_all_sockets(bed))
    )


def since(before: Snapshot, marker: str, bed: Bed | None) -> Left:
    """What carries `marker` in its environment anywhere, and everything on the bed, that was not there before."""
    return Left(
        processes=dict(_new_processes(before, marker, bed)),
        files={path: f"{where}: {path}" for path, where in _all_files(bed) if path not in before.files},
        sockets=frozenset(_all_sockets(bed)) - before.sockets,
    )


def _new_processes(before: Snapshot, marker: str, bed: Bed | None) -> Iterator[tuple[tuple[int, int], str]]:
    """One look at /proc, and a close look only at what is new in it."""
    rooms = _rooms(bed)
    known = {os.getpid(), *(laptop.holder for laptop in (bed.laptops if bed else ()))}
    users = {user.uid for user in USERS.values()}
    for process in processes.every(unless=before.processes):
        where = rooms.get(process.pids) or rooms.get(process.net)
        is_ours = where and (where == "laptop" or (process.uid in users and process.name not in NOT_OURS))
        if process.pid not in known and (is_ours or processes.carries(process, marker)):
            yield process.key, f"{where}: {process}" if where else str(process)


def _rooms(bed: Bed | None) -> dict[int, str]:
    """The bed's places by their namespaces: what runs on a laptop has its network, what runs on a host its numbers."""
    if bed is None:
        return {}
    rooms = {processes.namespace(laptop.holder, "net"): "laptop" for laptop in bed.laptops[:1]}
    return rooms | {processes.namespace(host.pid, "pid"): host.name for host in bed.hosts.values() if host.is_up}


def _all_sockets(bed: Bed | None) -> Iterator[str]:
    for laptop in bed.laptops[:1] if bed else ():  # they share one network
        yield from (f"laptop: {words}" for words in processes.listening(laptop.holder))
    for host in bed.hosts.values() if bed else ():
        if host.is_up:
            yield from (f"{host.name}: {words}" for words in host.listening())


def _all_files(bed: Bed | None) -> Iterator[tuple[str, str]]:
    """Each by its path as this machine's root can open it, and the place that it is on."""
    if bed is None:
        return
    for laptop in bed.laptops:
        yield from ((path, "laptop") for path in _below((str(laptop.runtime), str(laptop.tmp))))
    homes = {}
    for host in bed.hosts.values():
        homes.update({str(host.home(name)): host.name for name in USERS})  # shared homes are looked at once
        if host.is_up:
            root = host.path("/")
            tops = [str(found) for pattern in HOST_FILES for found in root.glob(pattern)]
            yield from ((path, host.name) for path in _below(tops))
    for home, place in homes.items():
        yield from ((path, place) for path in _below(f"{home}/{name}" for name in HOME_FILES))


def _below(tops: Iterable[str]) -> Iterator[str]:
    """Everything that is not a directory, in `tops` and below."""
    for top in tops:
        if os.path.islink(top) or os.path.isfile(top):
            yield top
        elif os.path.exists(top):
            yield from _in_directory(top)


def _in_directory(top: str) -> Iterator[str]:
    for directory, directories, files in os.walk(top):
        links = [name for name in directories if os.path.islink(os.path.join(directory, name))]
        yield from (os.path.join(directory, name) for name in (*files, *links) if name not in KEPT)


def reap(left: Left) -> None:
    """End those very processes and remove those files, so that the next test starts clean."""
    for pid, started in left.processes:
        processes.end(pid, started)
    for path in left.files:
        with contextlib.suppress(OSError):
            os.unlink(path)
