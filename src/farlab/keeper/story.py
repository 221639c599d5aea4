"""The keeper's log: a few lines a person can read, with times. Never a token, never what a kernel printed."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

from .. import paths
from ..errors import FarlabError
from ..washing import clean_line

MOST_BYTES = 1 << 20
MOST_LINE = 2000


class Story:
    """Appends to a private file; starts it anew, keeping the old one's end, when it has grown too long."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tell(self, text: str) -> None:
        """One line, with the time."""
        plain = " ".join(clean_line(text[:MOST_LINE]).split())  # some of it are other programs' words
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {plain}\n"
        with suppress(OSError, FarlabError):  # no disk, and nobody else's directory there, may end the keeper
            if self._path.exists() and self._path.stat().st_size > MOST_BYTES:
                self._path.write_bytes(self._path.read_bytes()[-MOST_BYTES // 4 :])
            with open(self._open(), "a") as file:
                file.write(line)

    def _open(self) -> int:
        flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError:  # somebody has removed the directory
            paths.make_private(self._path.parent)
            return os.open(self._path, flags, 0o600)
