"""`farlab demo`: the main job against an SSH host inside this machine, for real, and nothing left of it.

Two processes. This one is the laptop: it calls the API as `farlab connect` and `farlab terminate` do, with the
person's own `ssh`. The other (`python -m farlab.demo DIRECTORY`) is the host: an asyncssh server on the loopback
that lets in one throw-away key and runs login shells in a home of their own. No root, no sshd, no change to `~/.ssh`.

Rule: every file and socket lies below one private directory, and every process of the host's and the keeper's
carries that directory's name in its environment, so that both sides can find and end what is left: this one at its
end, the host when this one has gone without a word.
"""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import select
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Any

from . import api
from .errors import FarlabError, HostLacks, Internal, Interrupted, NoSession
from .model import Connected, Progress, State, Target, Wish
from .remote.server import login_shell
from .ssh import explain

MARK = "FARLAB_DEMO"
HOST = "demo"
_READY_TIMEOUT = 30.0
_END_TIMEOUT = 20.0
_PATIENCE = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

OpenBrowser = Callable[[str], str]
"""Opens an address; "" or why it could not."""


def run(*, seconds: float | None, open_browser: OpenBrowser | None, tell: api.Tell) -> None:
    """Do it all; returns when it is over. `seconds` None: Ctrl-C, SIGTERM or a hang-up ends it, and so does Jupyter."""
    _check()
    bell = _Bell()
    with bell.installed():
        try:
            with _host(bell, tell) as base:
                _show(base, bell, seconds, open_browser, tell)
        except _Over:
            raise Interrupted("interrupted; nothing was left") from None
    with suppress(OSError):
        _tell(tell, "nothing is left of it")


def _check() -> None:
    """What the demo needs on this machine."""
    missing = [name for name in ("asyncssh", "jupyterlab") if find_spec(name) is None]
    if missing:
        hint = "`pip install 'farlab[demo]'` in farlab's own environment; in a checkout, `scripts/demo` does it all"
        raise HostLacks(f"the demo needs {' and '.join(missing)} beside farlab", hint=hint)
    if shutil.which("ssh") is None:
        raise explain.no_program("ssh")


# the laptop's side ---------------------------------------------------------------------------------------


def _show(base: Path, bell: _Bell, seconds: float | None, open_browser: OpenBrowser | None, tell: api.Tell) -> None:
    """Connect, let the person play, terminate."""
    target = Target(host=HOST, ssh_config=str(base / "ssh_config"))
    _tell(tell, f"`farlab connect {HOST}`")
    with _laptop(base), bell.heard(), _telling(target):
        connected = api.connect(target, Wish(), tell=tell)
    try:
        with bell.heard():
            _announce(connected, seconds, tell)
            trouble = open_browser(connected.open_url) if open_browser else ""
            if trouble:
                _tell(tell, f"no browser was opened: {trouble}")
        with _laptop(base), bell.heard():
            _wait(seconds)
    except _Over:
        pass
    finally:
        with suppress(OSError):  # the terminal may be gone
            _tell(tell, f"`farlab terminate {HOST}`")
        with _laptop(base):
            ended = _terminate(target)
        with suppress(OSError):
            _tell(tell, ended)


def _terminate(target: Target) -> str:
    """End the session as anybody would. What that does not end is swept away later."""
    try:
        kernels = api.terminate(target).kernels
    except NoSession:
        return "it had ended already"
    except FarlabError as error:
        return error.message
    return f"it ended, with {kernels} kernel{'' if kernels == 1 else 's'}"


@contextmanager
def _telling(target: Target) -> Iterator[None]:
    """An error's hint would be about a host that is gone when it is read: tell now what the logs would have told."""
    try:
        yield
    except FarlabError as error:
        error.hint = ""
        with suppress(FarlabError):
            error.detail = error.detail or "\n".join(api.logs(target, keeper=True, lines=20))
        raise


def _announce(connected: Connected, seconds: float | None, tell: api.Tell) -> None:
    took = connected.seconds.get("total", 0.0)
    for note in connected.notes:
        _tell(tell, f"note: {note}")
    _tell(tell, f"{connected.server} on `{connected.host}`, started in {took:.1f} s")
    _tell(tell, "")
    _tell(tell, f"  {connected.url}")
    _tell(tell, "")
    _tell(tell, f"it ends by itself after {seconds:g} s, or with Ctrl-C" if seconds else "Ctrl-C ends it")


def _wait(seconds: float | None) -> None:
    """Until the time is over, or the person shut Jupyter down."""
    end = time.monotonic() + (seconds or float("inf"))
    while (left := end - time.monotonic()) > 0:
        if any(session.state is State.ENDED for session in api.sessions()):
            return
        time.sleep(min(1.0, left))


def _tell(tell: api.Tell, text: str) -> None:
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
            if self._rung:
                raise _Over
            yield
        finally:
            self._is_heard = False

    def _ring(self, number: int, frame: FrameType | None) -> None:
        self._rung = True
        if self._is_heard:
            self._is_heard = False
            raise _Over


@contextmanager
def _host(bell: _Bell, tell: api.Tell) -> Iterator[Path]:
    """A host that stands; the directory where everything is. All of it is gone afterwards."""
    base = Path(tempfile.mkdtemp(prefix="farlab-demo-", dir="/tmp"))  # short: sockets lie below it
    try:
        for name in ("home", "r", "laptop", "laptop/run"):
            (base / name).mkdir(mode=0o700)
        with (base / "host.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", __spec__.name, str(base)],
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
                _tell(tell, f"an SSH host of its own on 127.0.0.1:{port}, all of it in `{base}`")
            yield base
        finally:
            _end(process)
    finally:
        left = _sweep(base)
        shutil.rmtree(base, ignore_errors=True)
    if left or base.exists():
        raise Internal(f"something of the demo is left: {base} {left}", hint="")


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


# both sides ----------------------------------------------------------------------------------------------


def _sweep(base: Path) -> list[int]:
    """End every process that carries the mark of this demo: TERM, then KILL. Returns those that are left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _marked(base):
            with suppress(OSError):
                os.kill(pid, number)
        end = time.monotonic() + _PATIENCE
        while _marked(base) and time.monotonic() < end:
            time.sleep(0.02)
    return _marked(base)


def _marked(base: Path) -> list[int]:
    """Our processes but this one that were started with the mark; none where there is no `/proc` to tell."""
    mark = f"{MARK}={base}".encode()
    return [
        pid
        for pid in map(int, filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()))
        if pid != os.getpid() and _is_marked(pid, mark)
    ]


def _is_marked(pid: int, mark: bytes) -> bool:
    try:
        is_ours = os.stat(f"/proc/{pid}").st_uid == os.getuid()
        return is_ours and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


# the host's side -----------------------------------------------------------------------------------------


async def _be_host(base: Path) -> None:
    """Serve until standard input ends."""
    import asyncssh

    key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = await asyncssh.create_server(
        asyncssh.SSHServer,
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
        process_factory=functools.partial(_log_in, base),
        encoding=None,
        gss_host=None,
        allow_pty=False,
        x11_forwarding=False,
        agent_forwarding=False,
    )
    _furnish_home(base / "home")
    _furnish_laptop(base, server.get_port(), key.export_private_key(), host_key.export_public_key())
    print(server.get_port(), flush=True)  # noqa: T201 - for the process that started this one
    over = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, over.set)
    await over.wait()
    server.close()


async def _log_in(base: Path, process: Any) -> None:
    """One command in the login shell, as `sshd` runs it: the shell's output ends it, not the shell."""
    import asyncssh

    env = _home_environment(base)
    shell: str = login_shell(env)  # type: ignore[no-untyped-call]  # Python 3.6, see pyproject.toml
    child = subprocess.Popen(
        [shell, "-c", process.command or "true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=base / "home",
        env={**env, "SHELL": shell},
        start_new_session=True,
    )
    with suppress(OSError, asyncssh.Error):
        await process.redirect(child.stdin, child.stdout, child.stderr, send_eof=False)
        await process.stdout.drain()
        await process.stderr.drain()
    while child.poll() is None:
        await asyncio.sleep(0.02)
    process.exit(child.returncode if child.returncode >= 0 else 255)


def _home_environment(base: Path) -> dict[str, str]:
    """What a login finds: nothing of the person's own but PATH and language."""
    kept = {name: word for name, word in os.environ.items() if name in ("LANG", "TZ") or name.startswith("LC_")}
    ours = {"HOME": f"{base}/home", "XDG_RUNTIME_DIR": f"{base}/r", "TMUX_TMPDIR": f"{base}/r", MARK: str(base)}
    return {**kept, **ours, "USER": _user(), "LOGNAME": _user(), "PATH": os.pathsep.join(_path())}


def _path() -> list[str]:
    """Where the host's programs are: Jupyter beside this very Python, before everything else."""
    return [sysconfig.get_path("scripts"), *os.environ.get("PATH", os.defpath).split(os.pathsep)]


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return HOST


def _furnish_home(home: Path) -> None:
    """Start-up files for every shell, since the system's own may set PATH anew; and Jupyter's, for root."""
    path = shlex.quote(os.pathsep.join(_path()))
    for name in (".profile", ".bashrc", ".zshrc", ".kshrc"):
        (home / name).write_text(f"PATH={path}\nexport PATH\n")
    (home / ".cshrc").write_text(f"setenv PATH {path}\n")
    (home / ".config/fish").mkdir(parents=True)
    (home / ".config/fish/config.fish").write_text(f"set -gx PATH {shlex.join(_path())}\n")
    if os.geteuid() == 0:
        (home / ".jupyter").mkdir()
        (home / ".jupyter/jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}\n')


def _furnish_laptop(base: Path, port: int, key: bytes, host_key: bytes) -> None:
    """The person's side of the keys: an `ssh_config` that knows this host and no other."""
    (base / "key").touch(mode=0o600)
    (base / "key").write_bytes(key)
    (base / "known_hosts").write_bytes(f"{HOST} ".encode() + host_key)
    words = {
        "HostName": "127.0.0.1",
        "Port": port,
        "User": HOST,
        "HostKeyAlias": HOST,
        "IdentityFile": base / "key",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": base / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
    }
    lines = [f"Host {HOST}", *(f"  {keyword} {word}" for keyword, word in words.items())]
    (base / "ssh_config").write_text("\n".join(lines) + "\n")


def main(base: Path) -> None:
    """Be the host, and its janitor: what the laptop did not live to remove goes with it."""
    os.umask(0o077)
    try:
        asyncio.run(_be_host(base))
    finally:
        _sweep(base)
        shutil.rmtree(base, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
