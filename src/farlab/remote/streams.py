"""The line's streams and what waits to be sent on them: which frame goes next, and what is kept until acknowledged.

Rules: as for the line, whose other half this is: pure, Python 3.6. Every frame given out by `next` is counted and
kept until `ack`; `held` is, to the byte, what is kept or waits.

Order: first what steers (OPEN, RESET, WINDOW, MESSAGE), then streams with little to send, then bulk. Streams of a
kind take turns, and bulk gets a turn after every `TURN` bytes of the others, so that nothing ever starves.
"""

from collections import deque
from collections.abc import Callable

from farlab.remote import frames
from farlab.remote.frames import ProtocolError

MAX_WINDOW = 8 * 1024 * 1024
SHARE = 1024 * 1024
"""Most bytes one stream may hold unsent while a link stands; never more than half of what is free."""
SMALL = 16 * 1024
"""A stream with no more than this to send goes before bulk."""
TURN = 256 * 1024
"""Bytes that may go before bulk, while there is some, until bulk has a turn."""
CRUMB = 2 * 1024
"""Pieces that wait are joined up to this size: many tiny ones would need far more memory than they count."""
JOIN = 4 * 1024
"""Head and payload of a frame up to this size become one buffer."""


class Stream(object):
    """One of the line's streams, as this end sees it. Bytes throughout."""

    __slots__ = ("announced", "credit", "ended", "finished", "id", "owed", "pending", "queue", "receivable", "size",
                 "unread", "window")  # fmt: skip

    def __init__(self, stream_id: int, announced: bool) -> None:
        self.id = stream_id
        self.announced = announced  # its OPEN has been sent
        self.pending = deque()  # type: deque[bytes | memoryview]
        self.size = 0  # bytes in `pending`
        self.queue = None  # type: deque[Stream] | None # where it waits for its turn
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
        self._orders = deque()  # type: deque[tuple[bytes, Stream | None]]
        self._small = deque()  # type: deque[Stream]
        self._bulk = deque()  # type: deque[Stream]
        self._turn = TURN  # bytes that may still go before bulk
        self._unacked = deque()  # type: deque[tuple[int, tuple[bytes | memoryview, ...]]]

    def wants(self, stream: Stream, linked: bool) -> bool:
        """Whether more may be put on a stream now. However many are full, there is room for one more."""
        room = (self.limit - self.held) // 2
        return not stream.finished and stream.size < (min(SHARE, room) if linked else room)

    # in --------------------------------------------------------------------------------------------------

    def order(self, frame: bytes, opens: "Stream | None" = None) -> None:
        """Queue a frame that goes before all data."""
        self._orders.append((frame, opens))
        self.held += len(frame)

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
            stream.queue.append(stream)

    def drop(self, stream: Stream) -> None:
        """Forget a stream with all that waits on it; what was given out already stays."""
        del self.streams[stream.id]
        self.held -= stream.size
        stream.size = 0
        stream.pending.clear()
        if stream.queue is not None:
            stream.queue.remove(stream)
            stream.queue = None
        if not stream.announced:
            self._keep_orders(lambda frame, opens: opens is not stream)

    def _keep_orders(self, is_kept: "Callable[[bytes, Stream | None], bool]") -> None:
        orders = self._orders
        self._orders = deque(order for order in orders if is_kept(*order))
        self.held += sum(len(frame) for frame, _ in self._orders) - sum(len(frame) for frame, _ in orders)

    # out -------------------------------------------------------------------------------------------------

    def next(self, room: int) -> "tuple[int, tuple[bytes | memoryview, ...]] | None":
        """The next frame as its size and buffers, little more than `room` bytes; from now on it counts as sent."""
        if self._orders:
            order, opens = self._orders.popleft()
            if opens is not None:
                opens.announced = True
            frame = (len(order), (order,))  # type: tuple[int, tuple[bytes | memoryview, ...]]
        elif self._small or self._bulk:
            stream = self._next_stream()
            frame = self._cut(stream, room) if stream.pending else self._end(stream)
            self.held += frames.HEAD.size
        else:
            return None
        self.sent += 1
        self._unacked.append(frame)
        return frame

    def _next_stream(self) -> Stream:
        if self._small and (self._turn > 0 or not self._bulk):
            stream = self._small.popleft()
            self._turn -= stream.size + frames.HEAD.size if self._bulk else 0
        else:
            stream = self._bulk.popleft()
            self._turn = TURN
        stream.queue = None
        return stream

    def _cut(self, stream: Stream, room: int) -> "tuple[int, tuple[bytes | memoryview, ...]]":
        """One DATA frame from the front of a stream; no piece is cut so that only a little of it remains."""
        piece = stream.pending[0]
        most = min(stream.credit, frames.MAX_PAYLOAD)
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
        head = frames.head(frames.DATA, stream.id, size)
        return frames.HEAD.size + size, ((head + piece,) if size <= JOIN else (head, piece))

    def _end(self, stream: Stream) -> "tuple[int, tuple[bytes | memoryview, ...]]":
        """A stream's EOF; if the other end's has come before, that is the end of it."""
        stream.finished = "sent"
        if stream.ended:
            self.drop(stream)
        return frames.HEAD.size, (frames.head(frames.EOF, stream.id, 0),)

    # what has been sent ----------------------------------------------------------------------------------

    def check(self, count: int) -> None:
        """Whether the other end can have received `count` frames."""
        if not self.acked <= count <= self.sent:
            raise ProtocolError("%d acknowledged of %d sent, %d before" % (count, self.sent, self.acked))

    def ack(self, count: int) -> None:
        """The other end has received `count` frames."""
        self.check(count)
        for _ in range(count - self.acked):
            self.held -= self._unacked.popleft()[0]
        self.acked = count

    def unacked(self) -> "deque[tuple[int, tuple[bytes | memoryview, ...]]]":
        """The frames to be sent again on a new link."""
        return self._unacked.copy()

    def start_over(self) -> "list[int]":
        """The other end knows nothing any more: drop every stream it was told of; returns their ids.

        Streams that it never heard of, and messages not sent yet, stay.
        """
        lost = [stream for stream in self.streams.values() if stream.announced]
        for stream in lost:
            self.drop(stream)
        self._keep_orders(lambda frame, opens: opens is not None or frame[0] == frames.MESSAGE)
        self.ack(self.sent)
        self.sent = self.acked = 0
        return [stream.id for stream in lost]
