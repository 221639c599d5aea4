"""The keeper's log: a few lines that a user can read, with times. Never a token, never what a kernel printed.

Its size is bounded: tracebacks of farlab's own bugs go here too, a few of them an hour.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .. import paths
from ..errors import FarlabError
from ..sanitize import clean_line

MAX_BYTES = 1 << 20
MAX_LINE = 2000
MAX_TRACEBACKS, TRACEBACK_PERIOD = 5, 3600.0
"""How many tracebacks are written within so many seconds; the others are counted."""
_MAX_TRACEBACK_SIZE = 8192


class KeeperLog:
    """Appends to a private file, and cuts off its beginning when it has grown too long."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, text: str) -> None:
        """One line, with the time."""
        plain = " ".join(clean_line(text[:MAX_LINE]).split())  # some of it is other programs' text
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {plain}\n"
        self.trim()
        with suppress(OSError, FarlabError), open(self._open(), "a") as file:
            file.write(line)  # neither a full disk nor another user's directory there may end the keeper

    def trim(self) -> None:
        """Cut off the beginning of a log that is too long: the stderr of the keeper's process goes there too."""
        with suppress(OSError):
            if self._path.stat().st_size > MAX_BYTES:
                with open(paths.open_ours(self._path, os.O_RDWR), "r+b") as file:
                    file.seek(-MAX_BYTES // 4, os.SEEK_END)
                    kept = file.read()
                    file.seek(0)
                    file.write(kept)
                    file.truncate()

    def _open(self) -> int:
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        try:
            return paths.open_ours(self._path, flags)
        except FileNotFoundError:  # somebody has removed the directory
            paths.make_private(self._path.parent)
            return paths.open_ours(self._path, flags)


class RateLimitedHandler(logging.Handler):
    """Writes what asyncio logs, above all exceptions in callbacks, a few times an hour."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._write, self._clock = write, clock
        self._began, self._written, self._left_out = clock(), 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write or count a record. The count begins anew an hour after the first."""
        now = self._clock()
        if now - self._began >= TRACEBACK_PERIOD:
            left_out = f"{self._left_out} more of these were not logged\n" if self._left_out else ""
            self._began, self._written, self._left_out = now, 0, 0
            self._put(left_out)
        if self._written < MAX_TRACEBACKS:
            self._put(self.format(record)[-_MAX_TRACEBACK_SIZE:] + "\n")
        else:
            self._left_out += 1
        self._written += 1

    def _put(self, text: str) -> None:
        with suppress(OSError):
            self._write(text)
