"""The line's streams and what waits to be sent on them: which frame goes next, and what is kept until acknowledged.

Rules: as for the line, whose other half this is: pure, Python 3.6. Every frame given out by `next` is counted and
kept until `ack`; `held` is, to the byte, what is kept or waits.

Order: first what steers (OPEN, RESET, WINDOW, MESSAGE), then streams with little to send, then bulk. Streams of a
kind take turns, and bulk gets a turn after every `TURN` bytes of the others, so that nothing ever starves.
"""

from collections import OrderedDict, deque, namedtuple

from farlab.mux import frames
from farlab.mux.frames import ProtocolError

MAX_WINDOW = 8 * 1024 * 1024
SHARE = 1024 * 1024
"""Most bytes one stream may hold unsent while a link stands; never more than half of what is free."""
SMALL = 16 * 1024
"""A stream with no more than this to send goes before bulk."""
TURN = 256 * 1024
"""Bytes that may go before bulk, while there is some, until bulk has a turn."""
CRUMB = 2 * 1024
"""Pieces that wait are joined up to this size: many tiny ones would need far more memory than they count."""
COST = 22
"""Bytes that a frame counts for beside its payload: the head of the newest version."""
LEAST = 4 * 1024
"""Least size to which frames are cut where others print between them: what goes into a pipe at once, pipe(7)."""
CALM = 8 * 1024 * 1024
"""Bytes after which they may be twice as large again."""


Frame = namedtuple("Frame", "kind stream payload")
"""A counted frame; it counts as its payload and `COST`."""


class Stream(object):
    """One of the line's streams, as this end sees it. Bytes throughout."""

    __slots__ = ("announced", "credit", "ended", "finished", "id", "owed", "pending", "queue", "receivable", "size",
                 "unread", "window")  # fmt: skip

    def __init__(self, stream_id: int, announced: bool) -> None:
        self.id = stream_id
        self.announced = announced  # its OPEN has been sent
        self.pending = deque()  # type: deque[bytes | memoryview]
        self.size = 0  # bytes in `pending`
        self.queue = None  # type: OrderedDict[int, Stream] | None # where it waits for its turn
        self.credit = frames.FIRST_WINDOW  # what the other end still takes
        self.window = frames.FIRST_WINDOW  # what is open for the other end, when all has been consumed
        self.receivable = frames.FIRST_WINDOW  # what the other end may still send
        self.unread = 0  # delivered here, not yet consumed
        self.owed = 0  # consumed here, not yet given back as credit
        self.finished = ""  # our EOF: "wanted", then "sent"
        self.ended = False  # their EOF has come

    def grant(self, size: int) -> int:
        """`size` bytes were consumed: the credit to give for it, 0 if that is not worth a frame yet.

        A reader that keeps up gets a window twice as large, so that a long path can be filled.
        """
        self.unread -= size
        self.owed += size
        if self.ended or self.owed * 2 < self.window:
            return 0
        credit = self.owed
        if not self.unread and self.window < MAX_WINDOW:
            credit += self.window
            self.window *= 2
        self.owed = 0
        self.receivable += credit
        return credit


class Outbox(object):
    """All that one end has to send. `limit`: bytes of it at most, before `wants` says no."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.streams = {}  # type: dict[int, Stream]
        self.held = 0
        self.sent = self.acked = 0  # counted frames
        self._orders = OrderedDict()  # type: OrderedDict[object, Frame] # by the stream that one opens
        self._small = OrderedDict()  # type: OrderedDict[int, Stream]
        self._bulk = OrderedDict()  # type: OrderedDict[int, Stream]
        self._turn = TURN  # bytes that may still go before bulk
        self._unacked = deque()  # type: deque[Frame]
        self._largest = frames.MAX_PAYLOAD
        self._calm = 0  # bytes acknowledged since frames were lost

    def wants(self, stream: Stream, linked: bool) -> bool:
        """Whether more may be put on a stream now. However many are full, there is room for one more."""
        room = (self.limit - self.held) // 2
        return not stream.finished and stream.size < (min(SHARE, room) if linked else room)

    # in --------------------------------------------------------------------------------------------------

    def order(self, kind: int, stream_id: int, payload: bytes = b"") -> None:
        """Queue a frame that goes before all data."""
        self._orders[stream_id if kind == frames.OPEN else object()] = Frame(kind, stream_id, payload)
        self.held += COST + len(payload)

    def put(self, stream: Stream, data: "bytes | memoryview") -> None:
        """Queue data on a stream."""
        size = len(data)
        pending = stream.pending
        if pending and len(pending[-1]) + size <= CRUMB:
            pending[-1] = b"".join((pending[-1], data))
        else:
            pending.append(data)
        stream.size += size
        self.held += size
        self.ready(stream)

    def finish(self, stream: Stream) -> None:
        """Queue a stream's EOF, after its data."""
        stream.finished = "wanted"
        self.ready(stream)

    def ready(self, stream: Stream) -> None:
        """Let a stream wait for its turn, if there is something that it may send."""
        if stream.queue is None and (stream.credit > 0 if stream.pending else stream.finished == "wanted"):
            stream.queue = self._small if stream.size <= SMALL else self._bulk
            stream.queue[stream.id] = stream

    def drop(self, stream: Stream) -> None:
        """Forget a stream with all that waits on it; what was given out already stays."""
        del self.streams[stream.id]
        self.held -= stream.size
        stream.size = 0
        stream.pending.clear()
        if stream.queue is not None:
            del stream.queue[stream.id]
            stream.queue = None
        order = None if stream.announced else self._orders.pop(stream.id, None)
        if order is not None:
            self.held -= COST + len(order.payload)

    # out -------------------------------------------------------------------------------------------------

    def next(self, room: int) -> "Frame | None":
        """The next frame, little more than `room` bytes; from now on it counts as sent."""
        if self._orders:
            frame = self._orders.popitem(last=False)[1]  # type: Frame
            if frame.kind == frames.OPEN:
                self.streams[frame.stream].announced = True
        elif self._small or self._bulk:
            stream = self._next_stream()
            frame = self._cut(stream, room) if stream.pending else self._end(stream)
            self.held += COST
        else:
            return None
        self.sent += 1
        self._unacked.append(frame)
        return frame

    def _next_stream(self) -> Stream:
        if self._small and (self._turn > 0 or not self._bulk):
            stream = self._small.popitem(last=False)[1]
            self._turn -= stream.size + COST if self._bulk else 0
        else:
            stream = self._bulk.popitem(last=False)[1]
            self._turn = TURN
        stream.queue = None
        return stream

    def _cut(self, stream: Stream, room: int) -> "Frame":
        """One DATA frame from the front of a stream; no piece is cut so that only a little of it remains."""
        piece = stream.pending[0]
        most = min(stream.credit, self._largest)
        if len(piece) > room + SMALL:
            most = min(most, max(room, SMALL))
        if len(piece) > most:
            view = memoryview(piece)
            piece, stream.pending[0] = view[:most], view[most:]
        else:
            stream.pending.popleft()
        size = len(piece)
        stream.size -= size
        stream.credit -= size
        self.ready(stream)
        return Frame(frames.DATA, stream.id, piece)

    def _end(self, stream: Stream) -> "Frame":
        """A stream's EOF; if the other end's has come before, that is the end of it."""
        stream.finished = "sent"
        if stream.ended:
            self.drop(stream)
        return Frame(frames.EOF, stream.id, b"")

    # what has been sent ----------------------------------------------------------------------------------

    def check(self, count: int) -> None:
        """Whether the other end can have received `count` frames."""
        if not self.acked <= count <= self.sent:
            raise ProtocolError("%d acknowledged of %d sent, %d before" % (count, self.sent, self.acked))

    def ack(self, count: int) -> None:
        """The other end has received `count` frames."""
        self.check(count)
        held = self.held
        for _ in range(count - self.acked):
            self.held -= COST + len(self._unacked.popleft().payload)
        self.acked = count
        self._calm += held - self.held
        if self._calm > CALM and self._largest < frames.MAX_PAYLOAD:
            self._largest, self._calm = 2 * self._largest, 0

    def unacked(self) -> "deque[Frame]":
        """The frames to be sent again on a new link."""
        return self._unacked.copy()

    @property
    def largest(self) -> int:
        """Bytes of payload at most that frames are cut to now."""
        return self._largest

    def lost(self, count: int) -> None:
        """Of what was sent over a link the other end has received `count` frames and misses the next.

        What hit a large frame will hit it again: the rest is cut into smaller ones, which get other numbers.
        """
        self.ack(count)
        self._largest, self._calm = max(self._largest // 16, LEAST), 0
        again = deque()  # type: deque[Frame]
        for kind, stream_id, payload in self._unacked:
            whole = kind != frames.DATA or len(payload) <= self._largest
            pieces = [payload] if whole else _pieces(memoryview(payload), self._largest)
            again.extend(Frame(kind, stream_id, piece) for piece in pieces)
        self.held += COST * (len(again) - len(self._unacked))
        self._unacked, self.sent = again, count + len(again)

    def start_over(self) -> "list[int]":
        """The other end knows nothing any more: drop every stream it was told of; returns their ids.

        Streams that it never heard of, and messages not sent yet, stay.
        """
        lost = [stream for stream in self.streams.values() if stream.announced]
        for stream in lost:
            self.drop(stream)
        for key, (kind, _, payload) in list(self._orders.items()):
            if kind not in (frames.OPEN, frames.MESSAGE):
                del self._orders[key]
                self.held -= COST + len(payload)
        self.ack(self.sent)
        self.sent = self.acked = 0
        return [stream.id for stream in lost]


def _pieces(payload: memoryview, size: int) -> "list[memoryview]":
    return [payload[at : at + size] for at in range(0, len(payload), size)]
