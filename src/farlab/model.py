"""The values that travel between the parts: what was asked for, what is known, what came out. No behaviour."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import Usage

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


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
    """Those alone that nobody else on the host can read."""


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
    """Nothing runs here, or does not answer (`KEEPER_SILENT`); the session on the host may."""


KEEPER_SILENT = "its keeper does not answer"
"""The reason of a status where something does run here, and is stopped or stuck."""


class QuestionKind(StrEnum):
    """What `ssh` wants to know, so that a terminal knows whether to hide what is typed."""

    SECRET = "secret"  # noqa: S105 - the name of a kind, not a password
    YES_NO = "yes-no"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question of `ssh`, in its own words (`prompt` may have several lines)."""

    prompt: str
    kind: QuestionKind = QuestionKind.SECRET


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which session: what the person would type after `ssh`, and the session's name."""

    host: str
    name: str = "main"
    ssh_config: str | None = None
    """`ssh -F FILE`, absolute; None means ssh's own default."""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise Usage(
                f"`{self.name}` cannot be a session's name",
                hint="letters, digits, `-` and `_`, beginning with a letter or digit, 32 at most",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What the person wants a session to be; None means "not given": the session's own, or the default."""

    directory: str | None = None
    environment: str | None = None
    setup: tuple[str, ...] = ()
    app: App | None = None
    notebook: str | None = None
    port: int | None = None
    timeout: float = 120.0
    keep_output: bool = False
    """Output survives its tab; belongs to the session from its start."""
    kernels: Kernels | None = None
    """Which may run; belongs to the session from its start, too."""
    keep_host: int | None = None
    """Bytes kept on the host while this laptop is away; this and the next two are the keeper's, not the session's."""
    keep_laptop: int | None = None
    keep_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One step of a wait: what it waits for, in plain words ("starting JupyterLab")."""

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
    """What the person should know: another port than last time, another directory than asked for, no tmux …"""
    ssh_config: str | None = None
    """The file of `-F`, as in `Target`: for what can be typed. Not part of the JSON."""
    open_url: str = field(default="", repr=False)
    """A one-time address for a browser, without the token. Not part of the JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kernel of a server, as `/api/kernels` and `/api/sessions` tell."""

    id: str
    name: str
    state: str
    notebook: str
    last_activity: str
    private: bool | None = None
    """Whether nobody else on the host can read what it says; None where nobody knows, as in an older session."""


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
    keeper_pid: int | None = None
    streams: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    bytes_held: int = 0
    bytes_limit: int = 0
    """How many bytes may be held here, before what goes to the host waits."""
    full_since: float | None = None
    """Unix time since which something waits here because there is no room; None where nothing does."""
    host_bytes_limit: int = 0
    """The same on the host; 0: it has not said."""
    host_full_since: float | None = None
    """Unix time from which on, when this laptop was away last, output waited on the host because there was no room."""
    host_full_seconds: float = 0.0
    last_heard: float | None = None
    """Unix time of the last sign of life of the host; None before the first."""
    round_trip: float | None = None
    """Seconds that a heartbeat takes there and back: as the last few usually took."""
    outages: int = 0
    longest_outage: float = 0.0
    """Seconds; the present one counts for as long as it has lasted."""
    reason: str = ""
    """Why it is not up: the error's message, or how the server ended."""
    foreign: bool = False
    """A server on the host that farlab did not start (`list --host`)."""
    ssh_config: str | None = None
    """The file of `-F`, without which this session is not found; as in `Target`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """What `terminate` did. `was_running` is False where the session had ended before."""

    host: str
    name: str
    was_running: bool
    kernels: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """What `disconnect` did: the keeper that ended."""

    host: str
    name: str
    port: int | None
    running: bool | None = None
    """Whether the session goes on, as far as it was seen from here; None where it never was."""
    ssh_config: str | None = None
