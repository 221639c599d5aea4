"""Who is at the other end of a Unix socket, where the system tells: SO_PEERCRED of unix(7), LOCAL_PEERPID of macOS.
Python 3.6."""

import os
import socket
import struct
import sys


def is_same_user(sock: "socket.socket") -> bool:
    """Whether a process of this very user is there; where nobody can tell, whoever has come by a private path is."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    user = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]  # type: int
    return user == os.getuid()


def pid_of(sock: "socket.socket") -> "int | None":
    """The process that listens there; None where nobody can tell."""
    level, option = socket.SOL_SOCKET, getattr(socket, "SO_PEERCRED", -1)
    if sys.platform == "darwin":
        level, option = 0, 2  # SOL_LOCAL, LOCAL_PEERPID
    try:
        return struct.unpack("i", sock.getsockopt(level, option, 4))[0] or None
    except OSError:
        return None
