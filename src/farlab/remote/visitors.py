"""The laptops that visit a session: their lines, and the links that carry them for now. Python 3.6."""

import os
import time
from contextlib import suppress

from farlab.remote import frames
from farlab.remote.carrier import Carrier
from farlab.remote.frames import ProtocolError
from farlab.remote.line import Line

LINE_LIMIT = 64 << 20
"""Bytes kept for a laptop that is away."""
LINE_LIFE = 72 * 3600.0
"""Seconds a line without a link is kept."""
LINK_SILENCE = 300.0
"""Seconds without a byte after which a link is taken for dead, so that its `sshd` does not stay for ever."""


class Visitor(object):
    """One laptop's keeper: its line, and the agent that brought the present link (a socket, or None)."""

    def __init__(self, anchor, line_id):
        self.line = Line(line_id, False, LINE_LIMIT)
        self.carrier = Carrier(anchor.loop, self.line, self._event, self._lost)
        self.left = time.monotonic()  # type: float | None # when the last link was lost, monotonic
        self.laptop = None
        self._heard = (0, 0.0)  # bytes_in, and since when it has been that
        self._anchor = anchor
        self._agent = None

    def arrive(self, hello, rest, fds, agent):
        """A new link has come; the agent of the one before may go."""
        token = self.line.accept(hello)  # or it raises, and nothing has changed
        self._dismiss()
        self._agent, self.left = agent, None
        self._heard = (-1, 0.0)
        self.carrier.carry(token, fds[0], fds[1], rest)
        self.inform()

    def inform(self):
        """Tell the keeper what the session is; it is told anew with each link."""
        if self.left is None:
            self.line.message({"session": self._anchor.description(secret=True)})
            self.carrier.pump()

    def check(self, now):
        """Whether the line is still worth keeping."""
        if self.left is not None:
            return now - self.left < LINE_LIFE
        if self._heard[0] != self.carrier.bytes_in:
            self._heard = (self.carrier.bytes_in, now)
        elif now - self._heard[1] > LINK_SILENCE:
            self.carrier.drop()
            self._lost("silence")
        return True

    def leave(self):
        self.carrier.close()
        self._dismiss()

    def _event(self, event):
        if event.kind == frames.OPEN:
            self.carrier.expect(event.stream)
            # not before all that came with it has been read: a RESET may follow at once
            self._anchor.loop.call_later(0, self._connect, event.stream, event.data)
        elif event.kind == frames.MESSAGE:
            self._anchor.told(self, event.data)

    def _connect(self, stream, destination):
        if not self.carrier.is_expected(stream):
            return
        sock = self._anchor.connect() if destination == "" else None
        if sock is not None:
            self.carrier.join(stream, sock)
        elif destination == "" and self._anchor.is_worth_waiting:
            self._anchor.loop.call_later(0.02, self._connect, stream, destination)
        else:
            self.carrier.give_up(stream)
        self.carrier.pump()

    def _lost(self, reason):
        self.left = time.monotonic()
        self._dismiss()

    def _dismiss(self):
        if self._agent is not None:
            self._agent.close()
            self._agent = None


class Newcomer(object):
    """A link that has been handed over, until it has said which line it carries."""

    def __init__(self, anchor, brought, fds, agent):
        self._anchor, self._brought, self._fds, self._agent = anchor, brought, fds, agent
        if len(fds) != 2:
            self._refuse()
            return
        for fd in fds:
            prepare(fd)
        anchor.loop.add_reader(fds[0], self._read)
        self._greet()

    def _read(self):
        try:
            data = os.read(self._fds[0], 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._brought += data
        if data:
            self._greet()
        else:
            self._refuse()

    def _greet(self):
        try:
            greeting = frames.read_hello(self._brought)
            if greeting is None:
                return
            self._anchor.loop.remove_reader(self._fds[0])
            self._anchor.visitor(greeting[0]["line"]).arrive(greeting[0], greeting[1], self._fds, self._agent)
        except ProtocolError:
            self._refuse()

    def _refuse(self):
        if self._fds:
            self._anchor.loop.remove_reader(self._fds[0])
        self._agent.close()
        for fd in self._fds:
            os.close(fd)


def prepare(fd):
    """Make a link's descriptor non-blocking, and wide where it is a pipe."""
    import fcntl

    os.set_blocking(fd, False)
    with suppress(OSError):  # not a pipe, or not Linux, or the person's share of pipes is used up
        fcntl.fcntl(fd, 1031, 1 << 20)  # F_SETPIPE_SZ, fcntl(2); Python names it from 3.10 on
