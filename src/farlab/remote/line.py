"""The line: many byte streams in one, over one link at a time, resumable. Both ends run this very file.

Rules: pure (bytes and calls in, bytes and events out; no clock, no sockets), Python 3.6, no side effects at
import. Whatever arrives, nothing but `ProtocolError` is raised.

HELLO, ACK, PING and PONG belong to a link. All other frames are counted, from 1, in each direction; the count
is what HELLO and ACK speak of, and what lets a new link go on where the old one was cut. The *opener* (the
keeper) says HELLO first and opens streams; the *answerer* (the anchor) answers. A sender keeps what was not
acknowledged; a receiver skips what it had over an older link.
"""

import json
from collections import deque, namedtuple

from farlab.remote import frames
from farlab.remote.frames import ProtocolError

UP = 32
"""Kind of the event that says: the line stands. Its `data` is True if resumed, False if it starts from nothing."""

MAX_STREAMS = 1 << 14
MAX_WINDOW = 8 * 1024 * 1024
ACK_EVERY = 256 * 1024
"""Bytes (a frame counts for 256 more) after which a receiver says how far it came."""
SHARE = 1024 * 1024
"""Most bytes one stream may hold unsent while a link stands; without a link, half of what is free."""
SMALL = 16 * 1024
"""A stream with no more than this to send goes before bulk."""
MAX_CONTROL = 1024
"""Most link frames that wait to be sent; a peer that pings faster than it reads is cut."""

Event = namedtuple("Event", "kind stream data")
"""`kind`: OPEN (data: destination), DATA (bytes-like), EOF, RESET, MESSAGE (dict), PONG (8 bytes) or UP (bool)."""


class Stream(object):
    """One of the line's streams, as this end sees it. Bytes throughout."""

    __slots__ = ("announced", "credit", "ended", "finished", "id", "owed", "pending", "queued", "receivable", "size",
                 "unread", "window")  # fmt: skip

    def __init__(self, stream_id):
        self.id = stream_id
        self.pending = deque()
        self.size = 0  # bytes in `pending`
        self.credit = frames.FIRST_WINDOW  # what the other end still takes
        self.receivable = frames.FIRST_WINDOW  # what the other end may still send
        self.window = frames.FIRST_WINDOW
        self.owed = 0  # consumed here, not yet given back as credit
        self.unread = 0  # delivered here, not yet consumed
        self.queued = False
        self.announced = True  # its OPEN has been sent
        self.finished = None  # None, "wanted" or "sent": our EOF
        self.ended = False  # their EOF has come


def _stream_of(frame):
    return frames.HEAD.unpack(frame[0])[1]


class Line(object):
    """One end of a line.

    `line_id`: 16 to 64 letters and digits, random. `opener`: True at the end that opens streams.
    `limit`: bytes kept at most for the other end, sent or not; when full, `wants` says no.
    """

    def __init__(self, line_id, opener, limit):
        self.id = line_id
        self.opener = opener
        self.limit = limit
        self.streams = {}
        self.held = 0
        self.sent = self.acked = self.received = 0  # counted frames
        self._last_id = 0
        self._token = 0  # the current link; odd while one is attached
        self._introduced = opener  # opener: no HELLO has ever been answered
        self._met = False  # answerer: the opener knows that this end knows the line
        self._orders = deque()  # frames that go before any data, as (head, payload)
        self._urgent, self._bulk = deque(), deque()
        self._unacked = deque()
        self._new_link()

    # links -----------------------------------------------------------------------------------------------

    @property
    def linked(self):
        """Whether a link is attached (it may not have said anything yet)."""
        return bool(self._token & 1)

    def greeting(self):
        """Opener: the HELLO of a link that is made beside the present one, as bytes; see `attach`."""
        hello = {"version": frames.VERSION, "line": self.id, "received": self.received, "new": self._introduced}
        return frames.encode_text(frames.HELLO, hello)

    def attach(self, greeted=False):
        """Opener: a new link stands; it replaces any older one. Returns its token.

        `greeted`: `greeting()` has been sent over it already, and maybe answered, while an older link stood.
        """
        self._begin_link()
        if not greeted:
            self._control.append(self.greeting())
        if self._introduced:  # nothing was ever answered: all of it again, from frame 1
            self._replay = deque(self._unacked)
            self._may_count = True
        return self._token

    def accept(self, hello):
        """Answerer: a new link stands whose first frame was `hello`. Returns its token."""
        known = self._met = self._met or hello.get("new") is True
        peer = frames.count_of(hello, "received") if known else 0
        peer = max(peer, self.acked)  # a greeting may be older than what an older link acknowledged
        self._check_ack(peer)
        self._begin_link()
        self._ack(peer)
        self._replay = deque(self._unacked)
        self._incoming = 0 if hello.get("new") is True else self.received
        answer = {
            "version": frames.VERSION,
            "line": self.id,
            "received": self.received,
            "next": peer + 1,
            "known": known,
        }
        self._control.append(frames.encode_text(frames.HELLO, answer))
        self._greeted = self._may_count = True
        return self._token

    def detach(self, token):
        """The link is gone (nothing happens if it was replaced already)."""
        if token == self._token:
            self._token += 1
            self._new_link()

    def _begin_link(self):
        self._token += 1 if not self.linked else 2
        self._new_link()

    def _new_link(self):
        self._frames = frames.Frames()
        self._control = []  # link frames to send
        self._replay = deque()  # counted frames to send again
        self._greeted = False  # their HELLO has come
        self._may_count = False  # counted frames may be sent
        self._incoming = 0  # number of the last counted frame on this link
        self._unsaid = 0  # bytes received since the last ACK

    # what the driver calls -------------------------------------------------------------------------------

    def open(self, destination="", first=b""):
        """Open a stream; `first` travels with it. Returns the stream's id."""
        if not self.opener:
            raise ValueError("only the opener opens streams")
        self._last_id += 1
        stream = self.streams[self._last_id] = Stream(self._last_id)
        stream.announced = False
        name = destination.encode()
        payload = bytes((len(name),)) + name + bytes(first[: frames.MAX_PAYLOAD - 256])
        stream.credit -= len(payload) - 1 - len(name)
        self._order(frames.OPEN, stream.id, payload)
        self.send(stream.id, first[frames.MAX_PAYLOAD - 256 :])
        return stream.id

    def send(self, stream_id, data):
        """Queue `data` (immutable) on a stream; ask `wants` first. Nothing happens if the stream has gone."""
        stream = self.streams.get(stream_id)
        if stream is None or not data:
            return
        if stream.finished:
            raise ValueError("data after EOF on stream %d" % stream_id)
        if len(data) <= frames.MAX_PAYLOAD:
            stream.pending.append(data)
        else:
            view = memoryview(data)
            stream.pending.extend(view[at : at + frames.MAX_PAYLOAD] for at in range(0, len(view), frames.MAX_PAYLOAD))
        stream.size += len(data)
        self.held += len(data)
        self._ready(stream)

    def send_eof(self, stream_id):
        """Half close: no more data from here, after what is queued."""
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.finished:
            stream.finished = "wanted"
            self._ready(stream)

    def reset(self, stream_id):
        """Give a stream up in both directions, with all that is queued on it.

        The other end never hears of one whose OPEN was still waiting: a request that nobody waits for any
        more must not reach the server.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        self._forget(stream)
        if stream.announced:
            self._order(frames.RESET, stream_id)
        else:
            self._unorder(stream_id)

    def message(self, value):
        """Send one small JSON object to the other end, before any data."""
        self._order(frames.MESSAGE, 0, json.dumps(value, separators=(",", ":")).encode())

    def ping(self, mark):
        """Ask the link for a sign of life; `mark` (8 bytes) comes back in a PONG event."""
        if self._greeted:
            self._control.append(frames.encode(frames.PING, 0, frames.BEAT.pack(self.received, mark)))
            self._unsaid = 0

    def consumed(self, stream_id, size):
        """`size` delivered bytes have left for good (written to the socket): the other end may send more."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        stream.unread -= size
        stream.owed += size
        if stream.owed * 2 < stream.window or stream.ended:
            return
        grant = stream.owed
        if not stream.unread and stream.window < MAX_WINDOW:  # a fast reader: let the path carry more
            grant += stream.window
            stream.window *= 2
        stream.owed = 0
        stream.receivable += grant
        self._order(frames.WINDOW, stream_id, frames.CREDIT.pack(grant))

    def wants(self, stream_id):
        """Whether more may be queued on this stream now: the driver's word to read from its socket or not."""
        stream = self.streams.get(stream_id)
        if stream is None:
            return False
        room = self.limit - self.held
        return stream.size < (min(SHARE, room) if self.linked else room // 2)

    def data_to_send(self, token, size=1 << 20):
        """Take what the link shall carry next: a list of buffers, of `size` bytes or a little more."""
        if token != self._token:
            return []
        out, self._control = self._control, []
        while size > 0 and self._may_count:
            frame = self._next_frame()
            if frame is None:
                break
            out.extend(frame)
            size -= sum(map(len, frame))
        return out

    def receive(self, token, data):
        """Take what a link brought (immutable bytes); returns events. Raises `ProtocolError`."""
        if token != self._token or not data:
            return []
        events = []
        for kind, stream, payload in self._frames.feed(data):
            if kind in frames.COUNTED:
                self._counted(kind, stream, payload, events)
            else:
                self._of_link(kind, stream, payload, events)
            if token != self._token:
                break
        return events

    # sending ---------------------------------------------------------------------------------------------

    def _order(self, kind, stream_id, payload=b""):
        if len(payload) > (frames.MAX_TEXT if kind == frames.MESSAGE else frames.MAX_PAYLOAD):
            raise ValueError("too long")
        self._orders.append((frames.HEAD.pack(kind << 24 | len(payload), stream_id), payload))
        self.held += frames.HEAD.size + len(payload)

    def _unorder(self, stream_id):
        for frame in [frame for frame in self._orders if _stream_of(frame) == stream_id]:
            self._orders.remove(frame)
            self.held -= sum(map(len, frame))

    def _ready(self, stream):
        """Put a stream with something to send, and leave to send it, in its queue."""
        if stream.queued or not (stream.credit > 0 if stream.pending else stream.finished == "wanted"):
            return
        stream.queued = True
        (self._urgent if stream.size <= SMALL else self._bulk).append(stream)

    def _next_frame(self):
        if self._replay:
            return self._replay.popleft()
        if self._orders:
            frame = self._orders.popleft()
            word, stream_id = frames.HEAD.unpack(frame[0])
            if word >> 24 == frames.OPEN and stream_id in self.streams:
                self.streams[stream_id].announced = True
        else:
            frame = self._next_data()
        if frame is not None:
            self.sent += 1
            self._unacked.append(frame)
        return frame

    def _next_data(self):
        while self._urgent or self._bulk:
            stream = (self._urgent or self._bulk).popleft()
            stream.queued = False
            if self.streams.get(stream.id) is not stream:
                continue
            if stream.pending:
                return self._take(stream)
            if stream.finished == "wanted":
                stream.finished = "sent"
                if stream.ended:
                    self._forget(stream)
                self.held += frames.HEAD.size
                return (frames.HEAD.pack(frames.EOF << 24, stream.id), b"")
        return None

    def _take(self, stream):
        """One DATA frame of a stream's pending bytes."""
        chunk = stream.pending[0]
        if len(chunk) > stream.credit:
            view = memoryview(chunk)
            chunk, stream.pending[0] = view[: stream.credit], view[stream.credit :]
        else:
            stream.pending.popleft()
        stream.size -= len(chunk)
        stream.credit -= len(chunk)
        self.held += frames.HEAD.size
        if stream.pending or stream.finished:
            self._ready(stream)
        return (frames.HEAD.pack(frames.DATA << 24 | len(chunk), stream.id), chunk)

    def _check_ack(self, count):
        if not self.acked <= count <= self.sent:
            raise ProtocolError("%d acknowledged of %d sent, %d before" % (count, self.sent, self.acked))

    def _ack(self, count):
        self._check_ack(count)
        while self.acked < count:
            self.held -= sum(map(len, self._unacked.popleft()))
            self.acked += 1

    def _forget(self, stream):
        del self.streams[stream.id]
        self.held -= stream.size
        stream.pending.clear()
        stream.size = 0

    # receiving -------------------------------------------------------------------------------------------

    def _of_link(self, kind, stream_id, payload, events):
        self._met = self._met or self._greeted
        if stream_id:
            raise ProtocolError("a link's frame on stream %d" % stream_id)
        if kind == frames.HELLO and self.opener and not self._greeted:
            self._answered(frames.check_hello(payload), events)
        elif not self._greeted:
            raise ProtocolError("frame %d before the hello" % kind)
        elif len(self._control) > MAX_CONTROL:
            raise ProtocolError("a flood of link frames")
        elif kind == frames.ACK and len(payload) == frames.COUNT.size:
            self._ack(frames.COUNT.unpack(payload)[0])
        elif kind in (frames.PING, frames.PONG) and len(payload) == frames.BEAT.size:
            count, mark = frames.BEAT.unpack(payload)
            self._ack(count)
            if kind == frames.PONG:
                events.append(Event(frames.PONG, 0, mark))
            else:
                self._control.append(frames.encode(frames.PONG, 0, frames.BEAT.pack(self.received, mark)))
                self._unsaid = 0
        else:
            raise ProtocolError("frame of kind %d and %d bytes" % (kind, len(payload)))

    def _answered(self, hello, events):
        """Opener: the answer has come; go on from there, or from nothing if the line is not known any more."""
        if hello["line"] != self.id:
            raise ProtocolError("the answer names another line")
        resumed = hello.get("known") is True
        if resumed:
            first = frames.count_of(hello, "next")
            if not 1 <= first <= self.received + 1:
                raise ProtocolError("frames %d to %d are missing" % (self.received + 1, first - 1))
            self._ack(hello["received"])
            if not self._introduced:
                self._replay = deque(self._unacked)
            self._incoming = first - 1
        elif self._introduced:
            raise ProtocolError("a new line is refused")
        else:
            self._start_over(events)
        fresh = self._introduced or not resumed
        self._introduced = False
        self._greeted = self._may_count = True
        events.append(Event(UP, 0, not fresh))

    def _start_over(self, events):
        """The other end has lost the line: its streams are gone; those it never heard of begin now."""
        for stream in list(self.streams.values()):
            if stream.announced:
                self._forget(stream)
                events.append(Event(frames.RESET, stream.id, b""))
        self._unacked.clear()
        self._orders = deque(
            frame
            for frame in self._orders
            if frames.HEAD.unpack(frame[0])[1] in self.streams or frame[0][0] == frames.MESSAGE
        )
        self.sent = self.acked = self.received = self._incoming = 0
        self.held = sum(stream.size for stream in self.streams.values())
        self.held += sum(frames.HEAD.size + len(frame[1]) for frame in self._orders)

    def _counted(self, kind, stream_id, payload, events):
        if not self._greeted:
            raise ProtocolError("frame %d before the hello" % kind)
        self._met = True
        self._incoming += 1
        if self._incoming <= self.received:
            return  # had it over an older link
        self.received = self._incoming
        self._unsaid += len(payload) + ACK_EVERY // 1024
        if self._unsaid >= ACK_EVERY:
            self._control.append(frames.encode(frames.ACK, 0, frames.COUNT.pack(self.received)))
            self._unsaid = 0
        if kind == frames.MESSAGE:
            events.append(Event(frames.MESSAGE, 0, frames.parse_text(payload)))
        elif kind == frames.OPEN:
            self._opened(stream_id, payload, events)
        else:
            self._of_stream(kind, stream_id, payload, events)

    def _opened(self, stream_id, payload, events):
        if self.opener or stream_id <= self._last_id or len(self.streams) >= MAX_STREAMS:
            raise ProtocolError("stream %d cannot be opened" % stream_id)
        if not payload or len(payload) < 1 + payload[0]:
            raise ProtocolError("OPEN without its destination")
        end = 1 + payload[0]
        try:
            destination = bytes(payload[1:end]).decode("ascii")
        except UnicodeDecodeError:
            raise ProtocolError("a destination that is not ASCII") from None
        self._last_id = stream_id
        self.streams[stream_id] = Stream(stream_id)
        events.append(Event(frames.OPEN, stream_id, destination))
        if len(payload) > end:
            self._deliver(self.streams[stream_id], payload[end:], events)

    def _of_stream(self, kind, stream_id, payload, events):
        stream = self.streams.get(stream_id)
        if stream is None:
            if not 0 < stream_id <= self._last_id:
                raise ProtocolError("frame %d on a stream never opened" % kind)
            return  # reset here meanwhile
        if kind == frames.DATA:
            self._deliver(stream, payload, events)
        elif kind == frames.WINDOW and len(payload) == frames.CREDIT.size:
            stream.credit += frames.CREDIT.unpack(payload)[0]
            if stream.credit > 1 << 32:
                raise ProtocolError("a window beyond all bounds")
            self._ready(stream)
        elif kind == frames.EOF and not payload and not stream.ended:
            stream.ended = True
            if stream.finished == "sent":
                self._forget(stream)
            events.append(Event(frames.EOF, stream_id, b""))
        elif kind == frames.RESET and not payload:
            self._forget(stream)
            events.append(Event(frames.RESET, stream_id, b""))
        else:
            raise ProtocolError("frame of kind %d and %d bytes" % (kind, len(payload)))

    def _deliver(self, stream, payload, events):
        stream.receivable -= len(payload)
        if stream.receivable < 0 or stream.ended:
            raise ProtocolError("more than the window of stream %d holds" % stream.id)
        stream.unread += len(payload)
        events.append(Event(frames.DATA, stream.id, payload))
