"""The keeper's log: a few lines a person can read, with times. Never a token, never what a kernel printed.

It is bounded, whatever happens: faults of our own, whose tracebacks are written here too, are told a few times an hour.
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

MOST_BYTES = 1 << 20
MOST_LINE = 2000
MOST_FAULTS, FAULTS_TIME = 5, 3600.0
"""Tracebacks that are written within so many seconds; the others are counted."""
_LONGEST_FAULT = 8192


class KeeperLog:
    """Appends to a private file; starts it anew, keeping the old one's end, when it has grown too long."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, text: str) -> None:
        """One line, with the time."""
        plain = " ".join(clean_line(text[:MOST_LINE]).split())  # some of it are other programs' words
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {plain}\n"
        self.trim()
        with suppress(OSError, FarlabError), open(self._open(), "a") as file:  # no disk, nobody else's directory there,
            file.write(line)  # may end the keeper

    def trim(self) -> None:
        """Cut its beginning where it has grown too long: more is written there than we tell, the process's stderr."""
        with suppress(OSError):
            if self._path.stat().st_size > MOST_BYTES:
                with open(paths.open_ours(self._path, os.O_RDWR), "r+b") as file:
                    file.seek(-MOST_BYTES // 4, os.SEEK_END)
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


class Faults(logging.Handler):
    """Writes what asyncio logs, an exception in a callback above all, to stderr, as far as there is not too much."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(logging.WARNING)
        self._write, self._clock = write, clock
        self._began, self._written, self._left_out = clock(), 0, 0

    def emit(self, record: logging.LogRecord) -> None:
        """One of them; an hour after the first the count begins anew."""
        now = self._clock()
        if now - self._began >= FAULTS_TIME:
            left_out = f"{self._left_out} more of these were not logged\n" if self._left_out else ""
            self._began, self._written, self._left_out = now, 0, 0
            self._put(left_out)
        if self._written < MOST_FAULTS:
            self._put(self.format(record)[-_LONGEST_FAULT:] + "\n")
        else:
            self._left_out += 1
        self._written += 1

    def _put(self, text: str) -> None:
        with suppress(OSError):
            self._write(text)
