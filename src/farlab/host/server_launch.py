"""How far the server is on its way up: what the launcher has reported, and what its failure means. Python 3.6.

waiting for your login shell → [running your setup lines] → looking for Jupyter → [installing …] → starting NAME
"""

import time

from farlab.host.failure import Failure

MYPY = False
if MYPY:
    from typing import Any

    from farlab.protocol.timing import Timing


class Launch(object):
    """`info`: what the launcher said of the server. `place`: where the server says it is about to listen."""

    def __init__(self, timing: "Timing", options: "dict[str, Any]") -> None:
        self.stage = "waiting for your login shell"
        self.info = {}  # type: dict[str, Any]
        self.place = {}  # type: dict[str, str]
        self.is_interactive = True
        self._timing, self._options = timing, options
        self._is_in_setup = False
        self._deadline = 0.0

    def begin(self) -> None:
        """The login shell has been started."""
        self._deadline = time.monotonic() + self._timing.shell

    def adopt(self, info: "dict[str, Any]") -> None:
        """An earlier anchor has seen the launcher report this."""
        self.info = info

    # the launcher's reports, each named like its request

    def setting_up(self) -> None:
        """The login shell has come to the user's `--setup` lines."""
        self._is_in_setup = True
        self._enter("running your setup lines", self._timing.start)

    def in_shell(self, home: str) -> None:
        """The launcher runs, and looks for a Python."""
        self.info["home"] = home
        self._enter("looking for Jupyter", self._timing.start)

    def installing(self) -> None:
        """The launcher installs what `--keep-output` needs."""
        self._enter("installing the extensions for --keep-output", self._timing.install)

    def in_python(self, **info: str) -> None:
        """The launcher has become the chosen Python and is about to become the server."""
        options = self._options
        self.info.update(info, keep_output=bool(options.get("keep_output")), which_kernels=options.get("kernels"))
        self._enter("starting " + info["server"], self._timing.start)

    def serving(self, **place: str) -> None:
        """The server is about to listen: under which `base_url`, and the `doorkeeper` that a `setting` names."""
        self.place = place

    def open_kernel(self, name: str) -> None:
        """A kernel of this kind runs, and others on the host could read it."""
        self.info["open_kernels"] = sorted(set(self.info.get("open_kernels") or ()) | {name})

    def is_up(self) -> None:
        """The server answers."""
        self.info["base_url"], self.stage = self.place["base_url"], ""

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

    def may_retry(self) -> bool:
        """Once more without `-i`: a start-up file for terminals may have ended the shell."""
        is_worth_it = self.is_interactive and not self.info and not self._is_in_setup
        self.is_interactive = self.is_interactive and not is_worth_it
        return is_worth_it
