"""Which person of this machine is at the other end of a loopback connection, where the system tells: Linux, proc(5)."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

_ESTABLISHED = "01"  # TCP_ESTABLISHED in include/net/tcp_states.h
_NOBODY = -1
_MAPPED = "0000000000000000FFFF0000"
"""What stands before an IPv4 address in the table of IPv6: a program may connect by a socket of that kind."""


def may_be_ours(sock: socket.socket) -> bool:
    """Whether the other end is ours or root's; True where that cannot be known."""
    owner = _owner(_column(sock.getpeername()), _column(sock.getsockname()))
    return owner in (None, 0, os.getuid())


def _owner(theirs: str, ours: str) -> int | None:
    """The user id of an established connection, by its two ends; nobody's where one end has let go of it already."""
    rows = []
    try:
        with open("/proc/net/tcp") as file:
            rows += [line.split() for line in file]
    except OSError:
        return None
    with suppress(OSError), open("/proc/net/tcp6") as file:
        rows += [line.split() for line in file]
    for row in rows:
        if [each.removeprefix(_MAPPED) for each in row[1:3]] == [theirs, ours] and row[3] == _ESTABLISHED:
            return int(row[7])
    return _NOBODY


def _column(address: tuple[str, int]) -> str:
    """`127.0.0.1:8888` as `0100007F:22B8`: the address is a number in the machine's own byte order."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"
