"""The client's end of a keeper's control socket, and where that socket is. Blocking: an event loop would cost start-up.

Each side checks that the other is the same user. On Linux the keeper listens under an abstract name too, unix(7), which
no cleaner can remove and which only one process can have.
"""

from __future__ import annotations

import hashlib
import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import paths, saved
from ..errors import KeeperSilent
from ..model import Target
from ..protocol import json_lines, peer
from ..protocol.records import InvalidMessage

MAX_LINE = 8 << 20
HAS_ABSTRACT_NAMES = sys.platform.startswith("linux")
WAIT_SLICE = 0.5
"""Seconds after which a wait begins anew: a Ctrl-C that comes just before a wait does not interrupt it."""

Words = dict[str, Any]


def socket_path(target: Target) -> Path:
    """Where the keeper of `target` listens."""
    return paths.runtime_directory() / f"{saved.key_of(target)}.sock"


def socket_paths() -> list[Path]:
    """Where keepers may listen, of whatever sessions."""
    return [each for each in paths.runtime_directory().glob("*-*.sock") if not each.name.startswith("errand-")]


def abstract_name(target: Target) -> bytes:
    """The abstract name under which it listens, on Linux: one for each state directory."""
    where = os.path.join(paths.state_directory(), saved.key_of(target))
    return b"\0farlab-" + hashlib.sha256(os.fsencode(where)).hexdigest()[:32].encode()


def is_keeper_alive(target: Target) -> bool:
    """Whether a keeper of `target` listens."""
    client = find(target)
    if client is not None:
        client.close()
    return client is not None


def find(target: Target, timeout: float = 5.0) -> ControlClient | None:
    """A connection to the keeper, or None where there is none. Raises KeeperSilent where its accept queue is full."""
    with suppress(OSError):
        try:
            return ControlClient(socket_path(target), timeout)
        except (BlockingIOError, TimeoutError):
            raise silent_error(target, None) from None
    if HAS_ABSTRACT_NAMES:
        with suppress(OSError):
            return ControlClient(abstract_name(target), timeout)
    return None


def silent_error(target: Target, pid: int | None) -> KeeperSilent:
    """The error for a keeper that runs, as process `pid`, and does not answer."""
    which = f" (process {pid})" if pid else ""
    message = f"the keeper of session `{target.name}` on `{target.host}`{which} does not answer"
    if pid is None:
        return KeeperSilent(message)
    hint = (
        f"nothing was done. If it was stopped, `kill -CONT {pid}` resumes it. If it is stuck, `kill -KILL {pid}` "
        "ends it but not the session; then `{farlab connect HOST}` reconnects"
    )
    return KeeperSilent(message, hint=hint, pid=pid)


class ControlClient:
    """One connection to a keeper."""

    def __init__(self, address: Path | bytes, timeout: float = 5.0) -> None:
        """`address` is a path or an abstract name. Raises OSError where no process of this user listens there.

        Not every system tells who listens, so a path must be one at which no other user can.
        """
        if isinstance(address, Path) and not paths.is_private_socket(address):
            raise PermissionError(f"`{address}` is no private socket of ours")
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(timeout)
        self._lines = json_lines.JsonLines(MAX_LINE)
        try:
            self._sock.connect(address if isinstance(address, bytes) else str(address))
            if not peer.is_same_user(self._sock):
                raise PermissionError(f"`{address!r}` is somebody else's")
        except OSError:
            self._sock.close()
            raise
        self._sock.setblocking(True)

    def send(self, **words: object) -> None:
        """Send one line. Does nothing where the keeper has gone: `receive` returns what it had sent, then None."""
        with suppress(OSError):
            self._sock.sendall(json_lines.encoded(words))

    def receive(self, timeout: float | None = None) -> Words | None:
        """The next message; None at the end, and for anything else. Raises TimeoutError after `timeout` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                message = self._lines.next()
            except InvalidMessage:
                return None
            if message is not None:
                return message
            left = WAIT_SLICE if end is None else max(end - time.monotonic(), 0.0)
            if not select.select([self._sock], [], [], min(left, WAIT_SLICE))[0]:
                if left <= 0:
                    raise TimeoutError
                continue
            try:
                data = self._sock.recv(1 << 16)
            except OSError:
                return None
            if not data:
                return None
            self._lines.feed(data)

    @property
    def pid(self) -> int | None:
        """The process that listens there, where the system tells."""
        level, option = socket.SOL_SOCKET, getattr(socket, "SO_PEERCRED", -1)
        if sys.platform == "darwin":
            level, option = 0, 2  # SOL_LOCAL, LOCAL_PEERPID
        with suppress(OSError):
            return int(struct.unpack("i", self._sock.getsockopt(level, option, 4))[0]) or None
        return None

    def close(self) -> None:
        self._sock.close()


def is_listening(address: Path | bytes) -> bool:
    """Whether a process of this user listens there."""
    try:
        ControlClient(address).close()
    except OSError:
        return False
    return True
