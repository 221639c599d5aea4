"""The private socket of a keeper: made, and reached, without an event loop, which would cost start-up.

It lies in a directory of ours alone, and each side checks that the other is the same user. Both speak in lines of
JSON; `peers` is the other half.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
from pathlib import Path
from typing import Any

MOST_LINE = 8 << 20

Words = dict[str, Any]


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, which appears only when one can connect to it."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(new))
    new.chmod(0o600)
    listener.listen(128)
    listener.setblocking(False)
    new.replace(path)
    return listener


def is_ours(sock: Any) -> bool:
    """Whether this very user is at the other end."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # the directory's mode is all there is
    _, user, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(user == os.getuid())


class Channel:
    """One connection, at the other end: blocking, without an event loop, which would cost start-up."""

    def __init__(self, path: Path) -> None:
        """Raises OSError where nobody listens."""
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(5.0)
        self._buffer = b""
        try:
            self._sock.connect(str(path))
            if not is_ours(self._sock):
                raise PermissionError(f"`{path}` is somebody else's")
        except OSError:
            self._sock.close()
            raise
        self._sock.setblocking(True)

    def say(self, **words: object) -> None:
        """Send one line. Raises OSError."""
        self._sock.sendall(json.dumps(words).encode() + b"\n")

    def hear(self, timeout: float | None = None) -> Words | None:
        """The next words; None at the end. Raises TimeoutError after `timeout` seconds."""
        while b"\n" not in self._buffer:
            if timeout is not None and not select.select([self._sock], [], [], timeout)[0]:
                raise TimeoutError
            try:
                data = self._sock.recv(1 << 16)
            except OSError:
                return None
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        words = json.loads(line)
        return words if isinstance(words, dict) else None

    def close(self) -> None:
        self._sock.close()
