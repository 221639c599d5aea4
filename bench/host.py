"""A throw-away SSH host inside this machine: its sshd, its person, its delays. All of it is gone afterwards.

As root a person `farlab-bench-PID` is made and removed; otherwise one logs in as oneself, with another home. Only the
loopback is used. Every process that a login starts carries a mark in its environment, and by that mark what is left is
found and ended: nothing is ever ended by its name.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARK = "FARLAB_BENCH_MARK"
HERE_MARK = "FARLAB_BENCH_LAPTOP"
USER = "farlab-bench-"


@dataclass(slots=True)
class Host:
    """The host as the benches see it: aliases for `ssh -F config`, one for each delay and rate."""

    work: Path
    """Everything lies below it; removed at the end."""
    user: str
    home: Path
    lab: Path
    """The virtual environment with JupyterLab that is on the person's PATH."""
    port: int
    mark: str
    stack: contextlib.ExitStack
    noise: bool = False
    """Let a second `ssh -L` stand in for farlab: what then differs from 1.0 is noise."""
    aliases: dict[str, int] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.work / "ssh_config"

    @property
    def key(self) -> Path:
        return self.work / "key"

    @property
    def laptop(self) -> Path:
        """The local side's HOME."""
        return self.work / "laptop"

    @property
    def source(self) -> Path:
        """The farlab that is measured: a copy, so that nobody's editing disturbs a run."""
        return self.work / "src"

    def alias(self, rtt: float = 0, rate: float | None = None) -> str:
        """What to give `ssh` for this round trip (ms) and rate (Mbit/s). At 0 and no limit no proxy is in the way."""
        name = f"bench-{rtt:g}ms" + (f"-{rate:g}mbit" if rate else "")
        if name not in self.aliases:
            self.aliases[name] = self._proxy(rtt, rate) if rtt or rate else self.port
            self._write_config()
        return name

    def ssh(self, alias: str, *options: str, command: str | None = None) -> list[str]:
        """The argv of the person's `ssh`."""
        return ["ssh", "-F", str(self.config), *options, alias, *([command] if command is not None else [])]

    def local_env(self) -> dict[str, str]:
        """What the programs on the laptop get: a home of their own, nothing of ours."""
        keep = {name: os.environ[name] for name in ("PATH", "LANG", "TERM") if name in os.environ}
        return {**keep, "HOME": str(self.laptop), HERE_MARK: self.mark.partition("=")[2]}

    def strays(self) -> list[int]:
        """The processes that logins have left."""
        return _marked(self.mark)

    def sweep(self) -> None:
        """End every process a login has left: TERM, then KILL."""
        _end_marked(self.mark)

    def sweep_laptop(self) -> None:
        """The same for what the programs on the laptop have left: a keeper, when a bench was interrupted."""
        _end_marked(f"{HERE_MARK}={self.mark.partition('=')[2]}")

    def _proxy(self, rtt: float, rate: float | None) -> int:
        words = ["--to", str(self.port), "--rtt", str(rtt)] + (["--rate", str(rate)] if rate else [])
        return start_proxy(self.stack, words)

    def _write_config(self) -> None:
        blocks = [f"Host {name}\n  Port {port}\n" for name, port in self.aliases.items()]
        common = f"""Host *
  HostName 127.0.0.1
  User {self.user}
  HostKeyAlias bench
  IdentityFile {self.key}
  IdentitiesOnly yes
  UserKnownHostsFile {self.work}/known_hosts
  GlobalKnownHostsFile /dev/null
"""
        draft = self.work / "ssh_config.new"
        draft.write_text("".join(blocks) + common)
        draft.replace(self.config)


def start_proxy(stack: contextlib.ExitStack, words: list[str]) -> int:
    """A `proxy.py` that lives as long as the stack; its port."""
    argv = [sys.executable, str(HERE / "proxy.py"), *words]
    process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    stack.callback(process.terminate)
    assert process.stdout is not None
    return int(process.stdout.readline())


@contextlib.contextmanager
def standing() -> Iterator[Host]:
    """A host that stands, and is gone afterwards, whatever happened."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        work = Path(tempfile.mkdtemp(prefix="fb-"))
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        work.chmod(0o755)
        (work / "laptop").mkdir(mode=0o700)
        home = work / "home"
        user = _make_user(stack, home)
        given = os.environ.get("FARLAB_BENCH_LAB")
        lab = Path(given) if given else _make_lab(work / "lab", user)
        host = Host(work, user.pw_name, home, lab, _free_port(), f"{MARK}={secrets.token_hex(8)}", stack)
        _furnish(host, user)
        stack.callback(_leave, host, user.pw_uid)
        _start_sshd(host, stack)
        host.alias()
        yield host


def _make_user(stack: contextlib.ExitStack, home: Path) -> pwd.struct_passwd:
    home.mkdir(mode=0o700)
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for entry in pwd.getpwall():
        if entry.pw_name.startswith(USER) and not Path("/proc", entry.pw_name.removeprefix(USER)).exists():
            _run("userdel", entry.pw_name)
    name = f"{USER}{os.getpid()}"
    stack.callback(_run, "userdel", name)
    _run("useradd", "--no-create-home", "--home-dir", str(home), "--shell", "/bin/bash", "--password", "*", name)
    return pwd.getpwnam(name)


def _make_lab(place: Path, user: pwd.struct_passwd) -> Path:
    """An environment with a Python that the person may run, too: root's own may lie where nobody else can look."""
    print("making an environment with JupyterLab (FARLAB_BENCH_LAB=… uses one that is there)", file=sys.stderr)
    pythons = [os.path.realpath(sys.executable), "/usr/local/bin/python3", "/usr/bin/python3"]
    python = next(one for one in pythons if _may_run(one, user))
    _run(python, "-m", "venv", str(place))
    _run(str(place / "bin/pip"), "install", "--quiet", "jupyterlab", timeout=900)
    _run(str(place / "bin/python"), "-m", "compileall", "-q", str(place / "lib"), check=False, timeout=600)
    return place


def _may_run(python: str, user: pwd.struct_passwd) -> bool:
    try:
        done = subprocess.run([python, "-c", "import ensurepip"], user=user.pw_uid, cwd="/", check=False)
    except OSError:
        return False
    return done.returncode == 0


def _furnish(host: Host, user: pwd.struct_passwd) -> None:
    """Keys of both sides, and the person's rc files: `bash -l` reads `.profile`, which reads `.bashrc`, as usual."""
    for name in ("key", "host_key"):
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(host.work / name))
    (host.work / "authorized_keys").write_text((host.work / "key.pub").read_text())
    (host.work / "known_hosts").write_text("bench " + (host.work / "host_key.pub").read_text())
    (host.home / ".profile").write_text('if [ -n "$BASH_VERSION" ]; then . "$HOME/.bashrc"; fi\n')
    (host.home / ".bashrc").write_text(f'case $- in *i*) ;; *) return ;; esac\nexport PATH="{host.lab}/bin:$PATH"\n')
    for path in (host.home, *host.home.iterdir()):
        os.chown(path, user.pw_uid, user.pw_gid)


def _start_sshd(host: Host, stack: contextlib.ExitStack) -> None:
    if os.geteuid() == 0 and not Path("/run/sshd").exists():
        Path("/run/sshd").mkdir(mode=0o755)
    settings = [
        f"Port={host.port}", "ListenAddress=127.0.0.1", f"HostKey={host.work}/host_key", "PidFile=none", "UsePAM=no",
        f"AuthorizedKeysFile={host.work}/authorized_keys", "StrictModes=no", "PasswordAuthentication=no",
        "KbdInteractiveAuthentication=no", "PerSourceMaxStartups=none", "MaxStartups=100", "UseDNS=no",
        "Subsystem=sftp internal-sftp", "PrintMotd=no",
        f"SetEnv={host.mark} HOME={host.home}",
    ]  # fmt: skip
    argv = ["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *[word for line in settings for word in ("-o", line)]]
    log = stack.enter_context((host.work / "sshd.log").open("wb"))
    process = stack.enter_context(subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
    stack.callback(process.terminate)
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", host.port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"sshd did not come up: {(host.work / 'sshd.log').read_text()}")


def _leave(host: Host, uid: int) -> None:
    """End what logins have left, and remove the directories that programs make in /tmp for a user of their own."""
    host.sweep_laptop()
    host.sweep()
    if os.geteuid() == 0:
        for name in ("tmux", "farlab"):
            shutil.rmtree(f"/tmp/{name}-{uid}", ignore_errors=True)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _marked(mark: str) -> list[int]:
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and _has_mark(pid, mark)]


def _end_marked(mark: str) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        end = time.monotonic() + 5
        for pid in _marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
        while _marked(mark) and time.monotonic() < end:
            time.sleep(0.02)


def _has_mark(pid: int, mark: str) -> bool:
    try:
        return mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def _run(*argv: str, check: bool = True, timeout: float = 60) -> None:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise RuntimeError(f"`{' '.join(argv)}` failed: {done.stdout}{done.stderr}")
