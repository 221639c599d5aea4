"""The values that travel between the parts: what a user asks for, what is known, what came out. No behaviour.

The defaults of what a user can ask for are here, too; the bounds are those of `protocol.options`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import Usage

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
NAME_RULE = "letters, digits, `-` and `_`, beginning with a letter or digit, at most 32"
"""A session's name."""
DEFAULT_NAME = "main"
DEFAULT_TIMEOUT = 120.0
"""Seconds."""
DEFAULT_LOG_LINES = 200
DEFAULT_KEEP_HOST, DEFAULT_KEEP_LAPTOP = 64 << 20, 16 << 20
"""Bytes."""
DEFAULT_KEEP_HOURS = 72


class App(StrEnum):
    """What the server shows; `connect --app`."""

    LAB = "lab"
    NOTEBOOK = "notebook"
    NBCLASSIC = "nbclassic"
    SERVER = "server"


class Kernels(StrEnum):
    """Which kernels may run; `connect --kernels`."""

    ANY = "any"
    PRIVATE = "private"
    """Only kernels that no other user of the host can read."""


class State(StrEnum):
    """The keeper's states, ARCHITECTURE section 7."""

    CONNECTING = "connecting"
    ASKING = "asking"
    STARTING = "starting"
    UP = "up"
    SILENT = "silent"
    DOWN = "down"
    BLOCKED = "blocked"
    ENDED = "ended"
    NO_KEEPER = "no-keeper"
    """No keeper runs here, or it does not answer; the session on the host may run."""


class QuestionKind(StrEnum):
    """What kind of answer `ssh` wants, so that a terminal knows whether to hide what is typed."""

    SECRET = "secret"  # noqa: S105 - the name of a kind, not a password
    YES_NO = "yes-no"
    NOTICE = "notice"
    TEXT = "text"
    """Asked on a terminal, with echo, by a program that `ssh` runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of `ssh`, in its own words (`prompt` may have several lines)."""

    prompt: str
    kind: QuestionKind = QuestionKind.SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which session: what the user would type after `ssh`, and the session's name."""

    host: str
    name: str = DEFAULT_NAME
    ssh_config: str | None = None
    """`ssh -F FILE`, absolute; None means ssh's own default."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Usage(f"`{self.name}` is not a valid session name", hint=NAME_RULE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What the user wants a session to be; None means "not given": the session's own, or the default."""

    directory: str | None = None
    environment: str | None = None
    setup: tuple[str, ...] = ()
    app: App | None = None
    notebook: str | None = None
    port: int | None = None
    timeout: float = DEFAULT_TIMEOUT
    keep_output: bool = False
    """Output outlives its browser tab; fixed when the session starts."""
    kernels: Kernels | None = None
    """Which may run; fixed when the session starts, too."""
    keep_host: int | None = None
    """Bytes of the buffer on the host; this and the next two belong to the keeper, not to the session."""
    keep_laptop: int | None = None
    keep_hours: float | None = None


SAID = "said"
"""The stage of a `Progress` that is a line of `ssh`'s, or of what it runs, while nothing answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step of a wait: what farlab is waiting for ("starting JupyterLab")."""

    stage: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What `connect` reached. Its fields are the keys of `connect --json`."""

    host: str
    name: str
    node: str
    app: str
    url: str = field(repr=False)
    address: str
    """The same place for programs that do not resolve `*.localhost`: `http://127.0.0.1:PORT`."""
    port: int
    token: str = field(repr=False)
    reused: bool
    launcher: str
    transport: str
    pid: int
    directory: str
    environment: str
    server: str
    seconds: dict[str, float]
    notes: tuple[str, ...] = ()
    """What the user should know: another port than last time, another directory than asked for, no tmux …"""
    ssh_config: str | None = None
    """The file of `-F`, as in `Target`, for commands in hints. Not part of the JSON."""
    open_url: str = field(default="", repr=False)
    """A one-time address for a browser, without the token. Not part of the JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kernel of a server, from `/api/kernels` and `/api/sessions`."""

    id: str
    name: str
    state: str
    notebook: str
    last_activity: str
    private: bool | None = None
    """Whether no other user of the host can read its traffic; None if unknown, as in an older session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """One session as seen from here and, where a link stands, from the host. Fields are the keys of `status --json`."""

    host: str
    name: str
    state: State
    at: float = 0.0
    """Unix time of this status, by the clock of the other times in it."""
    since: float = 0.0
    """Unix time at which `state` was entered."""
    port: int | None = None
    url: str = field(default="", repr=False)
    node: str = ""
    app: str = ""
    launcher: str = ""
    transport: str = ""
    server: str = ""
    pid: int | None = None
    directory: str = ""
    environment: str = ""
    kernels: tuple[Kernel, ...] | None = None
    """None: not asked, or the server did not answer."""
    last_kernels: tuple[Kernel, ...] | None = None
    """Those of the server's last answer, and when that was (Unix time); while it cannot be asked, the last known."""
    last_kernels_at: float | None = None
    started: float | None = None
    """Unix time at which the server started; None if unknown, as for a session of an older version."""
    keeper_pid: int | None = None
    streams: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_held: int = 0
    bytes_limit: int = 0
    """Size of the buffer here; what goes to the host waits when it is full."""
    full_since: float | None = None
    """Unix time since which the buffer here is full; None if it is not."""
    host_bytes_limit: int = 0
    """Size of the buffer on the host; 0: unknown."""
    host_full_since: float | None = None
    """Unix time from which the host's buffer was full during the last outage, so that output waited."""
    host_full_seconds: float = 0.0
    last_heard: float | None = None
    """Unix time of the last data from the host; None before the first."""
    round_trip: float | None = None
    """Seconds from a heartbeat to its answer: median of the last few."""
    outages: int = 0
    longest_outage: float = 0.0
    """Seconds; includes the present one."""
    reason: str = ""
    """Why it is not up: the error's message, or how the server ended."""
    is_keeper_silent: bool = False
    """A keeper runs here and does not answer: it is stopped or stuck. Not part of the JSON, whose `reason` says it."""
    foreign: bool = False
    """A server on the host that farlab did not start (`list --host`)."""
    ssh_config: str | None = None
    """The file of `-F`, without which this session is not found; as in `Target`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostEnvironment:
    """An environment on a host that could run a notebook, or its kernels; texts are empty where nothing is known."""

    name: str
    path: str
    kind: str
    """`conda` or `venv`."""
    python: str
    jupyter: str
    kernels: tuple[str, ...]
    is_used: bool
    """Whether `connect` without `--env` would use it, and `why`."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """What `terminate` did. `was_running` is False for a session that had ended already."""

    host: str
    name: str
    was_running: bool = True
    kernels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """What `disconnect` did: the keeper that ended."""

    host: str
    name: str
    port: int | None
    running: bool | None = None
    """Whether the session was running when last seen from here; None if it never was seen."""
    ssh_config: str | None = None


Prompt = Callable[[Question], str | None]
"""Answers one question of `ssh`; None cancels. It may take as long as the user takes."""
OnProgress = Callable[[Progress], None]
"""Called for each step that farlab waits for."""
Confirm = Callable[[tuple[Kernel, ...]], bool]
"""Called before busy kernels are ended; False leaves everything as it is."""
