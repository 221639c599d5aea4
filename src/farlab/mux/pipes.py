"""The descriptors of one link, read and written without blocking, though others may hold them too. Python 3.6.

Programs that a login's start-up files have started share its standard input and output. O_NONBLOCK belongs to the open
file, not to a descriptor, and would make their output fail. So each call on a socket says MSG_DONTWAIT, send(2), and a
pipe is opened a second time, proc(5).
"""

import os
import socket
import stat
from contextlib import suppress

PIPE_SIZE = 1 << 20
"""Bytes that a pipe shall hold, where the system allows it."""
MAX_BUFFERS = 64
"""Buffers given to one call (the limit is 1024 on Linux and macOS)."""


class LinkPipes(object):
    """Owns both descriptors; they may be one."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._in = _on_open(read_fd, os.O_RDONLY)
        self._out = self._in if write_fd == read_fd else _on_open(write_fd, os.O_WRONLY)

    @property
    def read_fd(self) -> int:
        """The descriptor that becomes readable."""
        return _number(self._in)

    @property
    def write_fd(self) -> int:
        """The descriptor that becomes writable."""
        return _number(self._out)

    def read(self, size: int) -> bytes:
        """Read what has come, b"" at the end. Raises BlockingIOError if nothing has, OSError if the link broke."""
        if isinstance(self._in, int):
            return os.read(self._in, size)
        return self._in.recv(size, socket.MSG_DONTWAIT)

    def write(self, buffers: "list[bytes | memoryview]") -> int:
        """Write the buffers; returns how many bytes were taken. Raises as `read` does."""
        if isinstance(self._out, int):
            return os.writev(self._out, buffers[:MAX_BUFFERS])
        return self._out.sendmsg(buffers[:MAX_BUFFERS], [], socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0))

    def close(self) -> None:
        """Close both."""
        for each in {self._in, self._out}:
            if isinstance(each, int):
                os.close(each)
            else:
                each.close()


def _number(end: "int | socket.socket") -> int:
    return end if isinstance(end, int) else end.fileno()


def _on_open(fd: int, mode: int) -> "int | socket.socket":
    """The same end, to be read or written without blocking. Closes `fd` if another one takes its place."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISSOCK(kind):
        return socket.socket(fileno=fd)
    if stat.S_ISFIFO(kind):
        with suppress(OSError):  # no /proc, or another user's pipe: then set the flag
            again = os.open("/proc/self/fd/%d" % fd, mode | os.O_NONBLOCK | os.O_CLOEXEC)
            os.close(fd)
            fd = again
            _widen(fd)
            return fd
    os.set_blocking(fd, False)
    return fd


def _widen(fd: int) -> None:
    import fcntl

    with suppress(OSError):  # not Linux, or the user's share of pipe memory is used up
        fcntl.fcntl(fd, 1031, PIPE_SIZE)  # F_SETPIPE_SZ, fcntl(2); Python names it from 3.10 on
