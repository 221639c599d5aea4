"""Ends processes of ours: a session's, and kernels that outlived their server. Standard library, Python 3.6.

Rule: nothing is signalled but a process that is still the same (pid and start time).
"""

import os
import signal
from contextlib import suppress

from farlab.host.processes import is_same, our_commands, process, variable, wait_until
from farlab.protocol.session import Process


def signal_group(pid: int, number: int) -> None:
    """Signal a process, with its group if it leads one."""
    with suppress(ProcessLookupError):
        os.kill(-pid if os.getpgid(pid) == pid else pid, number)


def end_process(target: "Process | None") -> None:
    """SIGTERM, then SIGKILL, to a process (and its group, if it leads one) that is still the same."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        if target is None or not target.pid or not is_same(target):
            return
        signal_group(target.pid, number)
        wait_until(lambda: not is_same(target), patience)


def is_kernel(pid: int) -> bool:
    """Whether a process was started as a kernel: jupyter_client tells each who its parent is (launcher.py)."""
    return variable(pid, "JPY_PARENT_PID") != ""


def kernels_of(runtime: str) -> "list[Process]":
    """Kernels that outlived their server: our processes that were given a connection file in `runtime`."""
    mark = runtime.encode() + b"/kernel-"
    named = [pid for pid, argv in our_commands() if any(mark in each for each in argv)]
    found = filter(is_kernel, named)  # and no editor of such a file
    return [each for each in map(process, found) if each.start]
