"""A laptop: an ordinary user's home, keys and directories, in the laptop's network namespace.

Its paths are the same inside and outside; its processes have the machine's own numbers. Only its `/tmp` and its
`/etc/passwd` are its own, so `laptop.tmp` is where its `/tmp` lies.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pexpect

from . import base_image, network, processes
from .hosts import HERE, REPOSITORY, ROOT_PATH, BedError, Site, wait_for
from .resident import Resident
from .users import USERS

UID, EVE_UID = 2500, 2501
OPENERS = {"browser": "opened", "xclip": "copied"}
"""Stub programs, and where they write what they were given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program on a laptop ended."""

    argv: tuple[str, ...]
    code: int
    out: str
    err: str
    seconds: float

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it should be."""
        try:
            return json.loads(self.out)
        except ValueError:
            raise AssertionError(f"not one JSON document:\n{self}") from None

    def __str__(self) -> str:
        return f"{' '.join(self.argv)} → {self.code} in {self.seconds:.2f} s\n--- out\n{self.out}\n--- err\n{self.err}"


class Laptop:
    """One user's laptop. All laptops of a bed share an address, as windows of one machine do, and nothing else."""

    def __init__(self, site: Site, number: int, resident: Callable[[], Resident], *, knows_hosts: bool = True) -> None:
        self.site = site
        self._resident = resident
        self.directory = site.directory / "laptops" / str(number)
        self.home = self.directory / "home"
        self.runtime = self.directory / "run"
        self.tmp = self.directory / "tmp"
        self.extra_env: dict[str, str] = {}
        """Added to the environment of everything started from now on."""
        closed, needed = unreadable([Path(sys.base_prefix), Path(sys.prefix), REPOSITORY])
        self._make_directories(knows_hosts=knows_hosts)
        environment = {
            "PATH": ROOT_PATH,
            "DIR": str(self.directory),
            "CLOSED": " ".join(map(str, closed)),
            "NEEDED": " ".join(map(str, needed)),
        }
        with (self.directory / "boot.log").open("wb") as log:
            self._holder = subprocess.Popen(
                [
                    "nsenter",
                    f"--net=/run/netns/{site.bed}-laptop",
                    "unshare",
                    "--mount",
                    "sh",
                    str(HERE / "laptop-boot.sh"),
                ],
                stdin=site.lifeline,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        wait_for(f"laptop {number}: see {self.directory}/boot.log", self._is_ready)

    def _is_ready(self) -> bool:
        if self._holder.poll() is not None:
            raise BedError((self.directory / "boot.log").read_text())
        return (self.directory / "ready").exists()

    def _make_directories(self, *, knows_hosts: bool) -> None:
        ssh = self.home / ".ssh"
        for directory in (ssh, self.runtime, self.home / ".local/state", self.home / ".config", self.home / ".cache"):
            directory.mkdir(parents=True, mode=0o700)
        shutil.copyfile(self.site.directory / "ssh_config", ssh / "config")
        for key in ("id_ed25519", "kim_ed25519"):
            for name in (key, f"{key}.pub"):
                shutil.copy2(self.site.directory / "keys" / name, ssh / name)
        if knows_hosts:
            shutil.copyfile(self.site.directory / "known_hosts", ssh / "known_hosts")
        self._make_stubs()
        for directory, directories, files in os.walk(self.directory):
            for entry in (".", *directories, *files):
                os.chown(os.path.join(directory, entry), UID, UID)
        self.home.chmod(0o700)
        self.tmp.mkdir()
        self.tmp.chmod(0o1777)
        self._make_etc()

    def _make_stubs(self) -> None:
        (self.directory / "bin").mkdir()
        for name, written in OPENERS.items():
            program = self.directory / "bin" / name
            words = "cat; echo" if name == "xclip" else 'printf "%s\\n" "$*"'
            program.write_text(f"#!/bin/sh\n({words}) >> {self.directory}/{written}\n")
            program.chmod(0o755)

    def _make_etc(self) -> None:
        etc = self.directory / "etc"
        etc.mkdir()
        users = {"lap": (UID, self.home), "eve": (EVE_UID, Path("/tmp"))}
        passwd = [f"{name}:x:{uid}:{uid}::{home}:/bin/bash" for name, (uid, home) in users.items()]
        group = [f"{name}:x:{uid}:" for name, (uid, _) in users.items()]
        (etc / "passwd").write_text("\n".join([*base_image.system_lines("passwd"), *passwd]) + "\n")
        (etc / "group").write_text("\n".join([*base_image.system_lines("group"), *group]) + "\n")
        (etc / "hosts").write_text(hosts_file(from_laptop=True))
        (etc / "resolv.conf").write_text("")

    @cached_property
    def env(self) -> dict[str, str]:
        """The user's environment, the same for everything they start; change it before the first start."""
        return {
            "HOME": str(self.home), "USER": "lap", "LOGNAME": "lap", "SHELL": "/bin/bash", "LANG": "C.UTF-8",
            "TERM": "xterm-256color", "BROWSER": f"{self.directory}/bin/browser",
            "PATH": f"{self.directory}/bin:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self.runtime), "XDG_STATE_HOME": f"{self.home}/.local/state",
            "XDG_CONFIG_HOME": f"{self.home}/.config", "XDG_CACHE_HOME": f"{self.home}/.cache",
            **{name: os.environ[name] for name in ("FARLAB_TEST",) if name in os.environ},
        }  # fmt: skip

    def command(self, argv: Sequence[str], env: dict[str, str] | None = None, *, user: str = "lap") -> list[str]:
        """The argv that runs `argv` on the laptop as its user (or `eve`, or `root`), in their home."""
        uid = {"lap": UID, "eve": EVE_UID, "root": 0}[user]
        words = {**self.env, **self.extra_env, **(env or {})}
        home = str(self.home)
        if user != "lap":
            home = "/tmp"
            words = {"PATH": self.env["PATH"], "HOME": home, "USER": user, "LANG": "C.UTF-8", **(env or {})}
        return [
            "nsenter",
            f"--target={self._holder.pid}",
            "--mount",
            "--net",
            "setpriv",
            f"--reuid={uid}",
            f"--regid={uid}",
            "--clear-groups",
            "env",
            "-i",
            "-C",
            home,
            *(f"{name}={value}" for name, value in words.items()),
            *argv,
        ]

    def run(
        self,
        *argv: str,
        stdin: str = "",
        timeout: float = 60.0,
        env: dict[str, str] | None = None,
        user: str = "lap",
    ) -> Ran:
        """Run a program to its end. `stdin` is what it reads."""
        started = time.monotonic()
        ran = subprocess.run(
            self.command(argv, env, user=user),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            input=stdin,
            start_new_session=True,  # without the terminal that the tests may have been started on
        )
        return Ran(argv=argv, code=ran.returncode, out=ran.stdout, err=ran.stderr, seconds=time.monotonic() - started)

    def farlab(self, *words: str, timeout: float = 60.0, env: dict[str, str] | None = None, tty: bool = False) -> Ran:
        """Run `farlab WORDS…` to its end; with `tty` on a terminal of its own (then all it prints is in `out`)."""
        if not tty:
            return self.run(*self.farlab_argv(*words), timeout=timeout, env=env)
        started = time.monotonic()
        terminal = self.spawn(*self.farlab_argv(*words), timeout=timeout, env=env)
        terminal.expect(pexpect.EOF)
        terminal.close()
        code = terminal.exitstatus if terminal.signalstatus is None else -terminal.signalstatus
        return Ran(argv=words, code=code, out=terminal.before, err="", seconds=time.monotonic() - started)

    def ask(self, *words: str, timeout: float = 60.0) -> Ran:
        """`farlab WORDS…` in a fork of a Python that has imported it: for looking again and again."""
        started = time.monotonic()
        env = {**self.env, **self.extra_env}
        code, out, err = self._resident().run(list(words), inside=self.holder, uid=UID, env=env, timeout=timeout)
        return Ran(argv=("farlab", *words), code=code, out=out, err=err, seconds=time.monotonic() - started)

    def farlab_argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "farlab", *words]

    def ssh(self, *words: str, timeout: float = 60.0) -> Ran:
        """Run the user's own `ssh WORDS…`."""
        return self.run("ssh", "-o", "BatchMode=yes", *words, timeout=timeout)

    def popen(self, *argv: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program; what this returns is that very process."""
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.Popen(self.command(argv, env), **options)

    def spawn(
        self, *argv: str, timeout: float = 30.0, env: dict[str, str] | None = None, **options: Any
    ) -> pexpect.spawn:
        """Start a program on a terminal of its own; `timeout` is for each `expect`."""
        whole = self.command(argv, env)
        return pexpect.spawn(whole[0], whole[1:], timeout=timeout, encoding="utf-8", dimensions=(40, 132), **options)

    def spawn_farlab(self, *words: str, timeout: float = 30.0, **options: Any) -> pexpect.spawn:
        """Start `farlab WORDS…` on a terminal of its own, for a conversation."""
        return self.spawn(*self.farlab_argv(*words), timeout=timeout, **options)

    def written_by(self, stub: str) -> list[str]:
        """What the stub programs were given: `browser` (addresses opened), `xclip` (texts copied)."""
        path = self.directory / OPENERS[stub]
        return path.read_text().splitlines() if path.exists() else []

    @property
    def opened(self) -> list[str]:
        """Addresses the browser was asked to open, in order."""
        return self.written_by("browser")

    def write_stub(self, name: str, script: str) -> Path:
        """Put a program of that name first on the laptop's PATH (`ssh`, `tmux` …)."""
        program = self.directory / "bin" / name
        program.write_text(script)
        program.chmod(0o755)
        return program

    def processes(self) -> list[processes.Process]:
        """Everything that runs on any laptop of the bed."""
        net = processes.namespace(self._holder.pid, "net")
        return [process for process in processes.inside("net", net) if process.pid != self._holder.pid]

    @property
    def holder(self) -> int:
        """Number of the process that holds the laptop's mount namespace."""
        return self._holder.pid

    def remove(self) -> None:
        """Remove the laptop with its home. What still runs on it is not ended here."""
        self._holder.kill()
        self._holder.wait()
        shutil.rmtree(self.directory)


def unreadable(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Which directories of this machine an ordinary user may not enter on the way to `paths`; which paths lie there.

    A path in `/tmp` is needed too, since the laptop has a `/tmp` of its own.
    """
    closed, needed = [], []
    for path in dict.fromkeys(path.resolve() for path in paths):
        barred = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
        if barred or Path("/tmp") in path.parents:
            needed.append(path)
        if barred:
            closed += [barred[0]] if barred[0] not in closed else []
    return closed, needed


def hosts_file(*, from_laptop: bool) -> str:
    """/etc/hosts: on the laptop a name is the WAN address, among the hosts first the LAN one."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost"]
    for name, place in network.PLACES.items():
        if not from_laptop:
            lines.append(f"{place.lan} {name}")
        if place.on_wan:
            lines.append(f"{place.wan} {name}")
    return "\n".join(lines) + "\n"


def ssh_config() -> str:
    """Every host by name (as alice), every user by name (on login), and `login6`, `login2222`."""
    blocks = [
        "Host login6\n  HostName fd80::11\n  HostKeyAlias login",
        "Host login2222\n  HostName login\n  Port 2222\n  HostKeyAlias login",
        "Host node1 node2\n  ProxyJump bastion",
    ]
    blocks += [f"Host {name}\n  HostName login\n  User {name}" for name in USERS]
    blocks += ["Match user kim\n  IdentityFile ~/.ssh/kim_ed25519\n  IdentitiesOnly yes"]
    blocks += ["Host *\n  User alice\n  GSSAPIAuthentication no"]
    return "\n".join(blocks) + "\n"
