"""The private socket of a keeper: made, and reached, without an event loop, which would cost start-up.

It lies in a directory of ours alone, and each side checks that the other is the same user. Where the system has them
(Linux) the keeper listens under an abstract name too, unix(7), which no cleaner can remove and no two can have. Both
speak in lines of JSON; `peers` is the other half.
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
"""Seconds after which a file is touched again: there are programs that remove from `/tmp` what is old."""


class ControlSocket:
    """Where a keeper is reached: at `path`, and by an abstract `name`, the way in where that path was removed."""

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
            return None  # by whomever: he will find that he is not alone
        try:
            paths.make_private(self.path.parent)
            listener, self._made = listen(self.path), self.path.stat()
        except (OSError, FarlabError):
            return None  # no room, or no directory to make it in: perhaps the next time
        return listener

    def remove(self) -> None:
        """Remove the path. Another keeper may begin once the listeners are closed."""
        with suppress(OSError):
            if os.path.samestat(self.path.stat(), self._made):
                self.path.unlink()


class AlreadyListening(Exception):
    """A living keeper listens there already."""


def _listen_at(name: bytes) -> socket.socket | None:
    """A listening socket of that abstract name; None where there are no such, or a stranger sits on it."""
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
    """A listening socket at `path`, which appears only when one can connect to it. Raises DiskFull, Internal."""
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
