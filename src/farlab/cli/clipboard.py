"""Copies an address to the clipboard.

Rule: programs read it from stdin, never from a command line, since it contains the token.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from .browser import Which


def copy(text: str) -> str:
    """Copy `text` to the clipboard; "" if that worked, else why not.

    If no program can, it asks the terminal (OSC 52, xterm's control sequences), which does not say whether it did.
    """
    for command in commands(os.environ, sys.platform, shutil.which):
        if _feed(command, text):
            return ""
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        os.write(sys.stderr.fileno(), sequence(text))
        return ""
    return "cannot copy the address: none of `wl-copy`, `xclip`, `xsel`, `pbcopy`, `clip.exe` works here"


def commands(environ: Mapping[str, str], platform: str, which: Which) -> tuple[list[str], ...]:
    """The programs that could, best first."""
    known = (
        (platform == "darwin", ["pbcopy"]),
        (bool(environ.get("WAYLAND_DISPLAY")), ["wl-copy"]),
        (bool(environ.get("DISPLAY")), ["xclip", "-selection", "clipboard"]),
        (bool(environ.get("DISPLAY")), ["xsel", "--clipboard", "--input"]),
        (bool(environ.get("WSL_DISTRO_NAME")), ["clip.exe"]),
        (bool(environ.get("TMUX")), ["tmux", "load-buffer", "-w", "-"]),
    )
    return tuple(command for fits, command in known if fits and which(command[0]))


def sequence(text: str) -> bytes:
    """OSC 52: the terminal, however far away, puts `text` on its clipboard."""
    return b"\x1b]52;c;" + base64.b64encode(text.encode()) + b"\x07"


def _feed(command: list[str], text: str) -> bool:
    quiet = subprocess.DEVNULL  # `xclip` stays to serve the selection, and would keep a pipe open
    try:
        done = subprocess.run(command, input=text.encode(), stdout=quiet, stderr=quiet, timeout=2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
