"""Processes of this host, told from all others by when they started. Standard library, Python 3.6.

Rule: nothing is signalled but a process that is still the same (pid and start time).
"""

import errno
import os
import signal
import time
from contextlib import suppress

EXITING = 0x4
"""PF_EXITING in the kernel's include/linux/sched.h, among the flags of /proc/PID/stat."""


def boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def start_time(pid):
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

    words = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], stdout=subprocess.PIPE).stdout
    return words.decode().strip() or None


def here(pid):
    """What tells one process from all others: node, boot, pid and start time."""
    return {"node": os.uname().nodename, "boot": boot_id(), "pid": pid, "start": start_time(pid)}


def is_same(process, unknown=False):
    """Whether `{"pid", "start"}` is still that very process; `unknown` where nobody can tell."""
    try:
        return bool(process and process["pid"]) and start_time(process["pid"]) == process["start"] is not None
    except OSError:
        return unknown


def wait_until(condition, timeout):
    """Whether `condition()` came true within `timeout` seconds."""
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def signal_group(pid, number):
    """Signal a process, with its group if it leads one."""
    with suppress(ProcessLookupError):
        os.kill(-pid if os.getpgid(pid) == pid else pid, number)


def end_process(process):
    """SIGTERM, then SIGKILL, to a process (and its group, if it leads one) that is still the same."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if not is_same(process):
            return
        signal_group(process["pid"], number)
        wait_until(lambda: not is_same(process), patience)


def our_commands():
    """`(pid, words of its command line)` of each process of ours but this one, where there is a `/proc`."""
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()):
        with suppress(OSError):
            if int(pid) != os.getpid() and os.stat("/proc/" + pid).st_uid == os.getuid():
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    words = file.read().split(b"\0")
                yield int(pid), words


def variable(pid, name):
    """What a process was started with in its environment, as text; "" where that is nothing, or nobody can tell."""
    with suppress(OSError), open("/proc/%d/environ" % pid, "rb") as file:
        for each in file.read().split(b"\0"):
            if each.startswith(name.encode() + b"="):
                return os.fsdecode(each[len(name) + 1 :])
    return ""


def is_kernel(pid):
    """Whether a process was started as a kernel: jupyter_client tells each who its parent is (launcher.py)."""
    return variable(pid, "JPY_PARENT_PID") != ""


def has_our_home(pid):
    """Whether a process of ours has the home that we have: one account may be used with several."""
    return os.path.realpath(variable(pid, "HOME")) == os.path.realpath(os.path.expanduser("~"))


def kernels_of(runtime):
    """Kernels that outlived their server: our processes that were given a connection file in `runtime`."""
    mark = runtime.encode() + b"/kernel-"
    named = [pid for pid, words in our_commands() if any(mark in word for word in words)]
    found = filter(is_kernel, named)  # and no editor of such a file
    return [{"pid": pid, "start": start_time(pid)} for pid in found if start_time(pid)]
