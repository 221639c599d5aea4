"""The other end of a Unix socket: whose it is, where the system tells, and what it says. Python 3.6."""

import os
import socket
import struct

from farlab.protocol.json_lines import JsonLines

MYPY = False
if MYPY:
    from typing import Any


def is_same_user(sock: "socket.socket") -> bool:
    """Whether a process of this very user is there; where the system does not tell, a private path does."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    user = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]  # type: int
    return user == os.getuid()


def receive(sock: "socket.socket", lines: JsonLines) -> "dict[str, Any]":
    """The next message of a blocking socket. Raises InvalidMessage, OSError where none comes any more."""
    while True:
        message = lines.next()
        if message is not None:
            return message
        data = sock.recv(1 << 16)
        if not data:
            raise OSError("it closed the connection")
        lines.feed(data)
