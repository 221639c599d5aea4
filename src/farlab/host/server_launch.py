"""How far the server is on its way up: what the launcher has reported, and what its failure means. Python 3.6.

waiting for your login shell → [running your setup lines] → looking for Jupyter → [installing …] → starting NAME
"""

import time

from farlab.host.failure import Failure
from farlab.protocol.session import ServerInfo

MYPY = False
if MYPY:
    from farlab.protocol.launcher import InPython, InShell, Installing, OpenKernel, Serving, SettingUp
    from farlab.protocol.options import Options
    from farlab.protocol.timing import Timing


class Launch(object):
    """`info`: what the launcher said of the server, None before its first word. `place`: where it is to listen."""

    def __init__(self, timing: "Timing", options: "Options") -> None:
        self.stage = "waiting for your login shell"
        self.info = None  # type: ServerInfo | None
        self.place = None  # type: Serving | None
        self._timing, self._options = timing, options
        self._is_in_setup = False
        self._deadline = 0.0

    def begin(self) -> None:
        """The login shell has been started, perhaps in another way than before."""
        self.stage, self.info = "waiting for your login shell", None
        self._deadline = time.monotonic() + self._timing.shell

    def adopt(self, info: ServerInfo) -> None:
        """An earlier anchor has seen the launcher report this."""
        self.info = info

    # the launcher's reports, each named like its request

    def setting_up(self, step: "SettingUp") -> None:
        """The login shell has come to the user's `--setup` lines."""
        self._is_in_setup = True
        self._enter("running your setup lines", self._timing.start)

    def in_shell(self, step: "InShell") -> None:
        """The launcher runs, and looks for a Python."""
        self._learn(home=step.home)
        self._enter("looking for Jupyter", self._timing.start)

    def installing(self, step: "Installing") -> None:
        """The launcher installs what `--keep-output` needs."""
        self._enter("installing the extensions for --keep-output", self._timing.install)

    def in_python(self, step: "InPython") -> None:
        """The launcher has become the chosen Python and is about to become the server."""
        options = self._options
        self._learn(app=step.app, server=step.server, python=step.python, directory=step.directory)
        self._learn(chosen=step.chosen, batch=step.batch)
        self._learn(keep_output=options.keep_output, which_kernels=options.kernels or "")
        self._enter("starting " + step.server, self._timing.start)

    def serving(self, step: "Serving") -> None:
        """The server is about to listen."""
        self.place = step

    def open_kernel(self, step: "OpenKernel") -> None:
        """A kernel of this kind runs, and others on the host could read it."""
        known = self.info.open_kernels if self.info else ()
        self._learn(open_kernels=tuple(sorted({*known, step.name})))

    def is_up(self) -> None:
        """The server answers."""
        self.stage = ""
        if self.place:
            self._learn(**{key: getattr(self.place, key) for key in ("base_url", "root", "named_home")})

    def _learn(self, **values: object) -> None:
        self.info = self.info or ServerInfo()
        vars(self.info).update(values)

    def _enter(self, stage: str, timeout: float) -> None:
        self.stage, self._deadline = stage, time.monotonic() + timeout

    # failures; their detail is the end of the log

    def overdue(self) -> "Failure | None":
        """What it means that the launch takes too long; None while it does not."""
        if time.monotonic() <= self._deadline:
            return None
        shell, start = self._timing.shell, self._timing.start
        if self.info:
            return Failure("server-failed", "the server did not answer within %d s" % start, None)
        if self._is_in_setup:
            return Failure("shell-stuck", "the `--setup` lines did not end within %d s" % start, None, "setup")
        return Failure("shell-stuck", "your login shell did not finish start-up within %d s" % shell, None)

    def exited(self, why: str, why_server: str) -> Failure:
        """What it means that the process has ended."""
        if self.info:
            return Failure("server-failed", "the server ended during start-up (%s)" % why_server, None)
        if self._is_in_setup:
            return Failure("shell-failed", "a `--setup` line failed (%s)" % why, None, "setup")
        return Failure("shell-failed", "your login shell ended during start-up (%s)" % why, None)

    @property
    def has_begun(self) -> bool:
        """Whether the shell has come to our command."""
        return self.info is not None or self._is_in_setup
