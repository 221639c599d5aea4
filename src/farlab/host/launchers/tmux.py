"""A detached tmux session `farlab-NAME`, so that `tmux ls` shows it. Standard library, Python 3.6."""

import shutil
from contextlib import suppress

from farlab.host.launchers.base import Launcher

MYPY = False
if MYPY:
    from typing import List, Optional

    from farlab.host.launchers.base import Handle, Hold

TIMEOUT = 10
"""Seconds that tmux may take to start, or to answer."""


class Tmux(Launcher):
    """Its handle has the name of the tmux session."""

    name = "tmux"

    def is_available(self) -> bool:
        return shutil.which("tmux") is not None

    def handle_for(self, session: str) -> "Handle":
        return {"session": "farlab-" + session}

    def start(self, handle: "Handle", argv: "List[str]") -> bool:
        option = [";", "set-option", "-q", "-t", handle["session"], "destroy-unattached", "off"]
        return run(["new-session", "-d", "-s", handle["session"], *argv, *option], reads=False) is not None

    def look(self, handle: "Handle") -> "Optional[List[int]]":
        panes = run(["list-panes", "-s", "-t", "=%s:" % handle["session"], "-F", "#{pane_pid}"])
        return None if panes is None else [int(pid) for pid in panes.split() if pid.isdigit()]

    def attach_argv(self, handle: "Handle") -> "Optional[List[str]]":
        return ["tmux", "attach-session", "-t", "=" + handle["session"]]

    def stop(self, handle: "Handle", pid: int) -> None:
        if self.look(handle) == [pid]:  # where it was told to keep the panes of the dead
            run(["kill-session", "-t", "=" + handle["session"]])

    def hold(self, handle: "Handle") -> "Hold":
        from farlab.host.launchers.tmux_pane import TmuxPane

        return TmuxPane()


def run(words: "List[str]", reads: bool = True) -> "Optional[bytes]":
    """What tmux prints, as far as anybody `reads` it; None where it fails, or hangs."""
    import subprocess  # 10 ms, and not for every link

    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["tmux", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if reads else subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TIMEOUT,
        )
        return None if done.returncode else done.stdout or b""
    return None
