"""What the commands return besides the results in `model`: values for `output` to print, no behaviour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..model import HostEnvironment, SessionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What `list` shows."""

    sessions: tuple[SessionStatus, ...]
    host: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """What `envs` shows: the environments of a host, and `why` none of them would be used."""

    environments: tuple[HostEnvironment, ...]
    why: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What `url` shows. `url` has the token, `address` has not."""

    url: str
    address: str
    port: int
    token: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What `open` did. `url` works once and has no token; it is printed if no browser could be opened."""

    host: str
    name: str
    opened: bool
    url: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """Some lines of a log."""

    lines: Iterable[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """Text for another program, printed as it is. `key` names it in JSON."""

    key: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Nothing to print: it worked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What `attach` would run."""

    command: tuple[str, ...]
