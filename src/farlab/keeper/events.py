"""What the policy is told and what it orders: small values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..errors import FarlabError
from ..transport.base import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What is so while an event is decided on."""

    at: float
    """Monotonic seconds."""
    chance: float = 0.5
    """Random, in [0, 1): spreads many keepers out."""
    bytes_in: int = 0
    """That have come from the other end over all links."""
    is_backlogged: bool = False
    """Whether so much is on its way to the host that an answer may have to wait behind it."""


class Signal(StrEnum):
    """What happens, with nothing more to be said of it."""

    USER_LEFT = "user-left"
    """Nobody is there any more to answer `ssh`."""
    USER_DECLINED = "user-declined"
    """The user does not answer a question of `ssh`."""
    ATTEMPT_CANCELLED = "attempt-cancelled"
    """The attempt that was to be cancelled has ended."""
    SESSION_STARTING = "session-starting"
    """The anchor says that the server is being started."""
    SESSION_UP = "session-up"
    """The anchor says that the server is up."""
    SERVER_ANSWERED = "server-answered"
    """The server has answered a request through all of it."""
    LOGIN_CHANGED = "login-changed"
    """What a login takes from this machine has changed: keys in the ssh-agent, a ControlMaster, a file."""


# the user ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class UserConnects:
    """A user wants the session now, with these options; `may_ask`: and is there to answer `ssh`."""

    options: dict[str, object]
    may_ask: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """`ssh` asks the user something, or does so no more."""

    is_open: bool


# links ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkJoined:
    """The agent has joined the attempt's link to the session; `source` is this machine's address towards the host.

    `is_shared`: over the user's own ControlMaster, so that there was no login."""

    source: str | None = None
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """No link could be made; `has_master`: the user's own ControlMaster is there."""

    error: FarlabError
    has_master: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkGreeted:
    """The anchor's first frame has come over the link; `is_resumed`: it goes on where the last link ended."""

    is_resumed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkEnded:
    """The link that carried the mux has ended; `is_protocol_error`: because the two ends do not agree."""

    reason: str
    is_protocol_error: bool = False


# the session ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """The anchor says how the server ended."""

    error: FarlabError


# sensors ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """Time has passed; `slept` says in words that this machine has slept meanwhile."""

    slept: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PingAnswered:
    """A ping has come back after so many seconds."""

    round_trip: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAnswered:
    """A TCP probe that was sent then was answered; `was_away`: one before it was lost; `is_refused`: by a refusal."""

    sent: float
    was_away: bool
    is_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsFound:
    """Where the host is now; nothing where that could not be found out."""

    endpoints: tuple[Endpoint, ...]
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkChanged:
    """This machine's addresses or routes have changed; `source` is its address towards the host now.

    `is_link_cut_off`: the one that the link was made from is gone."""

    source: str | None
    is_link_cut_off: bool = False


Event = (
    Signal | UserConnects | Prompted | LinkJoined | AttemptFailed | LinkGreeted | LinkEnded | SessionEnded
    | Ticked | PingAnswered | HostAnswered | EndpointsFound | NetworkChanged
)  # fmt: skip


# what is ordered --------------------------------------------------------------------------------------------


class Order(StrEnum):
    """What is ordered, with nothing more to be said of it."""

    CANCEL_ATTEMPT = "cancel-attempt"
    """End the attempt under way; `ATTEMPT_CANCELLED` follows, or what it came to before."""
    END_LINK = "end-link"
    """Let go of the link that carries the mux."""
    REPLACE_MUX = "replace-mux"
    """Begin another mux: connections begin anew."""
    SEND_PING = "send-ping"
    """Ask the other end for a sign of life."""
    NOTE_HEARD = "note-heard"
    """The other end has been heard: for the status."""
    STOP_PROBING = "stop-probing"
    """Probe no more."""
    RESOLVE_ENDPOINTS = "resolve-endpoints"
    """Find out where the host is; `EndpointsFound` follows."""
    NOTE_LOGIN = "note-login"
    """Remember what the login that begins takes from this machine."""
    WATCH_LOGIN = "watch-login"
    """Watch that until it changes; `LOGIN_CHANGED` follows."""
    STOP_WATCHING_LOGIN = "stop-watching-login"
    """Watch it no more."""
    SESSION_REACHED = "session-reached"
    """The session was reached for the first time."""
    SESSION_GONE = "session-gone"
    """A session that was up has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Begin an attempt at a link. `timeout`: None for no end."""

    may_ask: bool
    bypass_master: bool
    timeout: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Probe these until one answers or `StopProbing`; nothing happens where that is being done.

    `interval`: seconds between two probes."""

    endpoints: tuple[Endpoint, ...]
    interval: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeRequest:
    """These options hold from now on; `is_new`: for another session than the one that ended."""

    options: dict[str, object]
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One line for the keeper's log."""

    text: str


Action = Order | Connect | Probe | TakeRequest | Log
