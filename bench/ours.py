"""farlab as a person runs it: a process, its `--json`, its exit status. Nothing of it is imported."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from host import HERE, Host


def take_copy(host: Host, commit: str | None) -> str:
    """Copy farlab's source as it is now, or as it was at `commit`; returns what to call it."""
    if commit is None:
        shutil.copytree(HERE.parent / "src", host.source, ignore=shutil.ignore_patterns("__pycache__"))
        return commit_of_now()
    host.source.mkdir()
    with subprocess.Popen(["git", "archive", commit, "src"], cwd=HERE.parent, stdout=subprocess.PIPE) as git:
        subprocess.run(["tar", "-x", "-C", str(host.work)], stdin=git.stdout, check=True)
    return _git("rev-parse", "--short", commit)


def commit_of_now() -> str:
    """What to call farlab's source as it is now."""
    return f"{_git('rev-parse', '--short', 'HEAD')}{' and changes' if _git('status', '--short', 'src') else ''}"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, cwd=HERE.parent, check=False).stdout.strip()


class FarlabError(RuntimeError):
    """farlab ended with another status than 0."""


class Farlab:
    """The command, with a home of its own and byte-compiled once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        compiled = host.work / "compiled"
        self.env = {**host.local_env(), "PYTHONPATH": str(host.source), "PYTHONPYCACHEPREFIX": str(compiled)}

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`farlab WORDS`, to its end."""
        argv = [sys.executable, "-m", "farlab", *words]
        where = {"env": self.env, "cwd": self.host.work}
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **where)
        if check and done.returncode:
            raise FarlabError(f"`farlab {' '.join(words)}` ended with {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def _verb(self, verb: str, alias: str, *words: str) -> dict[str, Any]:
        done = self.run(verb, alias, "--json", "-F", str(self.host.config), *words)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def connect(self, alias: str) -> dict[str, Any]:
        """`farlab connect`; its JSON."""
        return self._verb("connect", alias, "--no-browser")

    def status(self, alias: str) -> dict[str, Any]:
        """`farlab status`; its JSON."""
        return self._verb("status", alias)

    def disconnect(self, alias: str) -> None:
        """End the keeper."""
        self._verb("disconnect", alias)

    def terminate(self, alias: str) -> None:
        """End the session, and see that it left nothing behind."""
        self._verb("terminate", alias, "--yes")

    @contextlib.contextmanager
    def session(self, alias: str) -> Iterator[dict[str, Any]]:
        """A connected session for the time of a block."""
        answer = self.connect(alias)
        try:
            yield answer
        finally:
            self.terminate(alias)


def server_socket(pid: int) -> Path:
    """The Unix socket on which process `pid` answers HTTP: the one it listens on that answers."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):
            inodes.add(os.readlink(f"/proc/{pid}/fd/{name}"))
    for line in Path("/proc/net/unix").read_text().splitlines()[1:]:
        parts = line.split(maxsplit=7)
        if len(parts) == 8 and f"socket:[{parts[6]}]" in inodes and answers(Path(parts[7])):
            return Path(parts[7])
    raise LookupError(f"process {pid} answers on no Unix socket")


def answers(path: Path) -> bool:
    """Whether something speaks HTTP at this Unix socket."""
    with socket.socket(socket.AF_UNIX) as end:
        end.settimeout(5)
        try:
            end.connect(str(path))
            end.sendall(b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return end.recv(9) == b"HTTP/1.1 "
        except OSError:
            return False
