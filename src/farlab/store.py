"""What this machine remembers of each session: one private JSON file, replaced whole. Never a token."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import paths
from .model import Target


def key_of(target: Target) -> str:
    """A short name for files and sockets that stands for this host, name and `ssh_config`."""
    plain = re.sub(r"[^a-z0-9]+", "-", target.host.lower()).strip("-")[:12]
    exact = "\0".join((target.host, target.name, target.ssh_config or ""))
    return f"{plain}-{hashlib.sha256(exact.encode()).hexdigest()[:10]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One session that was connected from here: the port it had, and whether it was alive when last seen."""

    host: str
    name: str
    ssh_config: str | None
    port: int
    is_known_alive: bool = False
    laptop: str = field(default_factory=lambda: os.urandom(8).hex())
    """Tells this machine from others that visit the session, through every keeper it ever had."""

    @property
    def target(self) -> Target:
        return Target(host=self.host, name=self.name, ssh_config=self.ssh_config)


def log_path(target: Target) -> Path:
    """The keeper's log."""
    return paths.state_directory() / f"{key_of(target)}.log"


def recall(target: Target) -> Memory | None:
    """What is remembered of `target`; None where nothing is, or the file cannot be read."""
    return _read(_path(target))


def recall_all() -> list[Memory]:
    """Every session remembered, by host and name."""
    found = [_read(path) for path in paths.state_directory().glob("*.json")]
    return sorted((memory for memory in found if memory), key=lambda memory: (memory.host, memory.name))


def remember(memory: Memory) -> None:
    """Write `memory`, whole or not at all."""
    path = _path(memory.target)
    paths.make_private(path.parent)
    new = path.with_suffix(".new")
    with open(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
        json.dump(asdict(memory), file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def forget(target: Target) -> None:
    """Remove all that is remembered of `target`, its keeper's log too."""
    for path in (_path(target), log_path(target)):
        path.unlink(missing_ok=True)
    paths.remove_if_empty(paths.state_directory())


def _path(target: Target) -> Path:
    return paths.state_directory() / f"{key_of(target)}.json"


def _read(path: Path) -> Memory | None:
    try:
        memory = Memory(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        return None
    is_whole = isinstance(memory.host, str) and isinstance(memory.name, str) and isinstance(memory.port, int)
    return memory if is_whole else None
