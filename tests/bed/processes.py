"""What runs, read from /proc: every process with its start time and namespaces, and who listens.

Nothing here ends a process but `end`, which does so only while the process is still the one that was seen.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LISTEN = "0A"  # TCP_LISTEN in include/net/tcp_states.h
_EXITING = 0x4  # PF_EXITING in include/linux/sched.h, flags of /proc/PID/stat: argv and namespaces go
_ACCEPTING = 0x10000  # __SO_ACCEPTCON, the flags column of /proc/net/unix


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process as the machine sees it; `started` (in ticks since the machine's boot) tells it from a later one."""

    pid: int
    started: int
    uid: int
    name: str
    argv: tuple[str, ...]
    net: int
    """Inode of its network namespace; 0 where we may not look."""
    pids: int
    """Inode of its PID namespace; 0 where we may not look."""

    @property
    def key(self) -> tuple[int, int]:
        """What stays the same for the life of the process, and is nobody else's."""
        return self.pid, self.started

    def __str__(self) -> str:
        words = " ".join(self.argv) or f"[{self.name}]"
        return f"process {self.pid} (uid {self.uid}) {words[:200]}"


def namespace(pid: int, kind: str) -> int:
    """Inode of a process's namespace (`net`, `pid`, `mnt` …), 0 where it cannot be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except OSError:
        return 0


def find(pid: int) -> Process | None:
    """The process of that number, if it lives; a zombie does not, nor what is about to be one."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        uid = os.stat(f"/proc/{pid}").st_uid
        argv = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    name, _, rest = stat.partition("(")[2].rpartition(")")
    fields = rest.split()
    if fields[0] in "ZX" or int(fields[6]) & _EXITING:
        return None
    return Process(
        pid=pid,
        started=int(fields[19]),
        uid=uid,
        name=name,
        argv=tuple(word.decode(errors="replace") for word in argv.split(b"\0") if word),
        net=namespace(pid, "net"),
        pids=namespace(pid, "pid"),
    )


def every() -> Iterator[Process]:
    """Every living process of the machine, those inside the bed's hosts included."""
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := find(int(entry))):
            yield process


def carries(process: Process, marker: str) -> bool:
    """Whether the process was started with `marker` (`NAME=value`) in its environment."""
    try:
        environ = Path(f"/proc/{process.pid}/environ").read_bytes()
    except OSError:
        return False
    return marker.encode() in environ.split(b"\0")


def is_alive(pid: int, started: int) -> bool:
    """Whether the process that was seen then is still there."""
    now = find(pid)
    return now is not None and now.started == started


def end(pid: int, started: int) -> bool:
    """Kill that very process, never a later one that was given its number. False where it was gone."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_alive(pid, started):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def listening(pid: int) -> set[str]:
    """What is listened on in the network namespace of `pid`: `tcp 127.0.0.1:8888`, `unix /tmp/x`."""
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for fields in _rows(pid, table):
            if fields[3] == _LISTEN:
                found.add(f"tcp {_address(fields[1], family)}")
    for fields in _rows(pid, "unix"):
        if int(fields[3], 16) & _ACCEPTING:
            found.add(f"unix {fields[7] if len(fields) > 7 else '(no name)'}")
    return found


def _rows(pid: int, table: str) -> list[list[str]]:
    try:
        lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()
    except OSError:
        return []
    return [line.split() for line in lines[1:]]


def _address(column: str, family: socket.AddressFamily) -> str:
    """`0100007F:1F90` as `127.0.0.1:8080`; each 32-bit word is in the machine's byte order."""
    words, port = column.split(":")
    raw = b"".join(struct.pack("=I", int(words[i : i + 8], 16)) for i in range(0, len(words), 8))
    return f"{socket.inet_ntop(family, raw)}:{int(port, 16)}"
