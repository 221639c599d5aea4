"""A detached tmux session `farlab-NAME`, so that `tmux ls` shows it. Standard library, Python 3.6.

Of the user's own tmux server where that is such as this login would start; else of one that is farlab's (`tmux -L
farlab`) and reads no configuration.
"""

import os
import re
import shutil
import signal
from contextlib import suppress

from farlab.host.launchers.base import Launcher

MYPY = False
if MYPY:
    from typing import List, Optional

    from farlab.host.launchers.base import Handle, Hold

TIMEOUT = 10
"""Seconds that tmux may take to start, or to answer; one that has not done so once is not asked again."""
_hangs = []  # type: List[List[str]]


class Tmux(Launcher):
    """Its handle has the name of the tmux session, and of the server's socket where that is farlab's."""

    name = "tmux"
    server = ""
    """The socket of the server in which it starts a session; "" for the user's own."""

    def is_available(self) -> bool:
        return shutil.which("tmux") is not None and is_like_ours() != bool(self.server)

    def handle_for(self, session: str) -> "Handle":
        return dict({"session": "farlab-" + session}, **({"server": self.server} if self.server else {}))

    def start(self, handle: "Handle", argv: "List[str]") -> bool:
        option = [";", "set-option", "-q", "-t", handle["session"], "destroy-unattached", "off"]
        neutral = ["-f", os.devnull] if self.server else []
        words = [*neutral, *of(handle), "new-session", "-d", "-s", handle["session"], *argv, *option]
        return run(words, reads=False) is not None

    def look(self, handle: "Handle") -> "Optional[List[int]]":
        panes = run([*of(handle), "list-panes", "-s", "-t", "=%s:" % handle["session"], "-F", "#{pane_pid}"])
        return None if panes is None else [int(pid) for pid in panes.split() if pid.isdigit()]

    def has_lost(self, handle: "Handle") -> bool:
        return not self.look(handle)

    def attach_argv(self, handle: "Handle") -> "Optional[List[str]]":
        return ["tmux", *of(handle), "attach-session", "-t", "=" + handle["session"]]

    def stop(self, handle: "Handle", pid: int) -> None:
        if self.look(handle) == [pid]:  # where it was told to keep the panes of the dead
            run([*of(handle), "kill-session", "-t", "=" + handle["session"]])

    def hold(self, handle: "Handle") -> "Hold":
        from farlab.host.launchers.tmux_pane import TmuxPane

        return TmuxPane()


class OwnTmux(Tmux):
    """In a server of farlab's."""

    name = "tmux -L farlab"
    server = "farlab"


def of(handle: "Handle") -> "List[str]":
    """The words that lead tmux to the server of a session."""
    return ["-L", handle["server"]] if handle.get("server") else []


def is_like_ours() -> bool:
    """Whether the user's tmux server, if one runs, gives what this login gives: limits, groups, place among others."""
    pid = run(["display-message", "-p", "#{pid}"])
    return not (pid and pid.strip().isdigit()) or standing("self") == standing(pid.decode().strip())


def standing(pid: str) -> "List[str]":
    """What a process passes on to all that it starts (proc(5)); the logins of one user have scopes of their own."""
    found = []
    for name in ("limits", "status", "cgroup"):
        with suppress(OSError), open("/proc/%s/%s" % (pid, name)) as file:
            lines = file.read().splitlines()
            is_it = name != "status"
            found += [re.sub(r"/(session-\w+|tmux-spawn-[^/]*)\.scope.*", "", line) for line in lines
                      if is_it or line.startswith(("Groups:", "Cpus_allowed:"))]  # fmt: skip
    return found


def run(words: "List[str]", reads: bool = True) -> "Optional[bytes]":
    """What tmux prints, as far as anybody `reads` it; None where it fails, or hangs."""
    import subprocess  # 10 ms, and not for every link

    if _hangs:
        return None
    null, out = subprocess.DEVNULL, subprocess.PIPE if reads else subprocess.DEVNULL
    with suppress(OSError):
        process = subprocess.Popen(["tmux", *words], stdin=null, stdout=out, stderr=null, start_new_session=True)
        try:
            printed, _ = process.communicate(timeout=TIMEOUT)
            return None if process.returncode else printed or b""
        except subprocess.TimeoutExpired:  # a program in its place may have started others
            _hangs.append(words)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return None
