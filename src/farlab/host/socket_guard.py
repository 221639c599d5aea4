"""Keeps a session's sockets reachable, whatever cleans the directory they are in. Python 3.6.

Cleaners that go by age skip files that were used lately, and a directory that is locked. If the files are removed all
the same, or with a `/run/user/UID` that ended at a logout, the sockets live on without a name: we hold a descriptor of
each (open(2), O_PATH) and make the name again, as a symbolic link to that descriptor.
"""

import errno
import fcntl
import os
import socket
import stat
import time
from contextlib import suppress

from farlab.host import directories
from farlab.host.failure import Failure

MYPY = False
if MYPY:
    from collections.abc import Iterable

    Identity = tuple[int, int]

TOUCH_INTERVAL = 3600.0
"""Seconds after which files are marked as used; cleaners count in days."""
MAX_HELD = 256
"""Sockets that are held: six for each kernel."""


class SocketGuard(object):
    """Call `refresh` every second or so."""

    def __init__(self, runtime: str) -> None:
        self._runtime = runtime
        self._held = {}  # type: dict[str, tuple[Identity, int]] # each socket's descriptor
        self._locked = None  # type: tuple[Identity, int] | None # the directory's descriptor
        self._touched = time.monotonic()

    def path_of(self, name: str) -> str:
        """A path on which the socket `name` can be reached now, wherever its directory leads by now."""
        if name in self._held:
            return "/proc/self/fd/%d" % self._held[name][1]
        return os.path.join(self._runtime, name)

    def refresh(self) -> None:
        """Hold new sockets, give lost ones their names again."""
        if not hasattr(os, "O_PATH"):  # not Linux
            return
        # somebody else's directory, or none to make ours in, or too many open files: the next time, perhaps
        with suppress(OSError, Failure):
            for directory in (os.path.dirname(self._runtime), self._runtime):
                directories.private(directory)
            self._lock()
            here = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(self._runtime)}
            for name in set(self._held) - set(here):
                self._relink(name)
            for name, found in here.items():
                if stat.S_ISSOCK(found.st_mode) and not name.endswith(".new"):
                    self._hold(name, found)
            if time.monotonic() - self._touched > TOUCH_INTERVAL:
                self._touch(here)

    def _lock(self) -> None:
        """Mark the directory as in use: systemd-tmpfiles(8) skips what is locked."""
        found = _identity(os.stat(self._runtime))
        if self._locked is None or self._locked[0] != found:
            before, fd = self._locked, os.open(self._runtime, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:  # a cleaner is at work: next time
                os.close(fd)
                return
            self._locked = (found, fd)
            if before is not None:
                os.close(before[1])

    def _hold(self, name: str, found: "os.stat_result") -> None:
        held = self._held.get(name)
        if held is not None and held[0] == _identity(found):
            return
        if held is not None:
            os.close(self._held.pop(name)[1])
        if len(self._held) < MAX_HELD:
            fd = os.open(os.path.join(self._runtime, name), os.O_PATH | os.O_NOFOLLOW)
            self._held[name] = (_identity(os.fstat(fd)), fd)

    def _relink(self, name: str) -> None:
        """Give a socket its name again if somebody still listens; else its owner has removed it."""
        fd = self._held[name][1]
        if is_listened_on("/proc/self/fd/%d" % fd):
            os.symlink("/proc/%d/fd/%d" % (os.getpid(), fd), os.path.join(self._runtime, name))
        else:
            del self._held[name]
            os.close(fd)

    def _touch(self, here: "Iterable[str]") -> None:
        self._touched = time.monotonic()
        for path in [self._runtime] + [os.path.join(self._runtime, name) for name in here]:
            with suppress(FileNotFoundError):
                os.utime(path, follow_symlinks=False)


def _identity(found: "os.stat_result") -> "Identity":
    return found.st_dev, found.st_ino


def is_listened_on(path: str) -> bool:
    """Whether a connection to the Unix socket at `path` would be accepted."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        sock.connect(path)
    except OSError as error:
        return error.errno == errno.EAGAIN  # its queue is full
    else:
        return True
    finally:
        sock.close()
