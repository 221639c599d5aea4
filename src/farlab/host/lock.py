"""One agent at a time starts or ends a session: a file made with O_EXCL, which works on NFS. Python 3.6."""

import json
import os
import time
from contextlib import suppress

from farlab.host import directories, processes
from farlab.host.failure import Failure
from farlab.host.session_files import read_file
from farlab.protocol.agent import Progress
from farlab.protocol.session import LockOwner

MYPY = False
if MYPY:
    from farlab.host.loader import Link

TIMEOUT = 30.0
AGE = 120.0
"""Seconds after which a lock of another node is taken to be forgotten."""
WAITING = "waiting for another farlab command on this host"
UNREADABLE_AGE = 10.0
"""The same for a lock that does not say whose it is: its maker was killed, or the disk is full."""


class Lock(object):
    """Held while its block runs. Raises Failure where another agent does not let go of it."""

    def __init__(self, name: str, link: "Link") -> None:
        self._path = os.path.join(directories.state_base(), ".%s.lock" % name)
        self._link = link

    def __enter__(self) -> "Lock":
        ours = processes.lock_owner()
        end, was_sent = time.monotonic() + TIMEOUT, False
        while True:
            try:
                fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileNotFoundError:  # the end of the last session takes the directory away
                os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
                continue
            except FileExistsError:
                if self._is_stale(self._path, ours):
                    self._take_away(ours)
                elif time.monotonic() > end:
                    message = "another farlab command is using this session (lock `%s`)" % self._path
                    raise Failure("not-answering", message, hint="busy") from None
                else:
                    if not was_sent:
                        self._link.send(Progress(progress="lock", text=WAITING))
                    was_sent = True
                    time.sleep(0.05)
                continue
            with suppress(OSError), os.fdopen(fd, "w") as file:  # on a full disk it holds all the same
                json.dump(ours, file, default=vars)
            return self

    def _take_away(self, ours: LockOwner) -> None:
        """Remove a stale lock, but not one that somebody else who found it stale has made since."""
        taken = "%s.%d" % (self._path, os.getpid())
        with suppress(OSError):
            os.rename(self._path, taken)
            if not self._is_stale(taken, ours):
                os.link(taken, self._path)
        directories.remove_file(taken)

    def _is_stale(self, path: str, ours: LockOwner) -> bool:
        try:
            owner = read_file(path, LockOwner)
            if owner and owner.node == ours.node:
                return owner.boot != ours.boot or not processes.is_same(owner)
            # else of another node, or being written, or cut short
            return time.time() - os.stat(path).st_mtime > (AGE if owner else UNREADABLE_AGE)
        except OSError:
            return False

    def __exit__(self, *exc: object) -> None:
        directories.remove_file(self._path)
        directories.remove_empty(os.path.dirname(self._path))
