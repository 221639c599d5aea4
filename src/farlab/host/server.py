"""The notebook server as its parent sees it: started in the user's own shell, watched, ended. Python 3.6.

    starting ──up──▶ up ──▶ ended      how it ended: `ending`
        └──────────────────▶ ended

The server is tied to us by no pipe: if the anchor dies, it goes on, and the next anchor adopts it.
"""

import os
import signal

from farlab.host import kill
from farlab.host.http import ServerApi
from farlab.host.server_health import ServerHealth
from farlab.host.server_launch import Launch
from farlab.host.server_log import ServerLog
from farlab.host.server_process import ServerProcess, describe_exit
from farlab.host.shell_start import ShellStart
from farlab.host.socket_guard import SocketGuard
from farlab.protocol.launcher import Fail, InShell
from farlab.protocol.session import ErrorInfo, Process

MYPY = False
if MYPY:
    from collections.abc import Callable

    from farlab.host.failure import Failure
    from farlab.host.http import OnAnswer
    from farlab.host.reactor import Reactor, Timer
    from farlab.protocol.anchor import Request
    from farlab.protocol.session import ServerInfo, SessionRecord
    from farlab.protocol.spec import Spec
    from farlab.protocol.timing import Timing

REQUEST_TIMEOUT = 3.0


class Shutdown(object):
    """Asks the server to shut down, then signals it. `cause`: "user" or "host"; "" until `begin`."""

    def __init__(self, loop: "Reactor", process: ServerProcess, timing: "Timing") -> None:
        self.cause = ""
        self._loop, self._process, self._timing = loop, process, timing

    def is_new(self, cause: str) -> bool:
        """Note who wants it; whether nobody did before. A logout ends tmux too, whose SIGHUP looks like the user's."""
        before, self.cause = self.cause, "host" if "host" in (cause, self.cause) else cause
        return not before

    def ask(self, request: "Callable[[OnAnswer, float], object]") -> None:
        """Begin with a request to shut down."""
        request(self._on_answer, self._timing.unresponsive)

    def _on_answer(self, status: "int | None", body: bytes) -> None:
        if status is None:
            self.signal(signal.SIGTERM, self._timing.unresponsive)
        else:
            self._loop.call_later(self._timing.shutdown, self.signal, signal.SIGTERM, self._timing.shutdown)

    def signal(self, number: int, patience: "float | None" = None) -> None:
        """Send a signal, and SIGKILL after `patience` seconds."""
        self._process.kill(number)
        patience = self._timing.unresponsive if patience is None else patience
        self._loop.call_later(patience, self._process.kill, signal.SIGKILL)


class Server(object):
    """`on_change()` is called when `state`, `stage` or `answers` changes. `spec` is the agent's, `token` ours."""

    def __init__(
        self, loop: "Reactor", spec: "Spec", token: str, timing: "Timing", on_change: "Callable[[], object]"
    ) -> None:
        self.state = "starting"
        self.ending = None  # type: ErrorInfo | None
        self._loop, self._spec, self._on_change = loop, spec, on_change
        self._guard = SocketGuard(spec.runtime)
        self._log = ServerLog(os.path.join(spec.directory, "log"))
        self._process = ServerProcess()
        self._shell = ShellStart(loop, spec, self._log, self._process)
        self._launch = Launch(timing, spec.wish)
        self._api = ServerApi(loop, self.socket_path, token)
        self._health = ServerHealth(self._api, timing, on_change)
        self._shutdown = Shutdown(loop, self._process, timing)
        self._timer: "Timer | None" = None

    @property
    def stage(self) -> str:
        """What a server that starts is waiting for."""
        return "" if self.state == "ended" else self._launch.stage

    @property
    def info(self) -> "ServerInfo | None":
        """What the launcher said of the server, None before its first word."""
        return self._launch.info

    @property
    def process(self) -> "Process":
        """The server's process; without a pid before it starts."""
        return self._process.identity

    @property
    def answers(self) -> bool:
        """Whether the server has answered the last probe."""
        return self._health.answers

    def socket_path(self) -> str:
        """Where the server's socket can be reached now."""
        return self._guard.path_of("server.sock")

    def request(self, method: str, path: str, on_answer: "OnAnswer", timeout: float = REQUEST_TIMEOUT) -> None:
        """Send one request to the server's API; `on_answer(None, b"")` if it does not answer."""
        self._api.request(method, self._base_url + path, on_answer, timeout)

    @property
    def _base_url(self) -> str:
        return (self.info.base_url if self.info else "") or "/"

    # start -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the user's login shell, which becomes the launcher and then the server."""
        try:
            self._shell.start()
        except OSError as error:
            self.fail("shell-failed", "cannot start your login shell `%s`" % self._shell.shell, str(error))
            return
        self._launch.begin()
        self._on_change()
        self._watch_in(0.02)

    def adopt(self, record: "SessionRecord") -> None:
        """Take over a server whose anchor has ended."""
        info, process = record.told, record.server or Process()
        if not info or not info.base_url:  # it was not up yet: nobody has seen whom it lets in
            kill.end_process(process)
            self.start()
            return
        self._process.adopt(process)
        self._launch.adopt(info)
        self._enter("up")
        self._watch_in(1.0)

    def report(self, step: str, request: "Request") -> None:
        """The launcher, or a kernel's start, has reached `step`, the name of a method of `Launch`, or "fail"."""
        if self.state != "starting" and step != "open_kernel":
            return
        if isinstance(request, Fail):
            self._on_failure(request)
            return
        if isinstance(request, InShell):
            self._process.follow(request.pid)
            self._shell.end()
        getattr(self._launch, step)(request)
        if step != "serving":
            self._on_change()

    def _on_failure(self, failure: Fail) -> None:
        """No Jupyter was found, or it does not start; a prompt's hooks may bring one, or a name of the shell's own."""
        is_found_by_shell = failure.code == "no-jupyter" and not self._spec.wish.environment
        if is_found_by_shell and (self._shell.may_start_again(True) or self._shell.may_be_a_name(failure)):
            self.start()
        else:
            self._fail_with(failure)

    def _fail_with(self, failure: Fail) -> None:
        self.fail(failure.code, failure.message, failure.detail or None, failure.hint, failure.names)

    def fail(
        self,
        code: str,
        message: str,
        detail: "str | None" = None,
        hint: "str | None" = None,
        names: "tuple[str, ...]" = (),
    ) -> None:
        """The server cannot start, or has ended: say why. `detail`: the end of its log unless given."""
        if self.state != "ended":
            detail = self._log.end() if detail is None else detail
            self.ending = ErrorInfo(code=code, message=message, detail=detail, hint=hint, names=names)
            self._process.kill(signal.SIGKILL)
            self._shell.end()
            self._enter("ended")

    def _enter(self, state: str) -> None:
        self.state = state
        self._on_change()

    # watch -----------------------------------------------------------------------------------------------

    def _watch_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._watch)

    def _watch(self) -> None:
        if self.state == "ended":
            return
        self._watch_in(1.0)  # whatever goes wrong below
        self._log.shorten()
        status = self._process.exit_status()
        if status is not None:
            self._on_exit(status)
        elif self.state == "starting":
            self._watch_start()
            self._watch_in(0.02)
        else:
            if self._shutdown.cause:
                self._watch_in(0.02)
            self._guard.refresh()
            if not self._shutdown.cause and self._health.is_due():
                self._process.note_memory_kills()
                self._health.probe(self._base_url + "api")

    def _watch_start(self) -> None:
        if not self._launch.has_begun and self._shell.look():
            self.start()
        overdue = self._launch.overdue()
        if overdue is not None:
            self._give_up(overdue)
        elif self._launch.place and os.path.exists(self.socket_path()):
            self._health.check_ready(self._launch.place, self._on_ready, self._on_not_ours)
        elif self._launch.info and not self._launch.place and self._log.tells_of_a_server():
            message = "Jupyter was started without farlab's options and configuration"
            self.fail("server-failed", message, hint="wrapper")

    def _on_ready(self) -> None:
        if self.state == "starting":
            self._launch.is_up()
            self._enter("up")

    def _on_not_ours(self, message: str) -> None:
        self.fail("server-failed", message, "", "login")

    def _on_exit(self, status: int) -> None:
        why, why_server = describe_exit(status), self._process.exit_reason(status)
        if self._shutdown.cause == "host":
            self.fail("ended", "the host ended the session (signal SIGTERM), as at a shutdown or at your logout")
        elif self._shutdown.cause:
            self.fail("terminated", "the session was terminated", detail="")
        elif self.state != "starting":
            self.fail("ended", "the server ended (%s)" % why_server)
        elif not self._launch.has_begun and self._shell.may_start_again():
            self.start()
        else:
            self._give_up(self._launch.exited(why, why_server))

    def _give_up(self, failure: "Failure") -> None:
        """The server does not start, for the reason that was found first."""
        if self._shell.failure and not self._launch.has_begun:
            self._fail_with(self._shell.failure)
        else:
            self.fail(**vars(failure.info))

    # end -------------------------------------------------------------------------------------------------

    def stop(self, cause: str = "user") -> None:
        """Ask it to shut down, then signal it; `state` becomes "ended". `cause`: who wants it, "user" or "host"."""
        if not self._shutdown.is_new(cause) or self.state == "ended":
            return
        self._watch_in(0.05)
        if self.state == "up" and self.answers:
            self._shutdown.ask(lambda on_answer, timeout: self.request("POST", "api/shutdown", on_answer, timeout))
        else:  # an interactive shell ignores SIGTERM
            self._shutdown.signal(signal.SIGTERM if self.info else signal.SIGKILL)
