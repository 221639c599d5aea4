"""What runs, read from /proc: every process with its start time and namespaces, and who listens.

Nothing here ends a process but `end`, which does so only while the process is still the one that was seen.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
from collections.abc import Container, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

_EXITING = 0x4  # PF_EXITING in include/linux/sched.h, flags of /proc/PID/stat: argv and namespaces go
_KERNEL = 0x200000  # PF_KTHREAD, same
_ACCEPTING = 0x10000  # __SO_ACCEPTCON, the flags column of /proc/net/unix
_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_NET = 0x40000000  # CLONE_NEWNET in include/uapi/linux/sched.h
_SOCK_DIAG, _BY_FAMILY, _DUMP = 4, 20, 0x301  # sock_diag(7), netlink(7): NLM_F_REQUEST | NLM_F_DUMP
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_LISTEN = 1 << 10  # TCP_LISTEN in include/net/tcp_states.h


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


def find(pid: int, *, unless: Container[tuple[int, int]] = ()) -> Process | None:
    """The process of that number, if it lives; a zombie does not, nor what is about to be one.

    One of `unless` is not looked at further. The kernel's own threads are no processes.
    """
    try:
        started, name = _stat(pid)
        if not started or (pid, started) in unless:
            return None
        uid = os.stat(f"/proc/{pid}").st_uid
        argv = _read(f"/proc/{pid}/cmdline")
    except OSError:
        return None
    return Process(
        pid=pid,
        started=started,
        uid=uid,
        name=name,
        argv=tuple(word.decode(errors="replace") for word in argv.split(b"\0") if word),
        net=namespace(pid, "net"),
        pids=namespace(pid, "pid"),
    )


def _stat(pid: int) -> tuple[int, str]:
    """When it was started, and its name; 0 where it does not live."""
    name, _, rest = _read(f"/proc/{pid}/stat").decode(errors="replace").partition("(")[2].rpartition(")")
    fields = rest.split()
    is_alive = fields[0] not in "ZX" and not int(fields[6]) & (_EXITING | _KERNEL)
    return (int(fields[19]) if is_alive else 0), name


def keys() -> Iterator[tuple[int, int]]:
    """Number and start time of every living process: all that is needed to know it again."""
    for pid in _numbers():
        with contextlib.suppress(OSError):
            yield pid, _stat(pid)[0]


def every(*, unless: Container[tuple[int, int]] = ()) -> Iterator[Process]:
    """Every living process of the machine, those inside the bed's hosts included, but those that are known."""
    for pid in _numbers():
        if process := find(pid, unless=unless):
            yield process


def inside(kind: str, number: int) -> Iterator[Process]:
    """Every living process in the namespace (`net`, `pid`) of that inode number. Much cheaper than a look at all."""
    for pid in _numbers():
        if namespace(pid, kind) == number and (process := find(pid)):
            yield process


def _numbers() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def carries(process: Process, marker: str) -> bool:
    """Whether the process was started with `marker` (`NAME=value`) in its environment."""
    try:
        environ = _read(f"/proc/{process.pid}/environ")
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
    try:
        found = {f"tcp {address}" for address in _listening_tcp(pid)}
        rows = Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return set()
    for fields in map(str.split, rows):
        if int(fields[3], 16) & _ACCEPTING:
            found.add(f"unix {fields[7] if len(fields) > 7 else '(no name)'}")
    return found


def _listening_tcp(pid: int) -> Iterator[str]:
    """sock_diag(7) lists listeners alone; /proc/net/tcp walks the machine's whole table, 100 times as long."""
    with _diagnosis(pid) as asked:
        for family in (socket.AF_INET, socket.AF_INET6):
            wanted = struct.pack("=BBxxI48x", family, socket.IPPROTO_TCP, _LISTEN)
            asked.send(struct.pack("=IHHII", 16 + len(wanted), _BY_FAMILY, _DUMP, 0, 0) + wanted)
            while (kind := (yield from _addresses(asked.recv(1 << 16)))) != _DONE:
                if kind == _ERROR:
                    raise OSError("sock_diag refused")


def _addresses(answer: bytes) -> Generator[str, None, int]:
    """The addresses in one answer of struct inet_diag_msg; returns the type of its last message."""
    kind = at = 0
    while at < len(answer):
        length, kind = struct.unpack_from("=IH", answer, at)
        if kind == _BY_FAMILY:
            family, port = struct.unpack_from(">B3xH", answer, at + 16)
            raw = answer[at + 24 : at + 24 + (4 if family == socket.AF_INET else 16)]
            yield f"{socket.inet_ntop(family, raw)}:{port}"
        at += (length + 3) & ~3
    return kind


def _diagnosis(pid: int) -> socket.socket:
    """A socket that tells about the network namespace of `pid`: made in there, it stays of there."""
    with open("/proc/thread-self/ns/net") as ours, open(f"/proc/{pid}/ns/net") as theirs:
        if _LIBC.setns(theirs.fileno(), _NEW_NET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)
        finally:
            if _LIBC.setns(ours.fileno(), _NEW_NET):
                os.abort()  # nothing that a test does next would happen where it should
