"""A session's record on disk, and what agents and keepers are told of the session. Python 3.6."""

import json
import os
import time
from contextlib import suppress

from farlab.host import processes

MYPY = False
if MYPY:
    from typing import Any

    from farlab.host.server import Server

_SERVER_KEYS = (
    "app", "server", "python", "directory", "home", "base_url", "keep_output", "which_kernels", "open_kernels",
)  # fmt: skip


class SessionRecord(object):
    """`spec` is the agent's. `token`: the session's, which outlives its anchor."""

    def __init__(self, spec: "dict[str, Any]") -> None:
        adopted, options = spec["adopt"] or {}, spec["wish"]
        self.token = adopted.get("token") or os.urandom(24).hex()  # type: str
        self._directory = spec["directory"]  # type: str
        self._path = os.path.join(self._directory, "record.json")
        self._fields = dict(
            processes.here(os.getpid()),
            name=spec["name"],
            runtime=spec["runtime"],
            token=self.token,
            anchor={"pid": os.getpid(), "start": processes.start_time(os.getpid())},
            launcher=spec["launcher"],
            handle=spec["handle"],
            transport="unix",
            created=adopted.get("created") or time.time(),
            environment=(adopted or options).get("environment") or "",
            asked=adopted["asked"] if "asked" in adopted else options.get("directory") or "",
        )  # type: dict[str, Any]

    @property
    def exists(self) -> bool:
        """Whether the file is there: somebody may have removed it."""
        return os.path.exists(self._path)

    def save(self, server: "Server") -> None:
        """Write the record of a session that runs."""
        self._write(dict(self._fields, server=server.process, told=server.info))

    def save_ended(self, ending: "dict[str, Any]") -> None:
        """Write how the session ended."""
        self._write(dict({key: self._fields[key] for key in ("name", "node", "launcher")}, ended=ending))

    def _write(self, fields: "dict[str, Any]") -> None:
        """Write the file, whole or not at all."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        with open(os.open(self._path + ".new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump(fields, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self._path + ".new", self._path)

    def lost_launcher(self) -> None:
        """Note that the session continues without what it was started in."""
        self._fields.update(launcher="detached", handle={})

    def describe(self, server: "Server", has_token: bool = False) -> "dict[str, Any]":
        """What agents, and with the token keepers, are told of the session."""
        keys = ("name", "node", "launcher", "transport", "created", "environment", "asked")
        described = {key: self._fields.get(key) for key in keys}
        described.update((key, server.info.get(key)) for key in _SERVER_KEYS)
        described.update(
            state=server.state, stage=server.stage, pid=server.process.get("pid"), answers=server.answers,
            names=_sessions_in(os.path.dirname(self._directory)),
        )  # fmt: skip
        if server.ending:
            described["error"] = server.ending
        if has_token:
            described["token"] = self.token
        return described


def _sessions_in(directory: str) -> "list[str]":
    """The sessions that this home has, so that another one gets another name."""
    with suppress(OSError):
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    return []
