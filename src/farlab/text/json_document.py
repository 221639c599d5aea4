"""The JSON documents of `--json`. Pure: results in, text out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from functools import singledispatch

from ..model import Connected, Disconnected, HostEnvironment, SessionStatus, Terminated
from .messages import without_token
from .results import Address, Command, Done, Environments, Lines, Opened, Script, Sessions

VERSION = 1
"""Of the documents. Additions do not change it."""


def document(content: Mapping[str, object], *, ok: bool = True) -> str:
    """One JSON document on one line, all ASCII: nothing in it can move a terminal."""
    import json

    whole = {"farlab": VERSION, "ok": ok, **content}
    try:
        return json.dumps(whole, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(whole), allow_nan=False)


def _finite(value: object) -> object:
    """`value` with null for each number that JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@singledispatch
def payload(result: object) -> Mapping[str, object]:
    """The keys that a result adds to its document."""
    raise TypeError(type(result).__name__)


@payload.register
def _(result: Connected) -> Mapping[str, object]:
    return _without(_renamed(asdict(result)), "open_url", "ssh_config")


@payload.register
def _(result: SessionStatus) -> Mapping[str, object]:
    return {**_without(_renamed(asdict(result)), "is_keeper_silent"), "url": without_token(result.url)}


@payload.register
def _(result: Sessions) -> Mapping[str, object]:
    return {"sessions": [payload(session) for session in result.sessions]}


@payload.register
def _(result: Environments) -> Mapping[str, object]:
    return {"host": result.host, "environments": [environment(each) for each in result.environments], "why": result.why}


def environment(found: HostEnvironment) -> Mapping[str, object]:
    """One environment; what is not known is null."""
    said = {key: value or None for key, value in asdict(found).items()}
    return {**_without(said, "is_used"), "kernels": list(found.kernels), "used": found.is_used}


@payload.register
def _(result: Lines) -> Mapping[str, object]:
    return {"lines": list(result.lines)}


@payload.register
def _(result: Script) -> Mapping[str, object]:
    return {result.key: result.value}


@payload.register(Address | Command | Opened | Terminated | Disconnected | Done)
def _(result: Address | Command | Opened | Terminated | Disconnected | Done) -> Mapping[str, object]:
    return asdict(result)


def _renamed(content: dict[str, object]) -> dict[str, object]:
    return {("dir" if key == "directory" else key): value for key, value in content.items()}


def _without(content: dict[str, object], *keys: str) -> dict[str, object]:
    return {name: value for name, value in content.items() if name not in keys}
