"""Which person of this machine is at the other end of a loopback connection, where the system tells: Linux, proc(5)."""

from __future__ import annotations

import os
import socket
import struct

_ESTABLISHED = "01"  # TCP_ESTABLISHED in include/net/tcp_states.h


def may_be_ours(sock: socket.socket) -> bool:
    """Whether the other end is ours or root's; True where that cannot be known."""
    owner = _owner(_column(sock.getpeername()), _column(sock.getsockname()))
    return owner in (None, 0, os.getuid())


def _owner(theirs: str, ours: str) -> int | None:
    """The user id of an established connection, by its two ends."""
    try:
        with open("/proc/net/tcp") as file:
            rows = [line.split() for line in file]
    except OSError:
        return None
    for row in rows:
        if row[1:4] == [theirs, ours, _ESTABLISHED]:
            return int(row[7])
    return None


def _column(address: tuple[str, int]) -> str:
    """`127.0.0.1:8888` as `0100007F:22B8`: the address is a number in the machine's own byte order."""
    (number,) = struct.unpack("=I", socket.inet_aton(address[0]))
    return f"{number:08X}:{address[1]:04X}"
