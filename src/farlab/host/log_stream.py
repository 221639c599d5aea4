"""The server's log as a stream of the mux. Python 3.6."""

import socket
from contextlib import suppress

from farlab.host.log_tail import INTERVAL
from farlab.protocol.mux_messages import LOG_GREETING

MYPY = False
if MYPY:
    from farlab.host.log_tail import LogTail
    from farlab.host.reactor import Reactor


class LogStream(object):
    """Writes a log into a socket, whose other end is `sock`, until that is closed or, without `follow`, all is told."""

    def __init__(self, loop: "Reactor", tail: "LogTail", follow: bool) -> None:
        self._loop, self._tail, self._follow = loop, tail, follow
        self._ours, self.sock = socket.socketpair()
        for each in (self._ours, self.sock):
            each.setblocking(False)
        self._unsent = LOG_GREETING + tail.read(not follow)
        loop.call_later(0, self._write)

    def _write(self) -> None:
        """Send what there is; then wait for room, for more, or end."""
        try:
            self._unsent = self._unsent[self._ours.send(self._unsent) :] if self._unsent else b""
        except BlockingIOError:
            pass
        except OSError:
            self.abandon()
            return
        if self._unsent:
            self._loop.add_writer(self._ours.fileno(), self._write)
        elif not self._follow or self._has_left():
            self.abandon()
        else:
            self._loop.remove_writer(self._ours.fileno())
            self._loop.call_later(INTERVAL, self._read)

    def _read(self) -> None:
        self._unsent = self._tail.read(False)
        self._write()

    def _has_left(self) -> bool:
        """Whether nobody reads any more; nothing is ever sent here."""
        with suppress(BlockingIOError):
            return not self._ours.recv(1)
        return False

    def abandon(self) -> None:
        """End it."""
        self._loop.remove_writer(self._ours.fileno())
        self._ours.close()
        self._tail.close()
