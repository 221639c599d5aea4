"""Starts the user's login shell, which becomes the launcher: in one way after the other until one comes so far.

command   with our command, in a terminal; where the shell has left the user in another, the line is typed there
typed     as a user does who logs in and types: prompts and their hooks (direnv, mise) have run
plain     with our command, neither interactive nor in a terminal: a start-up file for terminals may end the shell
"""

import os

from farlab.host import shell_command
from farlab.host.environments import in_home
from farlab.host.login_terminal import LoginTerminal, typed

MYPY = False
if MYPY:
    from farlab.host.reactor import Reactor
    from farlab.host.server_log import ServerLog
    from farlab.host.server_process import ServerProcess
    from farlab.protocol.spec import Spec


class ShellStart(object):
    """The shell is `process`; what it says goes to `log`."""

    def __init__(self, loop: "Reactor", spec: "Spec", log: "ServerLog", process: "ServerProcess") -> None:
        self.shell = shell_command.login_shell(spec.env)
        self._loop, self._spec, self._log, self._process = loop, spec, log, process
        self._terminal = None  # type: LoginTerminal | None
        self._ways = ["command", "typed", "plain"]

    def start(self) -> None:
        """Start it in the next way. Raises OSError."""
        self.end()
        spec, way = self._spec, self._ways.pop(0)
        setup = list(spec.wish.setup)
        self._terminal = self._open_terminal() if way != "plain" else None
        lines = self._lines(setup if way == "typed" else [])
        if way == "typed" and not (self._terminal and lines):
            return self.start()
        has_command = way != "typed"
        argv = shell_command.command(self.shell, setup, way == "command", has_command)
        env = shell_command.environment(spec.env, spec.runtime, setup, self._terminal.name if self._terminal else "")
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

    def _lines(self, setup: "list[str]") -> "list[str]":
        spec = self._spec
        for name, text in (("launch", shell_command.script(spec.runtime)), ("log.path", spec.directory + "/log")):
            path = os.path.join(spec.runtime, name)
            with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
                file.write(os.fsencode(text))
        directory = in_home(spec.wish.directory) if spec.wish.directory else None
        return typed(spec.runtime, directory if len(self._ways) == 1 else None, setup)
