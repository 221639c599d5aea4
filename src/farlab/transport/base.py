"""What a way to a host must be able to do. `ssh/` is one; `command` is another, for tests and for what comes.

Rule: a transport runs one command on the host with that command's standard streams at our end. All the rest of farlab
travels over those, and knows of no other way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import FarlabError


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address that a login would connect to first: the host's, or its outermost jump host's."""

    family: int
    address: tuple[Any, ...]
    """As `socket.connect` takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginSources:
    """What a login takes from this machine: what is refused today may pass when some of it has changed."""

    agent: str = ""
    """Where the user's ssh-agent listens; "" where none is used."""
    master: str | None = None
    """Where a connection of theirs that can be shared would listen (`ControlPath`)."""
    files: tuple[str, ...] = ()
    """Paths: configuration, keys, certificates, known hosts, tickets, the program itself. Some may not exist."""


class Transport(Protocol):
    """One way to one host."""

    @property
    def host(self) -> str:
        """What the user typed for it."""

    @property
    def splits_words(self) -> bool:
        """Whether the host was seen to take commands apart at their spaces, whatever is quoted."""

    def check(self) -> None:
        """Raise Usage where the host's name cannot be one, or could be taken for something else."""

    def prepare(self) -> None:
        """Begin to read the user's configuration for this host, for `resolve` to wait for. Raises what cannot begin."""

    def is_prepared(self, within: float) -> bool:
        """Whether `resolve` need not wait for what was begun, or need not in so many seconds. Blocks for so long."""

    def adopt(self, environ: Mapping[str, str]) -> bool:
        """From now on the user's terminal has this environment; whether that is another one."""

    def outdate(self) -> None:
        """The user's configuration may mean something else by now: the network has changed."""

    def resolve(self, *, anew: bool = False, timeout: float = 120.0) -> None:
        """Know the user's configuration for this host; `anew`: whether or not anything has changed. Blocks for up to
        `timeout` seconds, and connects to nothing.

        Raises what is wrong with it. `argv` needs it.
        """

    def new_words(self) -> bytes:
        """What a `resolve` in another thread, and the programs that it runs, have printed since the last call."""

    def abandon(self) -> None:
        """Have a `resolve` in another thread end soon, with an error."""

    @property
    def is_resolved(self) -> bool:
        """Whether that configuration is known, and nothing that it depends on has changed since."""

    def argv(
        self, command: str, *, may_ask: bool, bypass_master: bool = False, patience: float | None = None
    ) -> list[str]:
        """What runs `command` in the host's login shell, with clean standard streams.

        `may_ask`: somebody is there to answer a login's questions. `bypass_master`: not over a connection that the
        user shares. `patience`: seconds to wait for the host's first word, if they are more than usual.
        """

    def environment(self, ask_socket: str | None) -> dict[str, str]:
        """The environment for that argv; questions go to `ask_socket`, or are declined at once where it is None."""

    def explain(self, output: str, exit_status: int | None, *, may_ask: bool) -> FarlabError:
        """What the end of that argv means. `output`: what it printed, apart from the agent's frames."""

    def not_started(self, program: str, error: OSError) -> FarlabError:
        """What it means that the program of that argv could not be started."""

    def endpoints(self) -> list[Endpoint]:
        """Where a TCP probe can see whether the host is there; empty: nowhere. Blocks: names are looked up."""

    def login_sources(self) -> LoginSources:
        """What to watch where a login was refused, as far as the configuration is known."""

    def attach_argv(self, command: str) -> list[str] | None:
        """What runs `command` there for a user at this terminal; None where that cannot be."""
