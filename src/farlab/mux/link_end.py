"""This end of one link of a mux: which frames wait to be sent on it, and which sequenced frames it takes.

Rules: pure, Python 3.6, like `mux`. On a link of version 1 sequenced frames follow one another without gaps. On one of
version 2 each has its number, and the end that misses one sends AGAIN; the other answers BEGIN and goes on from there.
Both may get lost, since others may print into the link. So PING and PONG tell how many frames were sent, and after
`HEARTBEATS_UNTIL_PROBE` of them without a BEGIN a PING asks whether the AGAIN arrived. Frames arrive in the order in
which they were sent: a PONG to it without a BEGIN before means no, and only then is a new AGAIN sent. So there are
never two of which the other end answers one while this end expects the answer to the other.
"""

from collections import deque

from farlab.mux import frames
from farlab.mux.codec import CheckedCodec, PlainCodec
from farlab.mux.frames import ProtocolError
from farlab.mux.streams import FRAME_OVERHEAD, Frame, SendQueue

ACK_THRESHOLD = 64 * 1024
"""Bytes received after which an ACK is due."""
ACK_FRAME_WEIGHT = 256
"""What each frame counts for that, beside its payload."""
MAX_CONTROL_FRAMES = 1024
"""Most link frames that may wait to be sent; the link of a peer that asks faster than it reads is cut."""
HEARTBEATS_UNTIL_PROBE = 3
"""Heartbeats without a BEGIN after which a probe asks for it."""
PROBE = bytes(4)
"""Begins the mark of a PING that asks how much was sent, or whether an AGAIN arrived; the number of that follows."""


class _Recovery(object):
    """How far asking for missing frames has come."""

    def __init__(self) -> None:
        self.serial = 0  # of our last AGAIN
        self._is_queued = False  # it waits to be sent
        self._heartbeats = -1  # since then; negative while no frame is missing
        self._is_probing = False  # foreign bytes came, and no heartbeat since

    @property
    def is_missing(self) -> bool:
        """Whether frames are missing."""
        return self._heartbeats >= 0

    def begin(self, may_repeat: bool) -> bool:
        """Whether to send an AGAIN, with the next number; not while one waits, or waits for its answer."""
        if self._is_queued or (self.is_missing and not may_repeat):
            return False
        self.serial, self._heartbeats, self._is_queued = self.serial + 1, 0, True
        return True

    def on_sent(self) -> None:
        """What waited is on its way."""
        self._is_queued = False

    def end(self, serial: "int | None" = None) -> None:
        """The frames asked for follow. None: forget what was asked for."""
        if serial in (None, self.serial):
            self._heartbeats = -1

    def on_gap(self) -> bool:
        """Whether to probe, since foreign bytes came."""
        before, self._is_probing = self._is_probing, True
        return not before

    def on_heartbeat(self) -> bool:
        """Count a heartbeat. Whether to probe, since there have been some since the AGAIN."""
        self._is_probing = False
        if not self.is_missing:
            return False
        self._heartbeats += 1
        return self._heartbeats % HEARTBEATS_UNTIL_PROBE == 0


class LinkEnd(object):
    """`has_hello`: the other end's HELLO has come. `is_stalled`: the driver says that the link brings nothing."""

    def __init__(
        self, codec: "PlainCodec | CheckedCodec | None" = None, hello_codec: "CheckedCodec | None" = None
    ) -> None:
        self.has_hello = False
        self.is_stalled = False
        self._codec = codec or PlainCodec()
        self._hello_codec = hello_codec or self._codec
        self._control = []  # type: list[bytes | memoryview] # link frames to send
        self._is_open = False  # sequenced frames may be sent
        self._replay: "deque[Frame]" = deque()  # to send again before new ones
        self._duplicates = 0  # frames to come on version 1 that this end has already
        self._unacked_bytes = 0  # received since the other end was told how far we are
        self._is_resend_smaller_due = False  # cut `_replay` smaller before it is sent
        self._recovery = _Recovery()
        self._is_noisy = False  # foreign bytes came

    @property
    def version(self) -> int:
        """The version of the mux protocol on this link."""
        return self._codec.version

    @property
    def codec(self) -> "PlainCodec | CheckedCodec":
        """Makes frames of the bytes that come."""
        return self._codec

    # sending ---------------------------------------------------------------------------------------------

    def send_hello(self, hello: "dict[str, object]") -> None:
        """Queue our HELLO."""
        self._control.extend(self._hello_codec.pack(frames.HELLO, 0, 0, frames.pack_text(hello)))

    def start_sending(self, queue: SendQueue, duplicates: int = 0) -> None:
        """Let sequenced frames go, first those not acknowledged. The first `duplicates` to come are known already."""
        self._is_open, self._replay, self._duplicates = True, queue.unacked(), duplicates

    def retransmit(self, queue: SendQueue, serial: int, smaller: bool) -> None:
        """Answer AGAIN number `serial`. Frames are cut `smaller` only when they go out: many may ask at once."""
        self.send_control(frames.BEGIN, frames.SERIAL.pack(serial))
        self.start_sending(queue)
        self._is_resend_smaller_due = self._is_resend_smaller_due or smaller

    def send_ping(self, mark: bytes, received: int, sent: int) -> None:
        """Queue a PING. `sent`: the number of the last sequenced frame."""
        self._control.extend(self._codec.pack(frames.PING, 0, 0, self._heartbeat(mark, received, sent)))

    def send_pong(self, mark: bytes, received: int, sent: int) -> None:
        """Queue the answer to a PING."""
        self.send_control(frames.PONG, self._heartbeat(mark, received, sent))

    def _heartbeat(self, mark: bytes, received: int, sent: int) -> bytes:
        self._unacked_bytes = 0
        beat = frames.HEARTBEAT.pack(received, mark)
        return beat + frames.COUNT.pack(sent - len(self._replay)) if self.version > 1 else beat

    def send_control(self, kind: int, payload: bytes) -> None:
        """Queue a link frame. Raises ProtocolError if the other end asks for many and does not read them."""
        if len(self._control) >= MAX_CONTROL_FRAMES:
            raise ProtocolError("a flood of questions")
        self._control.extend(self._codec.pack(kind, 0, 0, payload))

    def ack_now(self) -> None:
        """Send an ACK next, if a frame has arrived in part."""
        if self.has_hello and self._codec.is_partial:
            self._unacked_bytes = ACK_THRESHOLD

    def next_buffers(self, queue: SendQueue, received: int, size: int) -> "list[bytes | memoryview]":
        """Take the next buffers to write, `size` bytes or a little more."""
        buffers, self._control = self._control, []
        self._recovery.on_sent()
        if self._is_resend_smaller_due:
            queue.resend_smaller(queue.acked)
            self._replay, self._is_resend_smaller_due = queue.unacked(), False
        if self._unacked_bytes >= ACK_THRESHOLD:
            buffers.extend(self._codec.pack(frames.ACK, 0, 0, frames.COUNT.pack(received)))
            self._unacked_bytes = 0
        if queue.max_payload < frames.MAX_PAYLOAD:
            size = min(size, queue.max_payload)  # little at once comes between others' output whole
        while size > 0 and self._is_open:
            if self._replay:
                number, frame = queue.sent - len(self._replay) + 1, self._replay.popleft()
            else:
                new = queue.next_frame(size)
                if new is None:
                    break
                number, frame = queue.sent, new
            buffers.extend(self._codec.pack(frame.kind, frame.stream, number, frame.payload))
            size -= len(frame.payload) + FRAME_OVERHEAD
        return buffers

    # receiving -------------------------------------------------------------------------------------------

    def is_next(self, number: "int | None", received: int) -> bool:
        """Whether to take sequenced frame `number`: not if it was received before, or one before it is missing."""
        if number is None:
            if not self.has_hello:
                raise ProtocolError("a counted frame before the hello")
            if self._duplicates:
                self._duplicates -= 1
                return False
            return True
        ahead = (number - received - 1) & 0xFFFFFFFF
        if not self.has_hello or 0 < ahead < 1 << 31:
            self.request_retransmission(received)
        return self.has_hello and not ahead and not self._recovery.is_missing

    def count_received(self, size: int) -> None:
        """Count a sequenced frame of that payload for the next ACK."""
        self._unacked_bytes += size + ACK_FRAME_WEIGHT

    def request_retransmission(self, received: int) -> None:
        """Send AGAIN for all after `received`, unless one is waiting for its answer."""
        if self._recovery.begin(may_repeat=not self.has_hello):
            count = received if self.has_hello else frames.MISSED_HELLO
            self.send_control(frames.AGAIN, frames.MISSED.pack(count, self._recovery.serial))

    def on_gap(self, received: int, sent: int) -> bool:
        """Foreign bytes came: find out whether they have destroyed a frame. Returns whether they are the first."""
        if not self.has_hello:
            self.request_retransmission(received)
        elif self._recovery.on_gap():
            self.send_probe(received, sent)
        was_noisy, self._is_noisy = self._is_noisy, True
        return not was_noisy

    def send_probe(self, received: int, sent: int) -> None:
        """Ask how much was sent, and with it whether our last AGAIN arrived."""
        self.send_control(
            frames.PING, self._heartbeat(PROBE + frames.SERIAL.pack(self._recovery.serial), received, sent)
        )

    def on_begin(self, serial: "int | None" = None) -> None:
        """BEGIN: the frames asked for follow. None: forget what was asked for."""
        self._recovery.end(serial)

    def on_heartbeat(self, sent: int, received: int, answered: bytes) -> bool:
        """A PING, or a PONG to the mark `answered`, has told how much was `sent`. Returns whether a probe is due."""
        was_missing, is_due = self._recovery.is_missing, self._recovery.on_heartbeat()
        if was_missing and answered == PROBE + frames.SERIAL.pack(self._recovery.serial):
            self._recovery.end()  # the AGAIN or its BEGIN was lost
            self.request_retransmission(received)
            return False
        if not was_missing and sent > received:
            self.request_retransmission(received)
        return is_due

    def on_hello(self) -> None:
        """The other end's HELLO has come."""
        self.has_hello = True

    def set_stalled(self, is_stalled: bool) -> None:
        """Whether the link brings nothing."""
        self.is_stalled = is_stalled
