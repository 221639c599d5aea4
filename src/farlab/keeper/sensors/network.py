"""Reports when the addresses or routes of this machine change, where the system reports it (Linux: rtnetlink(7))."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from ...transport.base import Endpoint

BURST = 0.05
"""Seconds after which a burst of changes is reported as one."""
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE of linux/rtnetlink.h."""


class NetworkChanges:
    """Calls `on_change` after each burst of changes, from its making until `close`."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = None
        self._pending: asyncio.TimerHandle | None = None
        with suppress(OSError, AttributeError):  # another system, or not allowed: the heartbeat notices, a little later
            self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
            self._sock.setblocking(False)
            self._sock.bind((0, _GROUPS))
            self._loop.add_reader(self._sock.fileno(), self._read)

    def close(self) -> None:
        if self._pending is not None:
            self._pending.cancel()
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _read(self) -> None:
        with suppress(OSError):  # that was all; or more than could be kept (ENOBUFS)
            while self._sock is not None:
                self._sock.recv(1 << 16)
        if self._pending is None:
            self._pending = self._loop.call_later(BURST, self._report)

    def _report(self) -> None:
        self._pending = None
        self._on_change()


def has_address(address: str) -> bool:
    """Whether this machine still has that address."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind((address, 0))
    except OSError as error:
        return error.errno != errno.EADDRNOTAVAIL
    return True


def source_address(endpoints: Sequence[Endpoint]) -> str | None:
    """The address this machine would use towards the first endpoint that it has a route to; None where it has none."""
    for endpoint in endpoints:
        with suppress(OSError), socket.socket(endpoint.family, socket.SOCK_DGRAM) as sock:
            sock.connect(endpoint.address)  # of a datagram socket: asks the routing table, sends nothing
            return str(sock.getsockname()[0])
    return None
