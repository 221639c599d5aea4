"""`farlab demo`: connects to an SSH server on this machine, for real, and removes everything afterwards.

This process is the laptop: it calls the API as `farlab connect` and `farlab terminate` do, with the user's own `ssh`,
and does not change `~/.ssh`. `demo.host` is the host, a process of its own.

Rule: every file and socket of both lies below one private directory, which is removed at the end, however that comes.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

from ..advice import command
from ..client import sessions
from ..errors import FarlabError, HostLacks, Internal, Interrupted
from ..model import Connected, OnProgress, Progress, SessionOptions, State, Target
from ..transport.ssh import explain
from .host import DEMO_VARIABLE, HOST, kill_processes

_READY_TIMEOUT = 30.0
_END_TIMEOUT = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OpenBrowser = Callable[[str], str]
"""Opens an address; "" or why it could not."""


def run(*, seconds: float | None, open_browser: OpenBrowser | None, tell: OnProgress) -> None:
    """Run the demo to its end. `seconds` None: until Ctrl-C, SIGTERM, a hang-up, or the user shuts Jupyter down."""
    _check()
    stop = _StopSignal()
    with stop.handled():
        try:
            with _host(stop, tell) as base:
                _run_session(base, stop, seconds, open_browser, tell)
        except _DemoStopped:
            raise Interrupted("interrupted; everything was removed") from None
    with suppress(OSError):
        _tell(tell, "the demo has ended and removed everything")


def _check() -> None:
    """What the demo needs on this machine."""
    missing = [name for name in ("asyncssh", "jupyterlab") if find_spec(name) is None]
    if missing:
        hint = "`pip install 'farlab[demo]'` installs them; in a checkout, `scripts/demo` does that too"
        raise HostLacks(f"the demo needs {' and '.join(missing)}", hint=hint)
    if shutil.which("ssh") is None:
        raise explain.no_program("ssh")


def _run_session(
    base: Path, stop: _StopSignal, seconds: float | None, open_browser: OpenBrowser | None, tell: OnProgress
) -> None:
    """Connect, wait until the user has seen enough, terminate."""
    target = Target(host=HOST, ssh_config=str(base / "ssh_config"))
    _tell(tell, f"`{command(target, 'connect')}`")
    with _laptop(base), stop.raised(), _log_in_errors(target):
        connected = sessions.connect(target, SessionOptions(), tell=tell)
    try:
        with stop.raised():
            _announce(connected, seconds, tell)
            trouble = open_browser(connected.open_url) if open_browser else ""
            if trouble:
                _tell(tell, f"no browser was opened: {trouble}")
        with _laptop(base), stop.raised():
            _wait(seconds, stop)
    except _DemoStopped:
        pass
    finally:
        with suppress(OSError):  # the terminal may be gone
            _tell(tell, f"`{command(target, 'terminate')}`")
        with _laptop(base):
            ended = _terminate(target)
        with suppress(OSError):
            _tell(tell, ended)


def _terminate(target: Target) -> str:
    """Terminate the session as `farlab terminate` does; returns what to tell. `kill_processes` ends what is left."""
    try:
        ended = sessions.terminate(target)
    except FarlabError as error:
        return error.message
    if not ended.was_running:
        return "the session had already ended"
    return f"terminated ({ended.kernels} kernel{'' if ended.kernels == 1 else 's'})"


@contextmanager
def _log_in_errors(target: Target) -> Iterator[None]:
    """An error carries the keeper's log: when it is read, the host that its hint is about has been removed."""
    try:
        yield
    except FarlabError as error:
        error.rephrase(hint="")
        with suppress(FarlabError):
            error.rephrase(detail=error.detail or "\n".join(sessions.logs(target, keeper=True, lines=20)))
        raise


def _announce(connected: Connected, seconds: float | None, tell: OnProgress) -> None:
    took = connected.seconds.get("total", 0.0)
    for note in connected.notes:
        _tell(tell, f"note: {note}")
    _tell(tell, f"{connected.server} on `{connected.host}`, started in {took:.1f} s")
    _tell(tell, "")
    _tell(tell, f"  {connected.url}")
    _tell(tell, "")
    _tell(tell, f"the demo stops after {seconds:g} s, or with Ctrl-C" if seconds else "Ctrl-C stops the demo")


def _wait(seconds: float | None, stop: _StopSignal) -> None:
    """Wait until the time is over, or the user has shut Jupyter down."""
    end = time.monotonic() + (seconds or float("inf"))
    while (left := end - time.monotonic()) > 0:
        if any(session.state is State.ENDED for session in sessions.sessions()):
            return
        time.sleep(min(1.0, left))
        stop.check()


def _tell(tell: OnProgress, text: str) -> None:
    tell(Progress(stage="demo", text=text))


@contextmanager
def _laptop(base: Path) -> Iterator[None]:
    """Inside, the API keeps its files below `base`. A browser must not be started there: it has its own places."""
    before = dict(os.environ)
    os.environ.update(
        {
            DEMO_VARIABLE: str(base),
            "XDG_STATE_HOME": f"{base}/laptop/state",
            "XDG_RUNTIME_DIR": f"{base}/laptop/run",
        }
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _DemoStopped(BaseException):
    """The user wants the demo to end."""


class _StopSignal:
    """Remembers Ctrl-C, SIGTERM or a hang-up, and raises it only where that leaves nothing half-made."""

    def __init__(self) -> None:
        self._has_come = self._may_raise = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Inside, the signals come here."""
        wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # `nohup`
        before = [(number, signal.signal(number, self._on_signal)) for number in wanted]
        try:
            yield
        finally:
            for number, old in before:
                signal.signal(number, old)

    @contextmanager
    def raised(self) -> Iterator[None]:
        """Inside, a signal raises `_DemoStopped`."""
        self._may_raise = True
        try:
            self.check()
            yield
        finally:
            self._may_raise = False

    def check(self) -> None:
        """Raise it again: Python swallows what is raised while it frees an object."""
        if self._has_come:
            raise _DemoStopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._has_come = True
        if self._may_raise:
            self._may_raise = False
            raise _DemoStopped


@contextmanager
def _host(stop: _StopSignal, tell: OnProgress) -> Iterator[Path]:
    """A running host, and the directory of the demo, which is removed afterwards."""
    base = Path(tempfile.mkdtemp(prefix="farlab-demo-", dir="/tmp"))  # short: sockets lie below it
    try:
        for name in ("home", "r", "laptop", "laptop/run"):
            (base / name).mkdir(mode=0o700)
        with (base / "host.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "farlab.demo.host", str(base)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env={**os.environ, DEMO_VARIABLE: str(base)},
                start_new_session=True,
            )
        try:
            with stop.raised():
                port = _await_port(process, base)
                _tell(tell, f"started a throw-away SSH host on 127.0.0.1:{port}; its files are in `{base}`")
            yield base
        finally:
            _end(process)
    finally:
        left = kill_processes(base)
        shutil.rmtree(base, ignore_errors=True)
    if left or base.exists():
        raise Internal(f"could not remove everything: {base} {left}", hint="")


def _await_port(process: subprocess.Popen[bytes], base: Path) -> int:
    """Wait until the host prints its port."""
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    is_ready, _, _ = select.select([process.stdout], [], [], _READY_TIMEOUT)
    line = process.stdout.readline() if is_ready else b""
    if not line.strip().isdigit():
        output = (base / "host.log").read_text("utf-8", "replace")
        raise Internal("the demo's SSH host did not start", detail=output, hint="")
    return int(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the host by closing its standard input."""
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    assert process.stdout is not None  # noqa: S101 - it is a pipe
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
