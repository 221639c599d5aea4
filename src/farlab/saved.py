"""The sessions that this machine knows: one private JSON file for each, replaced as a whole. Never a token."""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import paths
from .errors import FarlabError
from .model import NAME, Target
from .protocol import json_lines
from .protocol.records import InvalidMessage
from .protocol.saved import SavedSession as SavedRecord

_MAX_BYTES = 64 << 10
"""More than a file of ours ever has."""


def key_of(target: Target) -> str:
    """A short name for the files and sockets of this host, name and `ssh_config`."""
    plain = re.sub(r"[^a-z0-9]+", "-", target.host.lower()).strip("-")[:12]
    exact = "\0".join((target.host, target.name, target.ssh_config or ""))
    mark = hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()[:10]  # a file has any bytes for a name
    return f"{plain}-{mark}"


def usual_ports(target: Target) -> tuple[int, ...]:
    """The local ports of this session, best first: the same whenever it is started, so that bookmarks go on working.

    Below those that systems give to anybody (from 32768 on Linux, from 49152 elsewhere).
    """
    exact = "\0".join((str(os.getuid()), target.host, target.name, target.ssh_config or ""))
    mark = hashlib.sha256(exact.encode("utf-8", "surrogatepass")).digest()
    return tuple(20000 + int.from_bytes(mark[at : at + 2], "big") % 12000 for at in range(0, 16, 2))


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSession:
    """One session that was connected from here: the port it had, and whether it was alive when last seen."""

    host: str
    name: str
    ssh_config: str | None = None
    port: int
    is_known_alive: bool = False
    laptop: str = field(default_factory=lambda: os.urandom(8).hex())
    """Distinguishes this machine from others that connect to the session, through all its keepers."""
    node: str = ""
    """Where it runs: machines may share a home."""
    directory: str = ""
    """The server's, as the host names it."""
    app: str = ""
    base_url: str = ""
    connected_in: str = ""
    """The boot of a machine (`boot.this_boot`) in which a keeper had it that no user has disconnected; else empty."""

    @property
    def target(self) -> Target:
        return Target(host=self.host, name=self.name, ssh_config=self.ssh_config)


def log_path(target: Target) -> Path:
    """The keeper's log."""
    return paths.state_directory() / f"{key_of(target)}.log"


def load(target: Target) -> SavedSession | None:
    """The saved session; None if there is none, or its file cannot be read."""
    return _read(_path(target))


def load_all(*, must_read: bool = False) -> list[SavedSession]:
    """All saved sessions, by host and name. With `must_read` it raises Internal if the directory cannot be read."""
    directory, names = paths.state_directory(), list[str]()
    try:
        with paths.translate_read_errors(directory), suppress(FileNotFoundError):
            names = os.listdir(directory)
    except FarlabError:
        if must_read:
            raise
    found = [_read(directory / name) for name in names if name.endswith(".json")]
    return sorted((session for session in found if session), key=lambda session: (session.host, session.name))


def save(session: SavedSession) -> bool:
    """Write `session`, completely or not at all. Whether that worked."""
    path = _path(session.target)
    new = path.with_suffix(f".{os.urandom(4).hex()}.new")  # two machines with one home may write at once
    try:
        paths.make_private(path.parent)
        with open(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
            json.dump(asdict(session), file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except (OSError, FarlabError):
        with suppress(OSError):
            new.unlink()
        return False
    return True


def delete(target: Target) -> None:
    """Remove the saved session and its keeper's log, as far as possible."""
    for path in (_path(target), log_path(target)):
        with suppress(OSError):
            path.unlink()
    remove_stale(target)
    paths.remove_if_empty(paths.state_directory())


def remove_stale(target: Target) -> None:
    """Remove what keepers of `target` left that were killed while they wrote."""
    with suppress(OSError):  # an expired ticket, a stale handle: the next time, perhaps
        for left in paths.state_directory().glob(f"{key_of(target)}.*.new"):
            if not paths.is_recent(left.stat()):
                left.unlink()


def _path(target: Target) -> Path:
    return paths.state_directory() / f"{key_of(target)}.json"


def _read(path: Path) -> SavedSession | None:
    try:
        with open(paths.open_ours(path), "rb") as file:
            record = SavedRecord.read(json_lines.decoded(file.read(_MAX_BYTES)))
    except (OSError, InvalidMessage):
        return None
    return SavedSession(**vars(record)) if NAME.fullmatch(record.name) else None
