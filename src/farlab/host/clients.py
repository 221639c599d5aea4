"""The laptops that visit a session: their lines, and the links that carry them for now. Python 3.6."""

import time
from collections import deque

from farlab.mux import codec, frames
from farlab.mux.driver import MuxDriver
from farlab.mux.frames import ProtocolError
from farlab.mux.mux import Mux

LINE_LIMIT = 64 << 20
"""Bytes kept for a laptop that is away."""
LIMITS = range(1 << 20, 1 << 40)
LINE_LIFE = 72 * 3600.0
"""Seconds a line without a link is kept. This and the limit are the laptop's to change."""
MOST_LIFE = 1e10
ABSENCE = 8.0
"""Seconds without a byte after which a laptop is away, though its link stands: it says something every three."""
FULL = 1.0
"""Seconds without room that are worth telling."""
GREETING_TIMEOUT = 60.0
"""Seconds within which a link must have said whose it is."""
MOST_NOISE = 1 << 20
"""Bytes that a link may bring before it says whose it is."""
LINK_SILENCE = 1800.0
"""Seconds without a byte after which a link is taken for dead, so that its `sshd` does not stay for ever."""


class Client(object):
    """One laptop's keeper: its line, and the agent that brought the present link (a socket, or None)."""

    def __init__(self, anchor, line_id):
        self.line = Mux(line_id, False, LINE_LIMIT)
        self.carrier = MuxDriver(anchor.loop, self.line, self._event, self._lost)
        self.left = time.monotonic()  # type: float | None # when the last link was lost, monotonic
        self.laptop = None
        self.life = LINE_LIFE
        self._full = None  # the last absence in which the line was full: when, monotonic, and for how long
        self._waiting = deque()  # type: deque[tuple[int, str]] # streams to be connected, each with its destination
        self._is_due = False
        self._anchor = anchor
        self._agent = None

    def arrive(self, hello, rest, link):
        """A new link has come; the agent of the one before may go."""
        waits = self.carrier.waits_since  # before there is room again
        token = self.line.accept(hello, link.version)  # or it raises, and nothing has changed
        self._look_back(waits, time.monotonic())
        self._dismiss()
        self._agent, self.left = link.agent, None
        self.carrier.carry(token, link.wire, rest)
        self.inform()

    def inform(self):
        """Tell the keeper what the session is; it is told anew with each link."""
        if self.left is None:
            line = {"limit": self.line.limit, "seconds": self.life, "full": self._told_full(time.monotonic())}
            self.line.message({"session": self._anchor.description(secret=True), "line": line})
            self.carrier.pump()

    def check(self, now):
        """Whether the line is still worth keeping."""
        if self.left is not None:
            return now - self.left < self.life
        silence = now - self.carrier.heard_at
        if silence > LINK_SILENCE:
            self.carrier.drop()
            self._lost("silence")
        elif silence > ABSENCE:
            self.line.silent()
            self.carrier.pump()  # it may hold more now
        return True

    def keep(self, words):
        """How much is kept while this laptop is away, and for how long: its own word."""
        size, seconds = (words.get(key) for key in ("bytes", "seconds"))
        if isinstance(size, int):
            self.line.limit = min(max(LIMITS[0], size), LIMITS[-1])
        if isinstance(seconds, (int, float)) and 0 < seconds < MOST_LIFE:
            self.life = float(seconds)
        self.inform()

    def _look_back(self, waits, now):
        """The laptop is here again: remember whether its line was full meanwhile, so that kernels' output waited."""
        is_known = self.left is not None
        away = self.left if is_known else self.carrier.heard_at
        since = now if waits is None else max(away, now - (time.time() - waits))
        self._full = (since, now - since) if now - since > (FULL if is_known else ABSENCE) else None

    def _told_full(self, now):
        return None if self._full is None else {"ago": now - self._full[0], "for": self._full[1]}

    def leave(self):
        self.carrier.close()
        self._dismiss()

    def _event(self, event):
        if event.kind == frames.OPEN:
            self.carrier.expect(event.stream)
            self._waiting.append((event.stream, event.data))
            # not before all that came with it has been read: a RESET may follow at once
            self._connect_in(0)
        elif event.kind == frames.MESSAGE:
            self._anchor.told(self, event.data)

    def _connect_in(self, seconds):
        if not self._is_due:
            self._is_due = True
            self._anchor.loop.call_later(seconds, self._connect)

    def _connect(self):
        """Connect the streams that wait for it, first come, first served."""
        self._is_due = False
        while self._waiting:
            stream, destination = self._waiting[0]
            is_expected = self.carrier.is_expected(stream)
            sock = self._anchor.connect() if is_expected and destination == "" else None
            if sock is not None:
                self.carrier.join(stream, sock)
            elif is_expected and destination == "" and self._anchor.is_worth_waiting:
                self._connect_in(0.02)
                break
            elif is_expected:
                self.carrier.give_up(stream)
            self._waiting.popleft()
        self.carrier.pump()

    def _lost(self, reason):
        self.left = time.monotonic()
        self._dismiss()

    def _dismiss(self):
        if self._agent is not None:
            self._agent.close()
            self._agent = None


class PendingLink(object):
    """A link that has been handed over, until it has said which line it carries. `version`: of the mux."""

    def __init__(self, anchor, brought, wire, agent, version):
        self.wire, self.agent, self.version = wire, agent, version
        self._anchor, self._brought = anchor, brought
        self._patience = anchor.loop.call_later(GREETING_TIMEOUT, self._refuse)

    def begin(self):
        """Listen to what it says."""
        self._anchor.loop.add_reader(self.wire.read_fd, self._read)
        self._greet()

    def failed(self):
        """Something of ours went wrong: the link ends with its agent, whoever has it by now."""
        if self._patience.call is None:
            self.agent.close()
        else:
            self._refuse()

    def _read(self):
        try:
            data = self.wire.read(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._brought += data
        if data and len(self._brought) <= MOST_NOISE:
            self._greet()
        else:
            self._refuse()

    def _greet(self):
        try:
            greeting = codec.read_hello(self._brought, self.version)
            if greeting is None:
                return
            self._let_go()
            self._anchor.visitor(greeting[0]["line"]).arrive(greeting[0], greeting[1], self)
        except ProtocolError:
            self._refuse()

    def _let_go(self):
        self._patience.cancel()
        self._anchor.loop.remove_reader(self.wire.read_fd)

    def _refuse(self):
        self._let_go()
        self.agent.close()
        self.wire.close()
