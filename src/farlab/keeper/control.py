"""The private socket of a keeper: made, and reached, without an event loop, which would cost start-up.

It lies in a directory of ours alone, and each side checks that the other is the same user. Where the system has them
(Linux) the keeper listens under an abstract name too, unix(7), which no cleaner can remove and no two can have. Both
speak in lines of JSON; `peers` is the other half.
"""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import paths
from ..errors import FarlabError

MOST_LINE = 8 << 20
HAS_ABSTRACT = sys.platform.startswith("linux")
LOOK = 0.5
"""Seconds that a wait goes on without a look: a Ctrl-C that comes just before it begins wakes nobody."""
_TOUCHED = 3600.0
"""Seconds after which a file is touched again: there are programs that remove from `/tmp` what is old."""

Words = dict[str, Any]


class PrivateSocket:
    """Where a keeper is reached: at `path`, and by an abstract `name`, the way in where that path was removed."""

    def __init__(self, path: Path, name: bytes) -> None:
        """Raises `Taken` where another keeper has that name; DiskFull, Internal."""
        self.path, self._name = path, name
        self.back = _listen_at(name)
        self.front = listen(path)
        self._made = path.stat()

    def mend(self) -> socket.socket | None:
        """Another `front` where somebody has removed that path, or None: to be called every few seconds."""
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is not None and os.path.samestat(found, self._made):
            if abs(time.time() - found.st_mtime) > _TOUCHED:
                with suppress(OSError):
                    os.utime(self.path)
            return None
        if found is not None and is_answered(self.path):
            return None  # by whomever: he will find that he is not alone
        try:
            paths.make_private(self.path.parent)
            front, made = listen(self.path), self.path.stat()
        except (OSError, FarlabError):
            return None  # no room, or no directory to make it in: perhaps the next time
        self.front, self._made = front, made
        return front

    def remove(self) -> None:
        """Remove the path. When `back` is closed too, another keeper may begin."""
        with suppress(OSError):
            if os.path.samestat(self.path.stat(), self._made):
                self.path.unlink()


class Taken(Exception):
    """A living keeper listens there already."""


def _listen_at(name: bytes) -> socket.socket | None:
    """A listening socket of that abstract name; None where there are no such, or a stranger sits on it."""
    if not HAS_ABSTRACT:
        return None
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(name)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE and is_answered(name):
            raise Taken from error
        return None
    listener.listen(128)
    listener.setblocking(False)
    return listener


def is_answered(address: Path | bytes) -> bool:
    """Whether somebody of ours listens there."""
    try:
        Channel(address).close()
    except OSError:
        return False
    return True


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, which appears only when one can connect to it. Raises DiskFull, Internal."""
    new = path.with_suffix(".new")
    listener = socket.socket(socket.AF_UNIX)
    try:
        with paths.writing(path.parent):
            new.unlink(missing_ok=True)
            listener.bind(str(new))
            new.chmod(0o600)
            listener.listen(128)
            listener.setblocking(False)
            new.replace(path)
    except FarlabError:
        listener.close()
        raise
    return listener


def is_ours(sock: Any) -> bool:
    """Whether this very user is at the other end."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # whoever comes has come by the path, which is private
    _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())


class Channel:
    """One connection, at the other end: blocking, without an event loop, which would cost start-up."""

    def __init__(self, address: Path | bytes, patience: float = 5.0) -> None:
        """`address` is a path or an abstract name. Raises OSError where nobody of ours listens.

        Not every system tells who listens: a path must be one at which nobody else can.
        """
        if isinstance(address, Path) and not paths.is_private_socket(address):
            raise PermissionError(f"`{address}` is no private socket of ours")
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(patience)
        self._buffer = b""
        try:
            self._sock.connect(address if isinstance(address, bytes) else str(address))
            if not is_ours(self._sock):
                raise PermissionError(f"`{address!r}` is somebody else's")
        except OSError:
            self._sock.close()
            raise
        self._sock.setblocking(True)

    def say(self, **words: object) -> None:
        """Send one line; nothing happens if the other side has gone: what it said before, or its end, is heard."""
        with suppress(OSError):
            self._sock.sendall(json.dumps(words).encode() + b"\n")

    def hear(self, timeout: float | None = None) -> Words | None:
        """The next words; None at the end, and for what no keeper says. Raises TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while b"\n" not in self._buffer:
            left = LOOK if end is None else max(end - time.monotonic(), 0.0)
            if not select.select([self._sock], [], [], min(left, LOOK))[0]:
                if left <= 0:
                    raise TimeoutError
                continue
            try:
                data = self._sock.recv(1 << 16)
            except OSError:
                return None
            if not data or len(self._buffer) > MOST_LINE:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            words = json.loads(line)
        except (ValueError, RecursionError):
            return None
        return words if isinstance(words, dict) else None

    @property
    def pid(self) -> int | None:
        """The process that listens there, where the system tells."""
        level, option = (socket.SOL_SOCKET, getattr(socket, "SO_PEERCRED", -1))
        if sys.platform == "darwin":
            level, option = 0, 2  # SOL_LOCAL, LOCAL_PEERPID
        with suppress(OSError):
            return int(struct.unpack("i", self._sock.getsockopt(level, option, 4))[0]) or None
        return None

    def close(self) -> None:
        self._sock.close()
