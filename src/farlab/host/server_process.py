"""The notebook server as a process: a child of ours, or one that an earlier anchor started. Python 3.6."""

import os
import signal
import subprocess
from contextlib import suppress

from farlab.host import kill, login_terminal, processes
from farlab.protocol.session import Process

UNKNOWN_STATUS = 1 << 16
"""Stands for the exit status of an adopted server, which only its parent could see."""


class ServerProcess(object):
    """The login shell at first, which becomes the launcher and then the server. `identity`: pid and start time."""

    def __init__(self) -> None:
        self.identity = Process()
        self._child = None  # type: subprocess.Popen[bytes] | None
        self._memory_kills = memory_kills()

    def spawn(
        self, shell: str, argv: "list[str]", env: "dict[str, str | bytes]", out: int, umask: int, has_terminal: bool
    ) -> None:
        """Start the shell, tied to us by no pipe. `out`: its log, or the terminal that it gets. Raises OSError."""

        def prepare() -> None:
            os.umask(umask)  # ours is for what is ours
            if has_terminal:
                login_terminal.take(out)

        self._child = subprocess.Popen(
            argv, executable=shell, env=env, stdin=out if has_terminal else subprocess.DEVNULL, stdout=out, stderr=out,
            cwd=os.path.expanduser("~"), start_new_session=True, preexec_fn=prepare,
        )  # fmt: skip
        self.follow(self._child.pid)

    def adopt(self, identity: Process) -> None:
        """Watch a server that another anchor started."""
        self.identity = identity

    def follow(self, pid: int) -> None:
        """From now on the server is the process `pid`, which the shell has become, or has started."""
        self.identity = processes.process(pid)

    def end_shell(self) -> None:
        """The shell is needed no more, unless it has become the server."""
        if self._child is not None and self._child.pid != self.identity.pid and self._child.poll() is None:
            self._child.kill()

    def exit_status(self) -> "int | None":
        """None while it lives."""
        status = None if self._child is None else self._child.poll()
        if self._child is not None and self.identity.pid == self._child.pid:
            return status
        return None if processes.is_same(self.identity, unknown=True) else UNKNOWN_STATUS

    def kill(self, number: int) -> None:
        """Signal it and its process group."""
        if self.identity.pid and processes.is_same(self.identity):
            kill.signal_group(self.identity.pid, number)

    def note_memory_kills(self) -> None:
        """Only what the kernel kills from now on can have been the server."""
        self._memory_kills = memory_kills()

    def exit_reason(self, status: int) -> str:
        """How it ended, with what there is to say about memory if it was killed or may have been."""
        before, now = self._memory_kills, memory_kills()
        count = 0 if before is None or now is None else now - before
        if count < 1 or status not in (-signal.SIGKILL, UNKNOWN_STATUS):
            return describe_exit(status)
        killed = "; the host ran out of memory at that time and killed %d process%s"
        return describe_exit(status) + killed % (count, "es" if count > 1 else "")


def memory_kills() -> "int | None":
    """How many processes the kernel has killed for want of memory, in whichever cgroup; None if nobody can tell."""
    with suppress(OSError, ValueError), open("/proc/vmstat") as file:
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def describe_exit(status: int) -> str:
    """An exit status in words."""
    if status == UNKNOWN_STATUS:
        return "exit status unknown"
    if status >= 0:
        return "exit status %d" % status
    try:
        return "signal %s" % signal.Signals(-status).name
    except ValueError:
        return "signal %d" % -status
