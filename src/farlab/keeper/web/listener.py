"""Binds the session's port on every loopback address that its name can mean, or on none.

Browsers resolve a name under `.localhost` to `::1` as well as `127.0.0.1`, and try `::1` first: another program that
listened there would get the user's login. No event loop here: the port is bound before one is loaded.
"""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress

from ...errors import PortBusy

BACKLOG = 4096
"""Length of the accept queue: where others fill a short one, a browser tries again only a second later."""
_TRIES = 64
_IPV6_FREEBIND = 78
"""linux/in6.h: binds an address that is not there yet, while IPv6 is switched off."""


class PortTaken(Exception):
    """Another program has the port on `address`; `reason` is the system's."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"{address}: {reason}")


def bind(
    wanted: int | None, remembered: int | None, usual: tuple[int, ...] = ()
) -> tuple[tuple[socket.socket, ...], str]:
    """A listener for each loopback address, all of one port, and a note where the port has changed.

    `wanted` is the port that the user asked for, `remembered` the session's last one, `usual` those that it has
    otherwise, best first. Raises PortBusy.
    """
    if wanted:
        try:
            return listen(wanted), ""
        except PortTaken as taken:
            raise PortBusy(f"cannot listen on local port {wanted}", detail=str(taken)) from taken
    with suppress(PortTaken):
        if remembered:
            return listen(remembered), ""
    for port in (*usual, *[0] * _TRIES):  # a port that is free on one address may be taken on the other
        with suppress(PortTaken):
            listeners = listen(port)
            got = listeners[0].getsockname()[1]
            return listeners, f"port {remembered} is in use, so the address is now on port {got}" if remembered else ""
    raise PortBusy("no local port is free")


def listen(port: int) -> tuple[socket.socket, ...]:
    """A listener on `127.0.0.1` and one on `::1`, the latter where there is IPv6; `port` 0 is any. Raises PortTaken."""
    first = _listen(socket.AF_INET, "127.0.0.1", port)
    if first is None:
        raise PortTaken("127.0.0.1", "no such address")
    try:
        second = _listen(socket.AF_INET6, "::1", first.getsockname()[1])
    except PortTaken:
        first.close()
        raise
    return (first, second) if second else (first,)


def _listen(family: int, address: str, port: int) -> socket.socket | None:
    """None where this machine has no such addresses. Raises PortTaken.

    SO_REUSEADDR lets us bind a port again on which old connections linger. It lets nobody share it: Linux refuses to
    bind beside a socket that listens, and to listen beside another.
    """
    try:
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        _check_absent(address, port, error)
        return None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            with suppress(OSError):
                listener.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
        listener.bind((address, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        _check_absent(address, port, error)
        return None
    return listener


def _check_absent(address: str, port: int, error: OSError) -> None:
    """Raises PortTaken unless the error says that no such address here, so that nobody can have it."""
    if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
        where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        raise PortTaken(where, os.strerror(error.errno or 0)) from error
