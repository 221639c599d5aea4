"""Facts about this host, its directories and its processes. Standard library, Python 3.6.

Nothing is signalled but a process that is still the same (pid and start time); no directory is used but our own.
"""

import errno
import os
import shutil
import signal
import socket
import stat
import struct
import time
from contextlib import suppress

EXITING = 0x4
"""PF_EXITING in the kernel's include/linux/sched.h, among the flags of /proc/PID/stat."""


class Failure(Exception):
    """An expected failure: `code` is a slug of farlab's errors."""

    def __init__(self, code, message, detail="", hint=None):
        Exception.__init__(self, message)
        self.words = {"code": code, "message": message, "detail": detail, "hint": hint}


NONE = type(None)
PID, TEXT = range(1, 1 << 31), (str, NONE)


def fits(value, shape):
    """Whether a value from outside is as `shape` says: a type, a range of whole numbers, a dict of shapes, or any of a
    tuple of shapes."""
    if isinstance(shape, dict):
        return isinstance(value, dict) and all(fits(value.get(key), each) for key, each in shape.items())
    if isinstance(shape, tuple):
        return any(fits(value, each) for each in shape)
    return type(value) is int and value in shape if isinstance(shape, range) else isinstance(value, shape)


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


def private(path):
    """A directory that only we can enter, made if need be; refuses anybody else's."""
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    if not is_our_directory(path):
        raise Failure("host-lacks", "`%s` is not our directory" % path, hint="owner")
    if os.lstat(path).st_mode & 0o077:
        os.chmod(path, 0o700)
    return path


def is_our_directory(path):
    found = os.lstat(path)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def is_our_peer(sock):
    """Whether the process at the other end of a Unix socket is ours, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    return struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1] == os.getuid()


def runtime_base():
    """The short private directory for sockets: they do not live on NFS, and their paths end at 107 bytes."""
    for base in (os.environ.get("XDG_RUNTIME_DIR"), "/run/user/%d" % os.getuid()):
        if base and base.startswith("/") and len(base) <= 30 and os.path.isdir(base):
            found = os.lstat(base)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
                return private(base + "/farlab")
    usual = "/tmp/farlab-%d" % os.getuid()  # noqa: S108 - owner and mode are checked
    try:
        return private(usual)
    except Failure:  # somebody else's, who could bar us for ever
        import glob
        import tempfile

        for ours in glob.glob(usual + "-*"):
            with suppress(Failure):
                return private(ours)
        return tempfile.mkdtemp("", usual + "-")


def state_base():
    return os.path.join(os.path.expanduser("~"), ".local", "state", "farlab")


def remove_runtime(path):
    """Remove a session's runtime directory; not where a stranger has made the one above it: that may lead anywhere."""
    above = os.path.dirname(path)
    with suppress(OSError):
        if os.path.basename(above).startswith("farlab") and is_our_directory(above):
            remove_tree(path)
            os.rmdir(above)  # if it is empty


def remove_tree(path):
    """Remove a directory of ours; symbolic links in it are removed, never followed."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)


def tail(path, size=8192):
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


def remove_file(path):
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_empty(directory):
    with suppress(OSError):
        os.rmdir(directory)


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
