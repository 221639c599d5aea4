"""`farlab demo`: the main job against an SSH host inside this machine, for real, and nothing left of it.

This process is the laptop: it calls the API as `farlab connect` and `farlab terminate` do, with the person's own
`ssh`, and no change to `~/.ssh`. `demo_host` is the host, a process of its own.

Rule: every file and socket of both lies below one private directory, which is gone at the end, however that comes.
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
from ..errors import FarlabError, HostLacks, Internal, Interrupted, NoSession
from ..model import Connected, OnProgress, Progress, SessionOptions, State, Target
from ..transport.ssh import explain
from .host import HOST, MARK, sweep

_READY_TIMEOUT = 30.0
_END_TIMEOUT = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OpenBrowser = Callable[[str], str]
"""Opens an address; "" or why it could not."""


def run(*, seconds: float | None, open_browser: OpenBrowser | None, tell: OnProgress) -> None:
    """Do it all; returns when it is over. `seconds` None: Ctrl-C, SIGTERM or a hang-up ends it, and so does Jupyter."""
    _check()
    bell = _Bell()
    with bell.installed():
        try:
            with _host(bell, tell) as base:
                _show(base, bell, seconds, open_browser, tell)
        except _Over:
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


def _show(base: Path, bell: _Bell, seconds: float | None, open_browser: OpenBrowser | None, tell: OnProgress) -> None:
    """Connect, let the person play, terminate."""
    target = Target(host=HOST, ssh_config=str(base / "ssh_config"))
    _tell(tell, f"`{command(target, 'connect')}`")
    with _laptop(base), bell.heard(), _telling(target):
        connected = sessions.connect(target, SessionOptions(), tell=tell)
    try:
        with bell.heard():
            _announce(connected, seconds, tell)
            trouble = open_browser(connected.open_url) if open_browser else ""
            if trouble:
                _tell(tell, f"no browser was opened: {trouble}")
        with _laptop(base), bell.heard():
            _wait(seconds, bell)
    except _Over:
        pass
    finally:
        with suppress(OSError):  # the terminal may be gone
            _tell(tell, f"`{command(target, 'terminate')}`")
        with _laptop(base):
            ended = _terminate(target)
        with suppress(OSError):
            _tell(tell, ended)


def _terminate(target: Target) -> str:
    """End the session as anybody would. What that does not end is swept away later."""
    try:
        kernels = sessions.terminate(target).kernels
    except NoSession:
        return "the session had already ended"
    except FarlabError as error:
        return error.message
    return f"terminated ({kernels} kernel{'' if kernels == 1 else 's'})"


@contextmanager
def _telling(target: Target) -> Iterator[None]:
    """An error's hint would be about a host that is gone when it is read: tell now what the logs would have told."""
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


def _wait(seconds: float | None, bell: _Bell) -> None:
    """Until the time is over, or the person shut Jupyter down."""
    end = time.monotonic() + (seconds or float("inf"))
    while (left := end - time.monotonic()) > 0:
        if any(session.state is State.ENDED for session in sessions.sessions()):
            return
        time.sleep(min(1.0, left))
        bell.check()


def _tell(tell: OnProgress, text: str) -> None:
    tell(Progress(stage="demo", text=text))


@contextmanager
def _laptop(base: Path) -> Iterator[None]:
    """The API keeps its files below `base` for a while; the browser must not, it has its own in those places."""
    before = dict(os.environ)
    os.environ.update(
        {MARK: str(base), "XDG_STATE_HOME": f"{base}/laptop/state", "XDG_RUNTIME_DIR": f"{base}/laptop/run"}
    )
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class _Over(BaseException):
    """Somebody wants the demo to end."""


class _Bell:
    """Ctrl-C, SIGTERM and a hang-up: remembered, and raised only where that leaves nothing half-made."""

    def __init__(self) -> None:
        self._rung = self._is_heard = False

    @contextmanager
    def installed(self) -> Iterator[None]:
        wanted = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # `nohup`
        before = [(number, signal.signal(number, self._ring)) for number in wanted]
        try:
            yield
        finally:
            for number, old in before:
                signal.signal(number, old)

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Inside, the bell raises `_Over`."""
        self._is_heard = True
        try:
            self.check()
            yield
        finally:
            self._is_heard = False

    def check(self) -> None:
        """Raise it again: Python swallows what is raised while it frees an object."""
        if self._rung:
            raise _Over

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self._rung = True
        if self._is_heard:
            self._is_heard = False
            raise _Over


@contextmanager
def _host(bell: _Bell, tell: OnProgress) -> Iterator[Path]:
    """A host that stands; the directory where everything is. All of it is gone afterwards."""
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
                env={**os.environ, MARK: str(base)},
                start_new_session=True,
            )
        try:
            with bell.heard():
                port = _await_port(process, base)
                _tell(tell, f"started a throw-away SSH host on 127.0.0.1:{port}; its files are in `{base}`")
            yield base
        finally:
            _end(process)
    finally:
        left = sweep(base)
        shutil.rmtree(base, ignore_errors=True)
    if left or base.exists():
        raise Internal(f"could not remove everything: {base} {left}", hint="")


def _await_port(process: subprocess.Popen[bytes], base: Path) -> int:
    """The host's port, which it prints when it listens."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    has_said, _, _ = select.select([process.stdout], [], [], _READY_TIMEOUT)
    line = process.stdout.readline() if has_said else b""
    if not line.strip().isdigit():
        said = (base / "host.log").read_text("utf-8", "replace")
        raise Internal("the demo's SSH host did not start", detail=said, hint="")
    return int(line)


def _end(process: subprocess.Popen[bytes]) -> None:
    """The host ends when we let go of its standard input."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    assert process.stdout is not None  # noqa: S101 - it was asked for
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(_END_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
