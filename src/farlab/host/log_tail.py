"""The lines of a log, as they are added. Python 3.6."""

import os

MAX_READ = 1 << 20
"""Bytes of a log that are read at once."""
INTERVAL = 0.5
"""Seconds between two looks for what was added."""


class LogTail(object):
    """The end of the file at `path`, of at most so many lines; then what is added. Raises OSError."""

    def __init__(self, path: str, lines: int) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - `close` closes it
        self._lines, self._rest, self._is_first = lines, b"", True
        self._file.seek(max(0, self._size - MAX_READ))

    def read(self, is_last: bool) -> bytes:
        """The whole lines that have come since the last call; also one that has not ended, if it `is_last`."""
        if self._size < self._file.tell():  # it was shortened; what is kept has been said
            self._file.seek(self._size)
            self._rest = b""
        content = self._rest + self._file.read(MAX_READ)
        end = len(content) if is_last else content.rfind(b"\n") + 1
        whole, self._rest = content[:end], content[end:]
        if self._is_first:
            self._is_first = False
            found = whole.splitlines(True)
            whole = b"".join(found[max(0, len(found) - self._lines) :])
        return whole

    def close(self) -> None:
        self._file.close()

    @property
    def _size(self) -> int:
        return os.fstat(self._file.fileno()).st_size
