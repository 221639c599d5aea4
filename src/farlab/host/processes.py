"""Processes of this host, told from all others by when they started. Standard library, Python 3.6."""

import errno
import os
import time
from contextlib import suppress

from farlab.protocol.session import LockOwner, Process

MYPY = False
if MYPY:
    from typing import Callable, Iterator

EXITING = 0x4
"""PF_EXITING in the kernel's include/linux/sched.h, among the flags of /proc/PID/stat."""


def boot_id() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def start_time(pid: int) -> "str | None":
    """When a process started, as a string that never changes in its life; None where there is no such process.

    One that was killed counts as gone while it still gives back its memory, which takes a while where it had much.
    Raises where nobody can tell: too many files are open.
    """
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:  # a process has any name it likes
            fields = file.read().rpartition(b")")[2].decode().split()
        return None if fields[0] in "ZX" or int(fields[6]) & EXITING else fields[19]
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ESRCH):
            raise
        if os.path.isdir("/proc/self"):
            return None
    import subprocess  # 10 ms, and only without /proc

    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], stdout=subprocess.PIPE).stdout
    return shown.decode().strip() or None


def process(pid: int) -> Process:
    """A process as it can be found again."""
    return Process(pid=pid, start=start_time(pid))


def lock_owner() -> LockOwner:
    """This process, as others may see it who have the same home."""
    pid = os.getpid()
    return LockOwner(node=os.uname().nodename, boot=boot_id(), pid=pid, start=start_time(pid))


def is_same(process: "Process | None", unknown: bool = False) -> bool:
    """Whether it is still that very process; `unknown` where nobody can tell."""
    try:
        return bool(process and process.pid and start_time(process.pid) == process.start is not None)
    except OSError:
        return unknown


def wait_until(condition: "Callable[[], bool]", timeout: float) -> bool:
    """Whether `condition()` came true within `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def our_commands() -> "Iterator[tuple[int, list[bytes]]]":
    """`(pid, argv)` of each process of ours but this one, where there is a `/proc`."""
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()):
        with suppress(OSError):
            if int(pid) != os.getpid() and os.stat("/proc/" + pid).st_uid == os.getuid():
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    argv = file.read().split(b"\0")
                yield int(pid), argv


def variable(pid: int, name: str) -> str:
    """What a process was started with in its environment, as text; "" where that is nothing, or nobody can tell."""
    with suppress(OSError), open("/proc/%d/environ" % pid, "rb") as file:
        for each in file.read().split(b"\0"):
            if each.startswith(name.encode() + b"="):
                return os.fsdecode(each[len(name) + 1 :])
    return ""


def has_our_home(pid: int) -> bool:
    """Whether a process of ours has the home that we have: one account may be used with several."""
    return os.path.realpath(variable(pid, "HOME")) == os.path.realpath(os.path.expanduser("~"))
