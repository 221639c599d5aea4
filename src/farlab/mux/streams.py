"""The mux's streams and what waits to be sent on them: chooses the next frame, and keeps each until it is acknowledged.

Rules: pure, Python 3.6, like `mux`. `next_frame` counts and keeps each frame that it returns, until `ack`. `buffered`
is, to the byte, what is kept or waits.

Order: first control frames (OPEN, RESET, WINDOW, MESSAGE), then streams with little to send, then bulk. Streams of a
kind take turns, and bulk gets a turn after every `BULK_QUANTUM` bytes of the others, so that nothing ever starves.
"""

from collections import OrderedDict, deque, namedtuple

from farlab.mux import frames
from farlab.mux.frames import ProtocolError

MAX_WINDOW = 8 * 1024 * 1024
STREAM_BUFFER = 1024 * 1024
"""Most bytes that one stream may have unsent while a link stands; never more than half of what is free."""
INTERACTIVE_LIMIT = 16 * 1024
"""A stream with no more than this to send goes before bulk."""
BULK_QUANTUM = 256 * 1024
"""Bytes of interactive streams that may go before a waiting bulk stream has its turn."""
COALESCE_LIMIT = 2 * 1024
"""Waiting pieces are joined up to this size: many tiny ones would need far more memory than they count."""
FRAME_OVERHEAD = 22
"""Bytes that a frame counts for beside its payload: the header of the newest version."""
MIN_PAYLOAD = 4 * 1024
"""Frames are not cut smaller than this where other programs print between them: what a pipe takes whole, pipe(7)."""
GROW_AFTER = 8 * 1024 * 1024
"""Acknowledged bytes after which frames may be twice as large again."""
NO_EOF, EOF_QUEUED, EOF_SENT = range(3)
"""How far our EOF on a stream has come."""


Frame = namedtuple("Frame", "kind stream payload")
"""A sequenced frame; it counts as its payload and `FRAME_OVERHEAD`."""


class Stream(object):
    """One of the mux's streams, as this end sees it. Bytes throughout."""

    __slots__ = ("credit", "eof", "eof_received", "id", "open_sent", "pending", "pending_credit", "queue", "queued",
                 "recv_window", "unconsumed", "window")  # fmt: skip

    def __init__(self, stream_id: int, open_sent: bool) -> None:
        self.id = stream_id
        self.open_sent = open_sent
        self.pending = deque()  # type: deque[bytes | memoryview]
        self.queued = 0  # bytes in `pending`
        self.queue = None  # type: OrderedDict[int, Stream] | None # where it waits for its turn
        self.credit = frames.INITIAL_WINDOW  # what the other end still takes
        self.window = frames.INITIAL_WINDOW  # what the other end may send when all has been consumed
        self.recv_window = frames.INITIAL_WINDOW  # what the other end may still send
        self.unconsumed = 0  # delivered here, not yet consumed
        self.pending_credit = 0  # consumed here, not yet given back as credit
        self.eof = NO_EOF
        self.eof_received = False

    def grant(self, size: int) -> int:
        """Count `size` bytes as consumed. Returns the credit to send for them, 0 while it is not worth a frame.

        A reader that keeps up gets a window twice as large, so that it can fill a long path.
        """
        self.unconsumed -= size
        self.pending_credit += size
        if self.eof_received or self.pending_credit * 2 < self.window:
            return 0
        credit = self.pending_credit
        if not self.unconsumed and self.window < MAX_WINDOW:
            credit += self.window
            self.window *= 2
        self.pending_credit = 0
        self.recv_window += credit
        return credit


class SendQueue(object):
    """All that one end has to send. `limit`: the bytes of it after which `can_send` says no."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.streams = {}  # type: dict[int, Stream]
        self.buffered = 0
        self.sent = self.acked = 0  # sequenced frames
        self._control = OrderedDict()  # type: OrderedDict[object, Frame] # an OPEN by its stream
        self._interactive = OrderedDict()  # type: OrderedDict[int, Stream]
        self._bulk = OrderedDict()  # type: OrderedDict[int, Stream]
        self._before_bulk = BULK_QUANTUM  # bytes that may still go before bulk
        self._unacked = deque()  # type: deque[Frame]
        self._max_payload = frames.MAX_PAYLOAD
        self._acked_since_loss = 0  # bytes acknowledged since frames were lost

    def can_send(self, stream: Stream, is_linked: bool) -> bool:
        """Whether more may be queued on a stream now. However many are full, there is room for one more."""
        room = (self.limit - self.buffered) // 2
        return stream.eof == NO_EOF and stream.queued < (min(STREAM_BUFFER, room) if is_linked else room)

    # in --------------------------------------------------------------------------------------------------

    def queue_control(self, kind: int, stream_id: int, payload: bytes = b"") -> None:
        """Queue a frame that goes before all data."""
        self._control[stream_id if kind == frames.OPEN else object()] = Frame(kind, stream_id, payload)
        self.buffered += FRAME_OVERHEAD + len(payload)

    def queue_data(self, stream: Stream, data: "bytes | memoryview") -> None:
        """Queue data on a stream."""
        size = len(data)
        pending = stream.pending
        if pending and len(pending[-1]) + size <= COALESCE_LIMIT:
            pending[-1] = b"".join((pending[-1], data))
        else:
            pending.append(data)
        stream.queued += size
        self.buffered += size
        self.schedule(stream)

    def queue_eof(self, stream: Stream) -> None:
        """Queue a stream's EOF, after its data."""
        stream.eof = EOF_QUEUED
        self.schedule(stream)

    def schedule(self, stream: Stream) -> None:
        """Let a stream wait for its turn, if there is something that it may send."""
        if stream.queue is None and (stream.credit > 0 if stream.pending else stream.eof == EOF_QUEUED):
            stream.queue = self._interactive if stream.queued <= INTERACTIVE_LIMIT else self._bulk
            stream.queue[stream.id] = stream

    def discard(self, stream: Stream) -> None:
        """Forget a stream with all that waits on it. Frames that `next_frame` has returned stay."""
        del self.streams[stream.id]
        self.buffered -= stream.queued
        stream.queued = 0
        stream.pending.clear()
        if stream.queue is not None:
            del stream.queue[stream.id]
            stream.queue = None
        frame = None if stream.open_sent else self._control.pop(stream.id, None)
        if frame is not None:
            self.buffered -= FRAME_OVERHEAD + len(frame.payload)

    # out -------------------------------------------------------------------------------------------------

    def next_frame(self, room: int) -> "Frame | None":
        """Take the next frame, of little more than `room` bytes; from now on it counts as sent."""
        if self._control:
            frame = self._control.popitem(last=False)[1]  # type: Frame
            if frame.kind == frames.OPEN:
                self.streams[frame.stream].open_sent = True
        elif self._interactive or self._bulk:
            stream = self._next_stream()
            frame = self._cut(stream, room) if stream.pending else self._end(stream)
            self.buffered += FRAME_OVERHEAD
        else:
            return None
        self.sent += 1
        self._unacked.append(frame)
        return frame

    def _next_stream(self) -> Stream:
        if self._interactive and (self._before_bulk > 0 or not self._bulk):
            stream = self._interactive.popitem(last=False)[1]
            self._before_bulk -= stream.queued + FRAME_OVERHEAD if self._bulk else 0
        else:
            stream = self._bulk.popitem(last=False)[1]
            self._before_bulk = BULK_QUANTUM
        stream.queue = None
        return stream

    def _cut(self, stream: Stream, room: int) -> "Frame":
        """Take one DATA frame from the front of a stream. Never leaves a small remnant of a piece."""
        piece = stream.pending[0]
        most = min(stream.credit, self._max_payload)
        if len(piece) > room + INTERACTIVE_LIMIT:
            most = min(most, max(room, INTERACTIVE_LIMIT))
        if len(piece) > most:
            view = memoryview(piece)
            piece, stream.pending[0] = view[:most], view[most:]
        else:
            stream.pending.popleft()
        size = len(piece)
        stream.queued -= size
        stream.credit -= size
        self.schedule(stream)
        return Frame(frames.DATA, stream.id, piece)

    def _end(self, stream: Stream) -> "Frame":
        """A stream's EOF. The stream ends with it if the other end's EOF has come before."""
        stream.eof = EOF_SENT
        if stream.eof_received:
            self.discard(stream)
        return Frame(frames.EOF, stream.id, b"")

    # what has been sent ----------------------------------------------------------------------------------

    def check_ack(self, count: int) -> None:
        """Raise ProtocolError unless the other end can have received `count` frames."""
        if not self.acked <= count <= self.sent:
            raise ProtocolError("%d acknowledged of %d sent, %d before" % (count, self.sent, self.acked))

    def ack(self, count: int) -> None:
        """The other end has received `count` frames."""
        self.check_ack(count)
        buffered = self.buffered
        for _ in range(count - self.acked):
            self.buffered -= FRAME_OVERHEAD + len(self._unacked.popleft().payload)
        self.acked = count
        self._acked_since_loss += buffered - self.buffered
        if self._acked_since_loss > GROW_AFTER and self._max_payload < frames.MAX_PAYLOAD:
            self._max_payload, self._acked_since_loss = 2 * self._max_payload, 0

    def unacked(self) -> "deque[Frame]":
        """The frames to be sent again on a new link."""
        return self._unacked.copy()

    @property
    def max_payload(self) -> int:
        """The size, in bytes of payload, to which frames are cut now."""
        return self._max_payload

    def resend_smaller(self, count: int) -> None:
        """Cut everything after the first `count` frames into smaller frames, which get new numbers.

        The other end has received `count` frames and misses the next: what hit a large frame will hit it again.
        """
        self.ack(count)
        self._max_payload, self._acked_since_loss = max(self._max_payload // 16, MIN_PAYLOAD), 0
        again = deque()  # type: deque[Frame]
        for kind, stream_id, payload in self._unacked:
            whole = kind != frames.DATA or len(payload) <= self._max_payload
            pieces = [payload] if whole else _pieces(memoryview(payload), self._max_payload)
            again.extend(Frame(kind, stream_id, piece) for piece in pieces)
        self.buffered += FRAME_OVERHEAD * (len(again) - len(self._unacked))
        self._unacked, self.sent = again, count + len(again)

    def start_over(self) -> "list[int]":
        """Drop every stream that the other end, which has forgotten everything, had been told of. Returns their ids.

        Streams whose OPEN was never sent stay, and messages that were not sent yet.
        """
        lost = [stream for stream in self.streams.values() if stream.open_sent]
        for stream in lost:
            self.discard(stream)
        for key, (kind, _, payload) in list(self._control.items()):
            if kind not in (frames.OPEN, frames.MESSAGE):
                del self._control[key]
                self.buffered -= FRAME_OVERHEAD + len(payload)
        self.ack(self.sent)
        self.sent = self.acked = 0
        return [stream.id for stream in lost]


def _pieces(payload: memoryview, size: int) -> "list[memoryview]":
    return [payload[at : at + size] for at in range(0, len(payload), size)]
