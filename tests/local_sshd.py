"""A throw-away sshd on loopback: its own keys, its own configuration, its own users. Ended by its pid.

Started by root it lives in a mount namespace with `/etc/passwd`, `/etc/shadow` and `/etc/pam.d/sshd` of its own, so
that it can have users with passwords and odd shells and nothing outside changes. Started by anybody else it serves
that user alone.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

USER_ID = 29871
PASSWORD = "pw of ada, 12"
_PASSWORD_HASH = "$6$farlabtests$dUBHt7imy7W/UItsHSDcTdVWsvTl9PodRP3vFNfQqI907uqVqMG6EaFpdaLyCaZAcJJMqO9zhMSGCpHgkEWU.1"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
MISSING = "" if SSHD and shutil.which("ssh") else "no sshd (package openssh-server) or no ssh"
NOT_ROOT = "" if os.geteuid() == 0 else "an sshd with users of its own needs root"


def no_terminal() -> str:
    """Why an sshd of ours cannot give a terminal, "" if it can: an ordinary user's may not give it the group `tty`."""
    ends = os.openpty()
    group = os.fstat(ends[1]).st_gid
    for end in ends:
        os.close(end)
    is_right = group == grp.getgrnam("tty").gr_gid
    return "" if is_right or not NOT_ROOT else "an ordinary user's sshd cannot give a terminal on this machine"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sshd:
    """One sshd and a client configuration in which it is called `far`."""

    def __init__(self, *, server: str = "", shell: str = "/bin/sh", pam: str = "") -> None:
        self.root = Path(tempfile.mkdtemp(prefix="farlab-sshd-", dir="/tmp"))
        self.root.chmod(0o755)
        self.port = free_port()
        self.user = pwd.getpwuid(os.geteuid()).pw_name if NOT_ROOT else "ada"
        self.home = self.root / "home"
        self.etc = self.root / "etc"
        self.log = self.root / "sshd.log"
        self.home.mkdir()
        for name in ("host_key", "id"):
            self.make_key(name)
        self._write_server(server, pam=pam)
        self._write_users(shell, pam)
        self.config = self.write_config()
        self.process = self._start()

    def make_key(self, name: str, passphrase: str = "") -> Path:
        path = self.root / name
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", str(path)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
        return path

    def authorize(self, *names: str) -> None:
        keys = "".join((self.root / f"{name}.pub").read_text() for name in names)
        (self.root / "authorized_keys").write_text(keys)

    def write_config(self, more: str = "", *, name: str = "config", known: bool = True, first: str = "") -> Path:
        """A client configuration; `first` wins over, `more` comes after what is ours. `known`: the host key is."""
        known_hosts = self.root / f"known_hosts-{name}"
        public = (self.root / "host_key.pub").read_text()
        known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}" if known else "")
        path = self.root / name
        path.write_text(
            f"{first}\nHost far\nHostname 127.0.0.1\nPort {self.port}\nUser {self.user}\nIdentityFile {self.root}/id\n"
            f"IdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile {known_hosts}\n"
            f"GlobalKnownHostsFile /dev/null\nUpdateHostKeys no\n{more}\n"
        )
        return path

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.root)

    def __enter__(self) -> Sshd:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _write_server(self, more: str, *, pam: str) -> None:
        self.authorize("id")
        (self.root / "sshd_config").write_text(
            f"{more}\nListenAddress 127.0.0.1:{self.port}\nHostKey {self.root}/host_key\n"
            f"AuthorizedKeysFile {self.root}/authorized_keys\nStrictModes no\nPidFile none\n"
            f"UsePAM {'yes' if pam else 'no'}\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        )

    def _write_users(self, shell: str, pam: str) -> None:
        if NOT_ROOT:
            return
        (self.etc / "pam.d").mkdir(parents=True)
        more = {
            "passwd": f"ada:x:{USER_ID}:{USER_ID}:Ada:{self.home}:{shell}\n",
            "group": f"ada:x:{USER_ID}:\n",
            "shadow": f"ada:{_PASSWORD_HASH}:19000:0:99999:7:::\n",
        }
        for name, line in more.items():
            path = self.etc / name
            path.write_text(Path("/etc", name).read_text().rstrip("\n") + "\n" + line)
            path.chmod(0o600 if name == "shadow" else 0o644)
        (self.etc / "pam.d" / "sshd").write_text(pam or "auth required pam_deny.so\n")
        os.chown(self.home, USER_ID, USER_ID)

    def _start(self) -> subprocess.Popen[bytes]:
        assert SSHD
        argv = [SSHD, "-D", "-e", "-f", str(self.root / "sshd_config")]
        if not NOT_ROOT:
            argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", self._namespace(argv)]
        with self.log.open("wb") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return process
            select_nothing()
        raise AssertionError(f"sshd did not start: {self.log.read_text()}")

    def _namespace(self, argv: list[str]) -> str:
        """Our files over those in /etc. Not bound one by one: such vanish when somebody replaces the original."""
        layers = f"lowerdir={self.etc}:/etc"
        lines = [f"mount -t overlay -o {shlex.quote(layers)} overlay /etc", "mount -t tmpfs none /run"]
        return " && ".join([*lines, "mkdir -m 755 /run/sshd", "exec " + shlex.join(argv)])


def select_nothing() -> None:
    """Yield for a hundredth of a second inside a loop that has a deadline."""
    import select

    select.select([], [], [], 0.01)


def run_ssh(
    argv: list[str],
    *,
    given: bytes = b"",
    environment: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[bytes]:
    """Run `ssh` without a controlling terminal, as the keeper does."""
    settings = dict(os.environ if environment is None else environment)
    return subprocess.run(
        argv, input=given, capture_output=True, env=settings, start_new_session=True, timeout=timeout, check=False
    )
