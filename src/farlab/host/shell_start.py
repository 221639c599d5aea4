"""Starts the user's login shell, which becomes the launcher: in one way after the other until one comes so far.

command   with our command, in a terminal; where the shell has left the user in another, the line is typed there
typed     as a user does who logs in and types: prompts and their hooks (direnv, mise) have run
jupyter   the same, where no Jupyter was found: `jupyter` may be an alias or a function of that shell
plain     with our command, neither interactive nor in a terminal: a start-up file for terminals may end the shell
"""

import os

from farlab.host import shell_command
from farlab.host.environments import in_home
from farlab.host.jupyter_options import VARIABLE, config_place, options
from farlab.host.jupyter_versions import APPS
from farlab.host.login_terminal import LINES, LoginTerminal, typed

MYPY = False
if MYPY:
    from farlab.host.reactor import Reactor
    from farlab.host.server_log import ServerLog
    from farlab.host.server_process import ServerProcess
    from farlab.protocol.launcher import Fail
    from farlab.protocol.spec import Spec


class ShellStart(object):
    """The shell is `process`; what it says goes to `log`."""

    def __init__(self, loop: "Reactor", spec: "Spec", log: "ServerLog", process: "ServerProcess") -> None:
        self.shell = shell_command.login_shell(spec.env)
        self._loop, self._spec, self._log, self._process = loop, spec, log, process
        self._terminal = None  # type: LoginTerminal | None
        self._ways = ["command", "typed", "plain"]
        self.failure: "Fail | None" = None
        """What has failed where the user's own `jupyter` is the last way."""

    def start(self) -> None:
        """Start it in the next way. Raises OSError."""
        self.end()
        spec, way = self._spec, self._ways.pop(0)
        setup = list(spec.wish.setup)
        has_command = way in ("command", "plain")
        self._terminal = self._open_terminal() if way != "plain" else None
        lines = self._lines(way, [] if has_command else setup)
        if not has_command and not (self._terminal and lines):
            return self.start()
        argv = shell_command.command(self.shell, setup, way == "command", has_command)
        env = shell_command.environment(spec.env, spec.runtime, setup, self._terminal.name if self._terminal else "")
        if way == "jupyter":
            env[VARIABLE] = config_place(spec.runtime)
        out = self._terminal.slave if self._terminal else self._log.open()
        try:
            self._process.spawn(self.shell, argv, env, out, spec.umask, self._terminal is not None)
        finally:
            if not self._terminal:
                os.close(out)
        if self._terminal:
            self._terminal.begin(lines, has_command)
        return None

    def may_start_again(self, typed_only: bool = False) -> bool:
        """Whether there is another way; `typed_only`: one in which the shell has its prompt."""
        return "typed" in self._ways if typed_only else bool(self._ways)

    def may_be_a_name(self, failure: "Fail") -> bool:
        """Whether to type `jupyter`, where none was found: it may be a name of the shell's own."""
        if self.failure or self._ways != ["plain"] or failure.hint == "old":
            return False
        self.failure, self._ways = failure, ["jupyter"]
        return True

    def look(self) -> bool:
        """Type where the shell waits; whether it has to be started in another way, since it never comes to our command.

        What a user's `--setup` lines do is done in the shell that they are for, so nothing is typed instead of them.
        """
        if self._terminal and self._terminal.is_waiting():
            if self._spec.wish.setup and self.may_start_again(typed_only=True):
                return True
            self._terminal.type()
        return False

    def end(self) -> None:
        """The shell has become the launcher, or has started it, or has failed."""
        if self._terminal:
            self._terminal.close()
            self._terminal = None
        self._process.end_shell()

    def _open_terminal(self) -> "LoginTerminal | None":
        try:
            return LoginTerminal(self._loop, self._log)
        except (ImportError, OSError):  # a host without /dev/pts, a Python without parts of its library
            return None

    def _lines(self, way: str, setup: "list[str]") -> "list[str]":
        spec = self._spec
        for name, text in (("launch", shell_command.script(spec.runtime)), ("log.path", spec.directory + "/log")):
            path = os.path.join(spec.runtime, name)
            with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
                file.write(os.fsencode(text))
        jupyter = " ".join(["jupyter", spec.wish.app if spec.wish.app in APPS else "lab", *options(spec.runtime)])
        last = (jupyter, "exit") if way == "jupyter" else tuple(line % spec.runtime for line in LINES)
        directory = in_home(spec.wish.directory) if spec.wish.directory and way != "command" else None
        return typed(spec.runtime, directory, setup, last)
