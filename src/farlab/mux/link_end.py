"""This end of one link of a line: what was said over it, and which counted frames it may take or has to say again.

Rules: as for the line, whose part this is: pure, Python 3.6. On a link of version 1 counted frames follow one another
without gaps. On one of version 2 each has its number, and where one is missing the end that misses it says AGAIN; the
other answers BEGIN, and goes on from there. Neither must arrive, since others may print into the link: PING and PONG
tell how much was sent, and after `PATIENCE` of them without a BEGIN a PING asks whether the question was heard. What is
said comes in the order in which it was said: its PONG without a BEGIN before means no, and then, never earlier, the
question is put anew. So there are never two of which the other end answers one and this end expects the other.
"""

from collections import deque

from farlab.mux import frames
from farlab.mux.codec import Checked, Plain
from farlab.mux.frames import ProtocolError
from farlab.mux.streams import COST, Frame, Outbox

ACK_EVERY = 64 * 1024
"""Bytes after which a receiver says how far it came."""
FRAME_COST = 256
"""What each frame counts for that, beside its payload."""
MAX_CONTROL = 1024
"""Most link frames that wait to be sent; a peer that asks faster than it reads is cut."""
PATIENCE = 3
"""Heartbeats that a BEGIN may take until it is asked for."""
DOUBT = bytes(4)
"""Begins the mark of a PING that asks how much was sent, or whether a question was heard: its number follows."""


class LinkEnd(object):
    """`is_greeted`: their HELLO has come. `is_silent` is the driver's word: nothing is heard over it."""

    def __init__(self, codec: "Plain | Checked | None" = None, hello_codec: "Plain | Checked | None" = None) -> None:
        self.is_greeted = False
        self.is_silent = False
        self._codec = codec or Plain()
        self._hello_codec = hello_codec or self._codec
        self._control = []  # type: list[bytes | memoryview] # link frames to send
        self._is_open = False  # counted frames may be sent
        self._replay: "deque[Frame]" = deque()  # to send again before others
        self._skips = 0  # counted frames that version 1 says again and this end has had
        self._unsaid = 0  # bytes received since the other end was told how far we are
        self._is_recut_due = False  # what is to be said again is to be cut smaller before
        self._serial = 0  # of our last AGAIN
        self._is_asking = False  # it waits to be sent
        self._beats = -1  # heartbeats since then; negative while nothing is missed
        self._is_doubtful = False  # foreign bytes came, and nobody has said since how much was sent

    @property
    def version(self) -> int:
        """The mux's version that is spoken."""
        return self._codec.version

    @property
    def codec(self) -> "Plain | Checked":
        """What makes frames of the bytes that come."""
        return self._codec

    # what goes out ---------------------------------------------------------------------------------------

    def greet(self, hello: "dict[str, object]") -> None:
        """Say HELLO."""
        self._control.extend(self._hello_codec.pack(frames.HELLO, 0, 0, frames.pack_text(hello)))

    def replay(self, outbox: Outbox, skips: int = 0) -> None:
        """Counted frames may go, first what is not acknowledged; of those to come, `skips` were had before."""
        self._is_open, self._replay, self._skips = True, outbox.unacked(), skips

    def say_again(self, outbox: Outbox, serial: int, smaller: bool) -> None:
        """Answer the question of that number. It is cut anew only when it goes out: many questions may come at once."""
        self.say(frames.BEGIN, frames.SERIAL.pack(serial))
        self.replay(outbox)
        self._is_recut_due = self._is_recut_due or smaller

    def ping(self, mark: bytes, received: int, sent: int) -> None:
        """Say PING. `sent`: counted frames given out so far."""
        self._control.extend(self._codec.pack(frames.PING, 0, 0, self._beat(mark, received, sent)))

    def pong(self, mark: bytes, received: int, sent: int) -> None:
        """Answer a PING."""
        self.say(frames.PONG, self._beat(mark, received, sent))

    def _beat(self, mark: bytes, received: int, sent: int) -> bytes:
        self._unsaid = 0
        beat = frames.BEAT.pack(received, mark)
        return beat + frames.COUNT.pack(sent - len(self._replay)) if self.version > 1 else beat

    def say(self, kind: int, payload: bytes) -> None:
        """Queue a frame of the link's own. Raises ProtocolError where the other end asks and does not read."""
        if len(self._control) >= MAX_CONTROL:
            raise ProtocolError("a flood of questions")
        self._control.extend(self._codec.pack(kind, 0, 0, payload))

    def reassure(self) -> None:
        """Let the next thing said be an ACK, if a frame is under way."""
        if self.is_greeted and self._codec.is_partial:
            self._unsaid = ACK_EVERY

    def take(self, outbox: Outbox, received: int, size: int) -> "list[bytes | memoryview]":
        """What the link shall carry next, of `size` bytes or a little more."""
        buffers, self._control, self._is_asking = self._control, [], False
        if self._is_recut_due:
            outbox.lost(outbox.acked)
            self._replay, self._is_recut_due = outbox.unacked(), False
        if self._unsaid >= ACK_EVERY:
            buffers.extend(self._codec.pack(frames.ACK, 0, 0, frames.COUNT.pack(received)))
            self._unsaid = 0
        if outbox.largest < frames.MAX_PAYLOAD:
            size = min(size, outbox.largest)  # little at once comes between others' output whole
        while size > 0 and self._is_open:
            if self._replay:
                number, frame = outbox.sent - len(self._replay) + 1, self._replay.popleft()
            else:
                new = outbox.next(size)
                if new is None:
                    break
                number, frame = outbox.sent, new
            buffers.extend(self._codec.pack(frame.kind, frame.stream, number, frame.payload))
            size -= len(frame.payload) + COST
        return buffers

    # what comes in ---------------------------------------------------------------------------------------

    def is_next(self, number: "int | None", received: int) -> bool:
        """Whether a counted frame is the one after `received`: else it was had before, or one is missing."""
        if number is None:
            if not self.is_greeted:
                raise ProtocolError("a counted frame before the hello")
            if self._skips:
                self._skips -= 1
                return False
            return True
        ahead = (number - received - 1) & 0xFFFFFFFF
        if not self.is_greeted or 0 < ahead < 1 << 31:
            self.miss(received)
        return self.is_greeted and not ahead and self._beats < 0

    def took(self, size: int) -> None:
        """A counted frame with that payload was taken."""
        self._unsaid += size + FRAME_COST

    def miss(self, received: int) -> None:
        """Ask for all after `received` again, if that has not been asked."""
        if self._is_asking or (self._beats >= 0 and self.is_greeted):
            return
        self._serial, self._beats, self._is_asking = self._serial + 1, 0, True
        count = received if self.is_greeted else frames.MISSED_HELLO
        self.say(frames.AGAIN, frames.MISSED.pack(count, self._serial))

    def skipped(self, received: int, sent: int) -> None:
        """Foreign bytes came: find out whether they took a frame with them."""
        if not self.is_greeted:
            self.miss(received)
        elif not self._is_doubtful:
            self._is_doubtful = True
            self.doubt(received, sent)

    def doubt(self, received: int, sent: int) -> None:
        """Ask how much was sent, and with it whether our last question was heard."""
        self.say(frames.PING, self._beat(DOUBT + frames.SERIAL.pack(self._serial), received, sent))

    def begun(self, serial: "int | None" = None) -> None:
        """A BEGIN: what follows is what was asked for. None: whatever that was, it is void."""
        if serial in (None, self._serial):
            self._beats = -1

    def has_beaten(self, sent: int, received: int, answered: bytes) -> bool:
        """A PING or PONG (to the mark `answered`) said how much was sent before it. Whether it is time to `doubt`."""
        self._is_doubtful = False
        if self._beats < 0:
            if sent > received:
                self.miss(received)
            return False
        if answered == DOUBT + frames.SERIAL.pack(self._serial):
            self._beats = -1  # the question, or the answer to it, was lost
            self.miss(received)
            return False
        self._beats += 1
        return self._beats % PATIENCE == 0
