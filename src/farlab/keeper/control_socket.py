"""Makes the control socket of a keeper, and makes it again where a cleaner has removed it.

Its path is in a private directory; on Linux it has an abstract name, too (see `control_client`).
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress
from pathlib import Path

from .. import paths
from ..errors import FarlabError
from .control_client import HAS_ABSTRACT_NAMES, is_listening

_TOUCHED = 3600.0
"""Seconds after which the file is touched again: some systems remove old files from `/tmp`."""


class ControlSocket:
    """Listens at `path`, and under an abstract `name`, which still works where that path was removed."""

    def __init__(self, path: Path, name: bytes) -> None:
        """Raises `AlreadyListening` where another keeper has that name; DiskFull, Internal."""
        abstract = _listen_at(name)
        self.path, self.listeners = path, [listen(path), *([abstract] if abstract else [])]
        self._made = path.stat()

    def recreate_if_missing(self) -> socket.socket | None:
        """A new listener at `path` where a cleaner has removed it, else None. To be called every few seconds."""
        try:
            found = self.path.stat()
        except OSError:
            found = None
        if found is not None and os.path.samestat(found, self._made):
            if abs(time.time() - found.st_mtime) > _TOUCHED:
                with suppress(OSError):
                    os.utime(self.path)
            return None
        if found is not None and is_listening(self.path):
            return None  # another keeper, which will find this one by its abstract name
        try:
            paths.make_private(self.path.parent)
            listener, self._made = listen(self.path), self.path.stat()
        except (OSError, FarlabError):
            return None  # a full disk, or no directory: perhaps the next time
        return listener

    def remove(self) -> None:
        """Remove the path. Another keeper may begin once the listeners are closed."""
        with suppress(OSError):
            if os.path.samestat(self.path.stat(), self._made):
                self.path.unlink()


class AlreadyListening(Exception):
    """Another keeper listens there already."""


def _listen_at(name: bytes) -> socket.socket | None:
    """A listening socket of that abstract name; None where the system has none, or another user took it."""
    if not HAS_ABSTRACT_NAMES:
        return None
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(name)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE and is_listening(name):
            raise AlreadyListening from error
        return None
    listener.listen(128)
    listener.setblocking(False)
    return listener


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, which appears only once one can connect to it. Raises DiskFull, Internal."""
    new = path.with_suffix(".new")
    listener = socket.socket(socket.AF_UNIX)
    try:
        with paths.translate_write_errors(path.parent):
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
