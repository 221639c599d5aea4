"""The anchor's own pane of tmux. Standard library, Python 3.6.

A user's wish (`kill-session`, `kill-server`, a closed pane) and a crashed tmux (killed, out of memory) look the same to
us: SIGHUP, and a socket in `/tmp` that nobody listens on, since tmux leaves that behind in either case. So we hold an
idle connection. A tmux that ends in good order says so on it, or does not end before we let go; one that was killed
only breaks it.
"""

import os
import socket
from contextlib import suppress

from farlab.host.launchers.base import Hold
from farlab.host.launchers.tmux import run


class TmuxPane(Hold):
    """Connects to the tmux whose pane we run in; where that cannot be, an end is always taken for its user's wish."""

    grace = 0.3  # between the loss of the terminal and that of the connection, where one process had both

    def __init__(self) -> None:
        self._tmux = socket.socket(socket.AF_UNIX)
        self._tmux.setblocking(False)
        with suppress(OSError):
            self._tmux.connect(os.environ.get("TMUX", "").rpartition(",")[0].rpartition(",")[0])

    @property
    def is_crashed(self) -> bool:  # type: ignore[override]
        """Whether tmux broke off the connection without a word."""
        try:
            return self._tmux.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True
        except OSError:  # it stands, or never did
            return False

    def release(self) -> None:
        self._tmux.close()

    def print(self, text: str) -> None:
        with suppress(OSError):
            print(text, flush=True)  # noqa: T201

    def close(self) -> None:
        """Also where tmux is told to keep the panes of the dead."""
        self.release()
        run(["kill-pane", "-t", os.environ["TMUX_PANE"]], reads=False)
