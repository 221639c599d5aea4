"""A link that has been handed over, until its first frame says which mux it carries. Python 3.6."""

from farlab.mux import codec
from farlab.mux.frames import ProtocolError

MYPY = False
if MYPY:
    import socket
    from collections.abc import Callable

    from farlab.host.client import Client
    from farlab.host.reactor import Reactor, Timer
    from farlab.mux.pipes import LinkPipes

MAX_NOISE = 1 << 20
"""Bytes that a link may bring before it says whose it is."""


class PendingLink(object):
    """`version`: of the mux. `received`: came over it already. `client_of(mux_id)`: whom it belongs to."""

    def __init__(
        self,
        loop: "Reactor",
        pipes: "LinkPipes",
        agent: "socket.socket",
        version: int,
        received: bytes,
        client_of: "Callable[[str], Client]",
    ) -> None:
        self.pipes, self.agent, self.version = pipes, agent, version
        self._loop, self._received, self._client_of = loop, received, client_of
        self._timer: "Timer | None" = None  # none once the link has been given away or refused

    def begin(self, timeout: float) -> None:
        """Read until the HELLO is there, for at most `timeout` seconds."""
        self._timer = self._loop.call_later(timeout, self._refuse)
        self._loop.add_reader(self.pipes.read_fd, self._read)
        self._parse()

    def abandon(self) -> None:
        """End the link with its agent, whichever object has it by now: something of ours went wrong."""
        if self._timer is None:
            self.agent.close()
        else:
            self._refuse()

    def _read(self) -> None:
        try:
            data = self.pipes.read(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        if data and len(self._received) <= MAX_NOISE:
            self._parse()
        else:
            self._refuse()

    def _parse(self) -> None:
        try:
            found = codec.read_hello(self._received, self.version)
            if found is not None:
                self._stop_reading()
                hello, rest = found
                self._client_of(str(hello["line"])).attach(hello, rest, self)
        except ProtocolError:
            self._refuse()

    def _stop_reading(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._loop.remove_reader(self.pipes.read_fd)

    def _refuse(self) -> None:
        self._stop_reading()
        self.agent.close()
        self.pipes.close()
