"""Where `ssh` would connect to first, as `ssh -G` tells for the host and each of its jump hosts."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from ...model import Target
from ..base import Endpoint
from .config_query import TIMEOUT, ConfigQuery
from .options import Resolved

MAX_ENDPOINTS = 3
MAX_HOPS = 8


def look_up(hop: tuple[str, int]) -> list[Endpoint]:
    """The addresses of a host and port. Blocks. Raises OSError."""
    found = socket.getaddrinfo(*hop, type=socket.SOCK_STREAM)
    return [Endpoint(family=each[0], address=each[4]) for each in found[:MAX_ENDPOINTS]]


def first_hop(target: Target, resolved: Resolved, environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Where `ssh` connects to first; None where a program of the user's makes the connection. Raises FarlabError."""
    port: int | None = None
    for _ in range(MAX_HOPS):
        if resolved.proxy_jump is None:
            return None if resolved.proxy_command else (resolved.hostname, port or resolved.port)
        hop = resolved.proxy_jump.partition(",")[0].removeprefix("ssh://")
        head, colon, tail = hop.rpartition(":")
        has_port = bool(colon) and tail.isdigit() and not head.endswith(":")
        port = int(tail) if has_port else None
        name = (head if has_port else hop).rpartition("@")
        target = Target(host=(name[0] + name[1]) + name[2].strip("[]"), ssh_config=target.ssh_config)
        resolved = ConfigQuery(target, environ).answer(TIMEOUT)
    return None
