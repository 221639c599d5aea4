"""Opens an address in the user's browser, or says why it cannot.

Rule: the address has no token, since other users of this machine can read command lines. The browser runs on its own:
neither waits for the other. Text browsers, which would take over the terminal, are never started.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

TEXT_BROWSERS = frozenset({"lynx", "w3m", "links", "links2", "elinks", "www-browser", "browsh", "carbonyl", "edbrowse"})
GRAPHICAL = ("firefox", "chromium", "chromium-browser", "google-chrome", "brave-browser", "microsoft-edge", "epiphany")

Which = Callable[[str], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Headless:
    """No browser can open here; `reason` says why."""

    reason: str


def open_browser(address: str) -> str:
    """Open `address`; "" if a browser was started, else why not."""
    choice = choose(address, os.environ, sys.platform, shutil.which)
    if isinstance(choice, Headless):
        return choice.reason
    # xdg-open's own list ends with text browsers; this one does not.
    environ = {"BROWSER": ":".join(("x-www-browser", *GRAPHICAL)), **os.environ}
    quiet = subprocess.DEVNULL
    try:
        subprocess.Popen(choice, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True, env=environ)
    except OSError as error:
        return f"`{choice[0]}` cannot start: {error.strerror}"
    return ""


def choose(address: str, environ: Mapping[str, str], platform: str, which: Which) -> list[str] | Headless:
    """The command that opens `address`: `$BROWSER` first, then what this system has, if it has a display."""
    if environ.get("BROWSER"):
        return _from_variable(environ["BROWSER"], address, which)
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return Headless(reason="you are logged in to this machine over `ssh`")
    if platform == "darwin":
        return ["open", address]
    if environ.get("WSL_DISTRO_NAME"):
        found = next(filter(None, map(which, ("wslview", "explorer.exe"))), None)
        return [found, address] if found else Headless(reason="found neither `wslview` nor `explorer.exe`")
    if not (environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")):
        return Headless(reason="this machine has no display")
    programs = (which(name) for name in ("xdg-open", *GRAPHICAL))
    found = next((program for program in programs if program and not _is_text(program)), None)
    return [found, address] if found else Headless(reason="found neither `xdg-open` nor a browser")


def _from_variable(value: str, address: str, which: Which) -> list[str] | Headless:
    """`$BROWSER` as Python's `webbrowser` and Debian's `sensible-browser` read it: commands, perhaps with `%s`."""
    for command in value.split(os.pathsep):
        words = [word for word in _words(command) if word != "&"]
        program = which(words[0]) if words else None
        if program and not _is_text(program):
            placed = [word.replace("%s", address) for word in words[1:]]
            return [program, *placed] if placed != words[1:] else [program, *placed, address]
    return Headless(reason=f"`BROWSER={value}` is not a graphical browser")


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:  # a quote that does not close
        return []


def _is_text(program: str) -> bool:
    names = {Path(program).name, Path(os.path.realpath(program)).name}
    return bool(names & TEXT_BROWSERS)
