"""A session's record on disk, and what agents and keepers are told of the session. Python 3.6."""

import json
import os
from contextlib import suppress

from farlab.host import processes
from farlab.protocol import session
from farlab.protocol.mux_messages import SessionInfo

MYPY = False
if MYPY:
    from typing import Any

    from farlab.host.server import Server
    from farlab.protocol.records import Record
    from farlab.protocol.session import Process
    from farlab.protocol.spec import Spec


class SessionRecord(object):
    """`spec` is the agent's. `token`: the session's, which outlives its anchor."""

    def __init__(self, spec: "Spec") -> None:
        adopted, options = spec.adopt, spec.wish
        self.token = (adopted.token if adopted else "") or os.urandom(24).hex()
        self._directory = spec.directory
        self._path = os.path.join(self._directory, "record.json")
        self._record = session.SessionRecord(
            name=spec.name,
            node=os.uname().nodename,
            boot=processes.boot_id(),
            runtime=spec.runtime,
            anchor=processes.process(os.getpid()),
            token=self.token,
            launcher=spec.launcher,
            handle=spec.handle,
            transport="unix",
            environment=adopted.environment if adopted else options.environment or "",
            asked=adopted.asked if adopted else options.directory or "",
        )

    @property
    def exists(self) -> bool:
        """Whether the file is there: somebody may have removed it."""
        return os.path.exists(self._path)

    def save(self, server: "Server") -> None:
        """Write the record of a session that runs."""
        self._record.server, self._record.told = server.process, server.info
        self._write(self._record)

    def save_ended(self, ending: session.ErrorInfo) -> None:
        """Write how the session ended."""
        record = self._record
        self._write(session.EndedRecord(name=record.name, node=record.node, launcher=record.launcher, ended=ending))

    def _write(self, record: "Record") -> None:
        """Write the file, whole or not at all."""
        os.makedirs(self._directory, 0o700, exist_ok=True)
        with open(os.open(self._path + ".new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump(record, file, default=vars)
            file.flush()
            os.fsync(file.fileno())
        os.rename(self._path + ".new", self._path)

    def lost_launcher(self) -> None:
        """Note that the session continues without what it was started in."""
        self._record.launcher, self._record.handle = "detached", {}

    def summary(self, server: "Server") -> "dict[str, Any]":
        """The fields of a `SessionSummary`."""
        record, info = self._record, server.info or session.ServerInfo()
        return {
            "state": server.state,
            "pid": server.process.pid,
            "age": _age(server.process),
            **{key: getattr(record, key) for key in ("node", "launcher", "transport", "environment")},
            **{key: getattr(info, key) for key in ("app", "server", "directory")},
        }

    def describe(self, server: "Server") -> SessionInfo:
        """What keepers are told of the session, with its token."""
        info, names = server.info or session.ServerInfo(), _sessions_in(os.path.dirname(self._directory))
        keys = (
            "home",
            "root",
            "named_home",
            "base_url",
            "keep_output",
            "which_kernels",
            "open_kernels",
            "chosen",
            "batch",
        )
        return SessionInfo(
            stage=server.stage, answers=server.answers, asked=self._record.asked, token=self.token, names=names,
            error=server.ending, **self.summary(server), **{key: getattr(info, key) for key in keys},
        )  # fmt: skip


def _age(process: "Process") -> "float | None":
    """Seconds since a process started, None where nobody can tell: proc_pid_stat(5) and proc_uptime(5)."""
    try:
        with open("/proc/uptime") as file:
            seconds = float(file.read().split()[0]) - int(process.start or "") / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError):
        return None
    return round(seconds, 1) if 0 <= seconds < 1e9 else None


def _sessions_in(directory: str) -> "list[str]":
    """The sessions that this home has, so that another one gets another name."""
    with suppress(OSError):
        return sorted(name for name in os.listdir(directory) if not name.startswith("."))
    return []
