"""The tmux that holds the anchor, as long as it does. Python 3.6.

Its person's wish (`kill-session`, `kill-server`, a closed pane) and its own death (killed, out of memory) look the same
to us: SIGHUP, and a socket in `/tmp` that nobody listens on, since tmux leaves that behind in either case. So we hold a
connection on which we say nothing. A tmux that ends in good order says so on it, or does not end before we let go; one
that was killed only breaks it.
"""

import os
import socket
import subprocess
import sys
from contextlib import suppress

GRACE = 0.3
"""Seconds between the loss of the terminal and that of the connection, where one process had both."""


class TmuxPane(object):
    """`is_tmux`: whether we run in a pane of tmux."""

    def __init__(self):
        self._place = os.environ.get("TMUX", "").rpartition(",")[0].rpartition(",")[0]
        self._tmux = None
        self.is_tmux = bool(os.environ.get("TMUX")) and sys.stdout.isatty()

    def hold(self):
        """Connect; where that cannot be, an end is always taken for its person's wish."""
        if self.is_tmux:
            self._tmux = socket.socket(socket.AF_UNIX)
            self._tmux.setblocking(False)
            with suppress(OSError):
                self._tmux.connect(self._place)

    @property
    def is_killed(self):
        """Whether tmux broke off the connection without a word."""
        try:
            return self._tmux is not None and self._tmux.recv(1, socket.MSG_PEEK) == b""
        except ConnectionResetError:
            return True
        except OSError:  # it stands, or never did
            return False

    def let_go(self):
        """tmux may end for all we care."""
        if self._tmux is not None:
            self._tmux.close()
            self._tmux = None

    def lose(self):
        """tmux has gone; we go on without."""
        self.let_go()
        self.is_tmux = False

    def print(self, text):
        """Show `text` to whoever attaches to the tmux session."""
        if self.is_tmux:
            with suppress(OSError):
                print(text, flush=True)  # noqa: T201

    def close(self):
        """End our tmux session, also where tmux is told to keep the panes of the dead."""
        self.let_go()
        if self.is_tmux:
            null = subprocess.DEVNULL
            with suppress(OSError, subprocess.SubprocessError):
                words = ["tmux", "kill-pane", "-t", os.environ["TMUX_PANE"]]
                subprocess.call(words, stdin=null, stdout=null, stderr=null, timeout=5)
