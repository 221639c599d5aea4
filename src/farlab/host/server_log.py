"""The log of the notebook server, which it appends to; kept short. Python 3.6."""

import os
import re
from contextlib import suppress

from farlab.host import directories

MAX_SIZE = 8 << 20
_NO_TERMINAL = (": Inappropriate ioctl for device", ": no job control in this shell")
"""What an interactive shell says where there can be no terminal for it."""
_TYPED = re.compile(r"  (?:exit|cd '.*')$|^logout$|^exit$")
"""What we type into the user's shell, behind its prompt, and what it says to that."""


class ServerLog(object):
    """The log at `path`."""

    def __init__(self, path: str) -> None:
        self._path = path

    def open(self) -> int:
        """A descriptor that appends."""
        return os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, text: bytes) -> None:
        """Append it."""
        with suppress(OSError):
            log = self.open()
            try:
                os.write(log, text)
            finally:
                os.close(log)

    def end(self) -> str:
        """The end of the log, without what says nothing, and without what we have typed."""
        lines = directories.tail(self._path).splitlines()
        said = (line for line in lines if not (line.endswith(_NO_TERMINAL) or "/farlab" in line or _TYPED.search(line)))
        return "\n".join(said)

    def tells_of_a_server(self) -> bool:
        """Whether a Jupyter, of whatever version, has said at its end where it listens."""
        return re.search(r"^.*Jupyter .* is running at:?", directories.tail(self._path), re.MULTILINE) is not None

    def shorten(self) -> None:
        """Keep only the end of a log that has become too long."""
        with suppress(OSError):
            if os.stat(self._path).st_size > MAX_SIZE:
                kept = directories.tail(self._path, MAX_SIZE // 8).encode()
                with open(self._path, "r+b") as file:  # the server appends: it goes on behind what is kept
                    file.write(kept)
                    file.truncate()
