"""Asks the user's login shell what it makes of the environment, in a terminal as `connect` has it. Python 3.6.

Rule: changes nothing, and leaves nothing: the shell is ended once it has told, or when its time is over.
"""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

from farlab.host import login_terminal, shell_command

MYPY = False
if MYPY:
    from collections.abc import Callable

TIMEOUT = 20.0
PLACE = "FARLAB_LAUNCH_RUNTIME"
"""The variable that names the directory of what the shell runs, and tells."""
TELL = 'd=${0%/*}; env -0 >"$d/told.new" && mv "$d/told.new" "$d/told"\n'


class Waiting(object):
    """What a `LoginTerminal` needs of a reactor and of a log."""

    def __init__(self) -> None:
        self._callbacks: "dict[int, Callable[[], object]]" = {}

    def add_reader(self, descriptor: int, callback: "Callable[[], object]") -> None:
        """Call it when there is something to read."""
        self._callbacks[descriptor] = callback

    def remove_reader(self, descriptor: int) -> None:
        """No more."""
        self._callbacks.pop(descriptor, None)

    def write(self, text: bytes) -> None:
        """What the shell says is nobody's."""

    def wait(self, seconds: float) -> None:
        """Read what comes in that time, or wait."""
        for each in select.select(list(self._callbacks), [], [], seconds)[0]:
            self._callbacks[each]()


def ask(environ: "dict[str, str]", with_prompt: bool, directory: "str | None") -> "dict[str, str] | None":
    """The shell's environment; None where it does not come so far.

    `with_prompt`: in the directory, once the hooks of its prompt have run.
    """
    place = tempfile.mkdtemp(prefix="farlab-")
    try:
        with open(os.path.join(place, "launch"), "w") as file:
            file.write(TELL)
        return _ask(environ, place, with_prompt, directory)
    except (ImportError, OSError, subprocess.SubprocessError):  # a host without terminals, a Python without some parts
        return None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _ask(environ: "dict[str, str]", place: str, with_prompt: bool, directory: "str | None") -> "dict[str, str] | None":
    shell, waiting = shell_command.login_shell(environ), Waiting()
    terminal = login_terminal.LoginTerminal(waiting, waiting)  # type: ignore[arg-type]
    slave = terminal.slave
    line = "exec /bin/sh -c '/bin/sh \"$%s/launch\"'" % PLACE
    argv = ["-" + os.path.basename(shell)] + ([] if with_prompt else ["-i", "-c", line])
    env = shell_command.environment(environ, place, [], terminal.name)
    env[PLACE] = place
    process = subprocess.Popen(
        argv, executable=shell, env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        cwd=os.path.expanduser("~"), preexec_fn=lambda: login_terminal.take(slave),
    )  # fmt: skip
    try:
        lines = tuple(each % place for each in login_terminal.LINES)
        terminal.begin(login_terminal.typed(place, directory if with_prompt else None, [], lines), not with_prompt)
        return _told(terminal, waiting, process, os.path.join(place, "told"))
    finally:
        terminal.close()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _told(
    terminal: "login_terminal.LoginTerminal", waiting: Waiting, process: "subprocess.Popen[bytes]", path: str
) -> "dict[str, str] | None":
    end = time.monotonic() + TIMEOUT
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > end:
            return None
        waiting.wait(0.02)
        if terminal.is_waiting():
            terminal.type()
    with open(path, "rb") as file:
        lines = [os.fsdecode(each).partition("=") for each in file.read(1 << 22).split(b"\0") if b"=" in each]
    private = ("FARLAB_LAUNCH_", "TMUX", "SSH_TTY", "JUPYTER_RUNTIME_DIR")
    return {key: value for key, _, value in lines if not key.startswith(private)}
