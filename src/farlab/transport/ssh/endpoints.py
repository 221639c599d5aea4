"""Where `ssh` would connect to first, as `ssh -G` tells for the host and each of its jump hosts."""

from __future__ import annotations

import socket

from ...model import Target
from ..base import Endpoint
from .config_query import resolve

MAX_ENDPOINTS = 3
MAX_HOPS = 8


def endpoints(target: Target) -> list[Endpoint]:
    """The addresses to probe for `target`; none where a program of the user's makes the connection.

    Blocks: names are looked up. Raises FarlabError, OSError.
    """
    first = _first_hop(target)
    found = socket.getaddrinfo(*first, type=socket.SOCK_STREAM) if first else []
    return [Endpoint(family=each[0], address=each[4]) for each in found[:MAX_ENDPOINTS]]


def _first_hop(target: Target) -> tuple[str, int] | None:
    port: int | None = None
    for _ in range(MAX_HOPS):
        resolved = resolve(target)
        if resolved.proxy_jump is None:
            return None if resolved.proxy_command else (resolved.hostname, port or resolved.port)
        hop = resolved.proxy_jump.partition(",")[0].removeprefix("ssh://")
        head, colon, tail = hop.rpartition(":")
        has_port = bool(colon) and tail.isdigit() and not head.endswith(":")
        port = int(tail) if has_port else None
        name = (head if has_port else hop).rpartition("@")
        target = Target(host=(name[0] + name[1]) + name[2].strip("[]"), ssh_config=target.ssh_config)
    return None
