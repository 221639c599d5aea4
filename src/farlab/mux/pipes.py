"""The descriptors of one link: read and written without waiting, though others may hold them too. Python 3.6.

What the start-up files of a login have begun shares its standard input and output, and whether one waits (O_NONBLOCK)
belongs to the open file, not to its descriptors: it would see its own output fail. So a socket is told with each call,
send(2), and a pipe is opened a second time, proc(5).
"""

import os
import socket
import stat
from contextlib import suppress

WIDE = 1 << 20
"""Bytes that a pipe may hold, where that can be had."""
MOST_BUFFERS = 64
"""Buffers given to one call (the limit is 1024 on Linux and macOS)."""


class LinkPipes(object):
    """Owns both descriptors; they may be one."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._in = _opened(read_fd, os.O_RDONLY)
        self._out = self._in if write_fd == read_fd else _opened(write_fd, os.O_WRONLY)

    @property
    def read_fd(self) -> int:
        """What a loop waits for until there is something to read."""
        return _number(self._in)

    @property
    def write_fd(self) -> int:
        """The same until something can be written."""
        return _number(self._out)

    def read(self, size: int) -> bytes:
        """What has come, b"" at the end. Raises BlockingIOError where nothing has, OSError where the link broke."""
        if isinstance(self._in, int):
            return os.read(self._in, size)
        return self._in.recv(size, socket.MSG_DONTWAIT)

    def write(self, buffers: "list[bytes | memoryview]") -> int:
        """How many bytes of the buffers went out. Raises as `read` does."""
        if isinstance(self._out, int):
            return os.writev(self._out, buffers[:MOST_BUFFERS])
        return self._out.sendmsg(buffers[:MOST_BUFFERS], [], socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0))

    def close(self) -> None:
        """Let go of both."""
        for each in {self._in, self._out}:
            if isinstance(each, int):
                os.close(each)
            else:
                each.close()


def _number(end: "int | socket.socket") -> int:
    return end if isinstance(end, int) else end.fileno()


def _opened(fd: int, mode: int) -> "int | socket.socket":
    """The same end, so that reading and writing it does not wait; `fd` is closed where another one takes its place."""
    kind = os.fstat(fd).st_mode
    if stat.S_ISSOCK(kind):
        return socket.socket(fileno=fd)
    if stat.S_ISFIFO(kind):
        with suppress(OSError):  # no /proc, or another's pipe: then the flag must do
            again = os.open("/proc/self/fd/%d" % fd, mode | os.O_NONBLOCK | os.O_CLOEXEC)
            os.close(fd)
            fd = again
            _widen(fd)
            return fd
    os.set_blocking(fd, False)
    return fd


def _widen(fd: int) -> None:
    import fcntl

    with suppress(OSError):  # not Linux, or the person's share of pipes is used up
        fcntl.fcntl(fd, 1031, WIDE)  # F_SETPIPE_SZ, fcntl(2); Python names it from 3.10 on
