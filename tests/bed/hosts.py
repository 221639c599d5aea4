"""A host of the bed, and how to do things inside it without ssh."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import network, processes
from .base_image import SMALL_JUPYTER
from .users import USERS

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
CGROUPS = Path("/sys/fs/cgroup/unified" if Path("/sys/fs/cgroup/unified").is_dir() else "/sys/fs/cgroup")
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
ROOT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NOT_OURS = {"sshd", "systemd", "(sd-pam)", "dbus-daemon", "bindfs"}
"""What runs under a user's uid for the bed's own sake."""


class BedError(Exception):
    """The bed itself, not what is tested in it, does not work."""


_SLAMMED = """
import select, socket, time
door = socket.socket()
door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
while True:
    try:
        door.bind(("0.0.0.0", 22))
        break
    except OSError:
        time.sleep(0.01)
door.listen()
print("there", flush=True)
while not select.select([door, 0], [], [])[0].count(0):
    door.accept()[0].close()
"""
"""Somebody else on port 22, as soon as it is free, until the end of standard input."""


def wait_for(what: str, fact: Callable[[], Any], *, timeout: float = 10.0, pause: float = 0.01) -> Any:
    """Look until `fact()` is true, and return it; raise `BedError` when the deadline has passed.

    At most a third of the time is spent on looking, which may be a whole command: others wait for the same cores.
    """
    began = time.monotonic()
    deadline = began + timeout
    while not (value := fact()):
        now = time.monotonic()
        if now > deadline:
            raise BedError(f"waited {timeout:g} s in vain: {what}")
        time.sleep(max(pause, min(2 * (now - began), 1.0)))
        began = time.monotonic()
    return value


def remove_cgroup(top: Path) -> None:
    """Remove a cgroup whose processes have been killed, with all below it."""

    def is_removed() -> bool:
        for directory, _, _ in os.walk(top, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        return not top.exists()

    wait_for(f"removal of {top}", is_removed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the hosts of one bed have in common."""

    bed: str
    directory: Path
    lab: Path
    """The virtual environment that is the hosts' Jupyter."""
    lifeline: int
    """Read end of a pipe that ends when the process that made the bed has ended."""
    nfs_like: bool = False
    systemd: frozenset[str] = frozenset()

    def homes(self, host: str) -> Path:
        """login, node1 and node2 share /home, as a cluster does; bastion has its own."""
        return self.directory / ("bastion-home" if host == "bastion" else "home")


class Host:
    """One remote host: network, UTS, IPC, mount and PID namespaces of its own, sshd, users."""

    def __init__(self, site: Site, name: str) -> None:
        self.site = site
        self.name = name
        self.place = network.PLACES[name]
        self.directory = site.directory / "hosts" / name
        self.directory.mkdir(parents=True)
        self._outer: subprocess.Popen[bytes] | None = None
        self._init: processes.Process | None = None

    @property
    def ssh_alias(self) -> str:
        """What a laptop types after `ssh` (as alice); `PERSON@alias` and, for login, `PERSON` alone work too."""
        return self.name

    @property
    def namespace(self) -> str:
        return f"{self.site.bed}-{self.name}"

    @property
    def pid(self) -> int:
        """The machine's number of the host's PID 1."""
        if self._init is None:
            raise BedError(f"{self.name} is not up")
        return self._init.pid

    @property
    def is_up(self) -> bool:
        return self._init is not None and processes.is_alive(self._init.pid, self._init.started)

    def boot(self) -> None:
        """Power on, cables in, until sshd listens. The disk is what it was; `/tmp`, `/run` and the boot id are new."""
        self.start()
        self.wait_until_up()

    def start(self) -> None:
        """The first half of `boot`, so that several hosts can start at once."""
        if self.is_up:
            raise BedError(f"{self.name} is up already")
        network.plug(self.site.bed, self.name, connected=True)
        (self.directory / "boot_id").write_text(f"{uuid.uuid4()}\n")
        systemd = self.name in self.site.systemd
        unshare = ["unshare", "--uts", "--ipc", "--mount", "--pid", "--fork", "--kill-child"]
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}", *unshare, *(["--cgroup"] if systemd else [])]
        if systemd:  # a branch of the cgroup tree of its own
            self._cgroup.mkdir(exist_ok=True)
            enter = ["sh", "-c", f'echo $$ > {self._cgroup}/cgroup.procs && exec "$@"', "sh", *enter]
        with (self.directory / "boot.log").open("ab") as log:
            self._outer = subprocess.Popen(
                [*enter, "bash", str(HERE / "host-boot.sh")],
                stdin=self.site.lifeline,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._boot_environment(),
            )

    def _boot_environment(self) -> dict[str, str]:
        return {
            "PATH": ROOT_PATH,
            "NAME": self.name,
            "DIR": str(self.directory),
            "GOLDEN": str(self.site.directory / "base"),
            "LAB": str(self.site.lab),
            "HIDDEN": f"/root /mnt {REPOSITORY}",
            "NFS_LIKE": "yes" if self.site.nfs_like else "",
            "SYSTEMD": "yes" if self.name in self.site.systemd else "",
        }

    def wait_until_up(self) -> None:
        """The second half of `boot`."""
        self._init = wait_for(f"PID 1 of {self.name}", self._find_init)
        pid = self._init.pid
        wait_for(f"sshd of {self.name}", lambda: self._started() and "tcp 0.0.0.0:22" in processes.listening(pid))
        if self.name in self.site.systemd:
            wait_for("logind", lambda: self.path("/run/booted").exists(), timeout=30)

    def _started(self) -> bool:
        if self._outer is None or self._outer.poll() is not None:
            raise BedError(f"{self.name} did not boot:\n{(self.directory / 'boot.log').read_text()}")
        return True

    def _find_init(self) -> processes.Process | None:
        if not self._started() or self._outer is None:
            return None
        children = Path(f"/proc/{self._outer.pid}/task/{self._outer.pid}/children").read_text().split()
        return processes.find(int(children[0])) if children else None

    def crash(self) -> None:
        """Every process of the host ends at once. Its kernel lives on and closes its connections, as in a panic with
        reboot; `power_cut` does not even do that."""
        if self._init is None or self._outer is None:
            return
        init, outer, self._init, self._outer = self._init, self._outer, None, None
        processes.end(init.pid, init.started)
        outer.wait(10)
        wait_for(f"end of {self.name}", lambda: not processes.is_alive(init.pid, init.started))
        if self.name in self.site.systemd:
            remove_cgroup(self._cgroup)

    def power_cut(self) -> None:
        """`crash` without a last word on any wire. `boot` plugs the host in again."""
        network.plug(self.site.bed, self.name, connected=False)
        self.crash()

    @property
    def _cgroup(self) -> Path:
        return CGROUPS / self.namespace

    def path(self, inside: str) -> Path:
        """A path of the host (with all its mounts) as this machine's root can open it."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def home(self, user: str) -> Path:
        """The user's home, as this machine's root can open it, also while the host is down."""
        return self.site.homes(self.name) / Path(USERS[user].home_path).relative_to("/home")

    def command(self, user: str, argv: Sequence[str], env: dict[str, str] | None = None) -> list[str]:
        """The argv that runs `argv` inside the host as `user` (or root), in the home, without any login shell."""
        account = USERS.get(user)
        home = account.home_path if account else "/root"
        become = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if account else ["--clear-groups"]
        words = {
            "HOME": home,
            "USER": user,
            "LOGNAME": user,
            "TERM": "xterm",
            "LANG": "C.UTF-8",
            "SHELL": account.shell if account else "/bin/bash",
            "PATH": SYSTEM_PATH if account else ROOT_PATH,
            **(env or {}),
        }
        return [
            "nsenter",
            f"--target={self.pid}",
            "--mount",
            "--uts",
            "--ipc",
            "--net",
            "--pid",
            "--root",
            "--wd=/",
            "setpriv",
            *become,
            "env",
            "-i",
            "-C",
            home,
            *(f"{name}={value}" for name, value in words.items()),
            *argv,
        ]

    def run(
        self,
        user: str,
        argv: Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 30.0,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program inside the host without ssh, to its end."""
        return subprocess.run(
            self.command(user, argv, env),
            input=stdin,
            text=True,
            capture_output=True,
            timeout=timeout,
            errors="replace",
        )

    def popen(self, user: str, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a program inside the host; killing what this returns does not end the program itself."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(user, argv), **options)

    def processes(self, user: str | None = None) -> list[processes.Process]:
        """What users (or that one) run on the host, sshd's own processes left out. Numbers are the machine's."""
        if self._init is None:
            return []
        uids = {USERS[user].uid} if user else {account.uid for account in USERS.values()}
        return [
            process
            for process in processes.inside("pid", self._init.pids)
            if process.uid in uids and process.name not in NOT_OURS
        ]

    def left_over(self, user: str | None = None) -> list[processes.Process]:
        """What they still run when all that was ending has had a second to do so."""
        with contextlib.suppress(BedError):
            wait_for("nothing to be left", lambda: not self.processes(user), timeout=1)
        return self.processes(user)

    def listening(self) -> set[str]:
        """What is listened on, as `tcp 127.0.0.1:8888` or `unix /tmp/x`."""
        return processes.listening(self.pid)

    def ends_connections(self) -> None:
        """Reset every SSH connection the host has."""
        network.cut_connections(self.site.bed, self.name)

    def plug(self, *, connected: bool) -> None:
        """Pull the host's cables, or put them back."""
        network.plug(self.site.bed, self.name, connected=connected)

    @contextlib.contextmanager
    def hide(self, *programs: str) -> Iterator[None]:
        """Make the host a host without these programs, for a while: `with host.hide("tmux"):`, also `"python3*"`."""
        script = """set -e; mkdir -p -m 700 /var/hidden
            for name in "$@"; do for dir in /usr/local/bin /usr/bin /bin /usr/local/sbin /usr/sbin; do
                [ -L "$dir" ] || for file in "$dir"/$name; do if [ -e "$file" ] || [ -L "$file" ]; then
                    mv "$file" /var/hidden/; echo "$dir/${file##*/}"; fi; done
            done; done"""
        moved = self._must("sh", "-c", script, "sh", *programs).split()
        if not moved:
            raise BedError(f"nothing to hide on {self.name}: {programs}")
        try:
            yield
        finally:
            for path in moved:
                self._must("mv", f"/var/hidden/{Path(path).name}", path)

    @contextlib.contextmanager
    def small_jupyter(self) -> Iterator[None]:
        """Who runs `jupyter lab` here gets a small program that starts at once and has no kernels, for a while."""
        first = "/usr/local/bin/jupyter-lab"
        self._must("sh", "-c", f"ln -s {SMALL_JUPYTER}/bin/jupyter-lab {first}.small && mv {first} {first}.real")
        self._must("mv", f"{first}.small", first)
        try:
            yield
        finally:
            self._must("mv", f"{first}.real", first)

    @contextlib.contextmanager
    def full_home(self, user: str, *, free_kib: int = 0) -> Iterator[None]:
        """The user's home is a full file system of its own, for a while; `free_kib` are left."""
        account, size_kib = USERS[user], 1024
        options = f"size={size_kib}k,uid={account.uid},gid={account.uid},mode=700"
        self._must("mount", "-t", "tmpfs", "-o", options, "full", account.home_path)
        try:
            with self.path(f"{account.home_path}/filler").open("wb", buffering=0) as filler:
                with contextlib.suppress(OSError):
                    while filler.write(b"0" * 4096):
                        pass
                filler.truncate(filler.tell() - free_kib * 1024)
            yield
        finally:
            self._must("umount", "-l", account.home_path)

    @contextlib.contextmanager
    def other_host_key(self) -> Iterator[None]:
        """The host shows another key than the one in every `known_hosts`, for a while."""
        key = "/etc/ssh/ssh_host_ed25519_key"
        self._must("cp", "-p", key, f"{key}.pub", "/var")
        try:
            self._must("sh", "-c", f"rm {key} && ssh-keygen -q -t ed25519 -N '' -f {key}")
            self.restart_sshd()
            yield
        finally:
            self._must("sh", "-c", f"mv /var/ssh_host_ed25519_key* {Path(key).parent}")
            self.restart_sshd()

    @contextlib.contextmanager
    def without_logins(self) -> Iterator[None]:
        """Port 22 takes connections and closes them at once, as an overloaded `sshd` does; those that stand go on."""
        port = self.popen("root", ["python3", "-ISc", _SLAMMED], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.run("root", ["sh", "-c", "kill $(cat /run/sshd.pid)"])
        try:
            wait_for("the port", lambda: port.stdout and port.stdout.readline())
            yield
        finally:
            port.communicate(timeout=10)
            self.run("root", ["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
            wait_for("sshd", lambda: "tcp 0.0.0.0:22" in self.listening())

    def restart_sshd(self) -> None:
        """A new sshd with the configuration and keys of now. Connections that stand go on, as on any host."""
        old = int(self.path("/run/sshd.pid").read_text())
        self._must(
            "sh",
            "-c",
            f"kill {old}; while kill -0 {old} 2>/dev/null; do :; done; exec /usr/sbin/sshd -E /var/log/sshd.log",
        )
        wait_for("sshd", lambda: "tcp 0.0.0.0:22" in self.listening())

    def _must(self, *argv: str) -> str:
        ran = self.run("root", argv)
        if ran.returncode:
            raise BedError(f"{self.name}: {' '.join(argv)}: {ran.stderr}")
        return ran.stdout
