"""The line: many byte streams in one, over one link at a time, resumable. Both ends run this very file.

Rules: pure (bytes and calls in, bytes and events out; no clock, no sockets), Python 3.6, no side effects at
import. Whatever arrives, nothing but `ProtocolError` is raised; it ends the link, never the line.

HELLO, ACK, PING and PONG belong to a link. All other frames are counted, from 1, in each direction; the count
is what HELLO and ACK speak of, and what lets a new link go on where the old one was cut. The *opener* (the
keeper) says HELLO first and opens streams; the *answerer* (the anchor) answers. A sender keeps what was not
acknowledged; a receiver skips what it had over an older link. When an answerer knows nothing of a line, a new
*life* of it begins, its counts at nothing. A life is named by the number of the link that began it: a link
reaches one answerer at most, so no two answerers ever mean the same life.
"""

from collections import deque, namedtuple

from farlab.remote import frames
from farlab.remote.frames import ProtocolError
from farlab.remote.streams import SMALL, Outbox, Stream

UP = 32
"""Kind of the event that says: the line stands. Its `data` is True if resumed, False if it starts from nothing."""

MAX_STREAMS = 1 << 14
ACK_EVERY = 64 * 1024
"""Bytes after which a receiver says how far it came."""
FRAME_COST = 256
"""What each frame counts for that, beside its payload."""
MAX_CONTROL = 1024
"""Most link frames that wait to be sent; a peer that pings faster than it reads is cut."""

Event = namedtuple("Event", "kind stream data")
"""`kind`: OPEN (data: destination), DATA (bytes-like), EOF, RESET, MESSAGE (dict), PONG (8 bytes) or UP (bool)."""


class Line(object):
    """One end of a line.

    `line_id`: 16 to 64 ASCII letters and digits, random. `opener`: True at the end that opens streams.
    `limit`: bytes kept at most for the other end, sent or not, at least 1 MiB; when full, `wants` says no.
    `streams`: the living ones by id. What is sent stays held until acknowledged, and the last of it is
    acknowledged by nothing but a PING: say one now and then.
    """

    def __init__(self, line_id: str, opener: bool, limit: int) -> None:
        self.id = line_id
        self.opener = opener
        self.received = 0  # counted frames
        self.life = 0  # number of the link that began it; 0 until the first HELLO comes
        self._life_before = 0  # answerer: the opener's until it hears of this one
        self._out = Outbox(limit)
        self.streams = self._out.streams
        self._last_id = 0
        self._link = 0  # number of the newest link; the opener counts them
        self._token = 0  # the current link's; odd while one is attached
        self._events = []  # type: list[Event] # not told to the driver yet
        self._new_link()

    @property
    def held(self) -> int:
        """Bytes kept for the other end, sent or not."""
        return self._out.held

    @property
    def limit(self) -> int:
        """Bytes of it at most before `wants` says no; another value holds from now on."""
        return self._out.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._out.limit = limit

    # links -----------------------------------------------------------------------------------------------

    @property
    def linked(self) -> bool:
        """Whether a link is attached (it may not have said anything yet)."""
        return bool(self._token & 1)

    def attach(self) -> int:
        """Opener: a new link stands; it replaces any older one. Returns its token."""
        self._link += 1
        self._begin_link()
        self._say_hello({"link": self._link})
        if not self.life:  # nothing was ever answered: all of it, from frame 1, without waiting
            self._replay = self._out.unacked()
            self._may_count = True
        return self._token

    def accept(self, hello: "dict[str, object]") -> int:
        """Answerer: a new link stands whose first frame was `hello`. Returns its token.

        Raises `ProtocolError`, and leaves everything as it was, if the link cannot be: above all if a newer
        one of this line came before. Call `receive` at once, even with nothing: there may be events.
        """
        life, link, received = (frames.count_of(hello, key) for key in ("life", "link", "received"))
        if hello.get("line") != self.id or link <= self._link:
            raise ProtocolError("link %d of a line that has link %d" % (link, self._link))
        resumed = 0 < life == self.life
        if resumed:
            self._out.ack(received)
        elif not self.life or life != self._life_before:  # else it only missed our answer
            self.life, self._life_before = link, life
            self._start_over(self._events)
            self._last_id = 0
        self._link = link
        self._begin_link()
        self._replay = self._out.unacked()
        self._incoming = self.received if resumed else 0
        self._say_hello({})
        self._greeted = self._may_count = True
        return self._token

    def detach(self, token: int) -> None:
        """The link is gone (nothing happens if it was replaced already)."""
        if token == self._token and self.linked:
            self._token += 1
            self._new_link()

    def _begin_link(self) -> None:
        self._token += 2 if self.linked else 1
        self._new_link()

    def _new_link(self) -> None:
        self._frames = frames.Frames()
        self._control = []  # type: list[bytes | memoryview] # link frames to send
        self._replay = deque()  # counted frames to send again
        self._greeted = False  # their HELLO has come
        self._may_count = False  # counted frames may be sent
        self._incoming = 0  # number of the last counted frame on this link
        self._unsaid = 0  # bytes received since the other end was told how far we are
        self._is_silent = False  # the driver's word: nothing is heard over it

    def _say_hello(self, more: "dict[str, int]") -> None:
        hello = {"version": frames.VERSION, "line": self.id, "life": self.life, "received": self.received}
        self._control.append(frames.encode_text(frames.HELLO, dict(hello, **more)))

    # what the driver calls -------------------------------------------------------------------------------

    def open(self, destination: str = "", first: bytes = b"") -> int:
        """Open a stream; `first` travels with it. Returns the stream's id.

        `ValueError` if there are `MAX_STREAMS`, or the destination is not ASCII or longer than 255.
        """
        if not self.opener:
            raise ValueError("only the opener opens streams")
        if len(self.streams) >= MAX_STREAMS:
            raise ValueError("%d streams are open" % len(self.streams))
        name = destination.encode("ascii")
        payload = bytes((len(name),)) + name + bytes(first[:SMALL])
        self._last_id += 1
        stream = self.streams[self._last_id] = Stream(self._last_id, False)
        stream.credit -= len(first[:SMALL])
        self._out.order(frames.encode(frames.OPEN, stream.id, payload), stream)
        self.send(stream.id, first[SMALL:])
        return stream.id

    def send(self, stream_id: int, data: bytes) -> None:
        """Queue `data` (immutable) on a stream; ask `wants` first. Nothing happens if the stream has gone."""
        stream = self.streams.get(stream_id)
        if stream is None or not data:
            return
        if stream.finished:
            raise ValueError("data after EOF on stream %d" % stream_id)
        self._out.put(stream, data)

    def send_eof(self, stream_id: int) -> None:
        """Half close: no more data from here, after what is queued."""
        stream = self.streams.get(stream_id)
        if stream is not None and not stream.finished:
            self._out.finish(stream)

    def reset(self, stream_id: int) -> None:
        """Give a stream up in both directions, with all that is queued on it.

        The other end never hears of one whose OPEN was still waiting: a request that nobody waits for any
        more must not reach the server.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        self._out.drop(stream)
        if stream.announced:
            self._out.order(frames.encode(frames.RESET, stream_id))

    def message(self, value: "dict[str, object]") -> None:
        """Send one small JSON object to the other end, before any data. It waits if there is no link."""
        self._out.order(frames.encode_text(frames.MESSAGE, value))

    def ping(self, mark: bytes) -> None:
        """Ask the link for a sign of life; `mark` (8 bytes) comes back in a PONG event."""
        if self._greeted:
            self._beat(frames.PING, mark)

    def reassure(self) -> None:
        """Show that we hear, in the middle of a frame that takes its time; nothing happens where there is none."""
        if self._greeted and self._frames.is_partial:
            self._unsaid = ACK_EVERY

    def silent(self) -> None:
        """Nothing is heard over the link: hold as much as without one, until it brings something."""
        self._is_silent = True

    def consumed(self, stream_id: int, size: int) -> None:
        """`size` delivered bytes have left for good (written to the socket): the other end may send more."""
        stream = self.streams.get(stream_id)
        credit = stream.grant(size) if stream is not None else 0
        if credit:
            self._out.order(frames.encode(frames.WINDOW, stream_id, frames.CREDIT.pack(credit)))

    def wants(self, stream_id: int) -> bool:
        """Whether more may be queued on this stream now: the driver's word to read from its socket or not."""
        stream = self.streams.get(stream_id)
        return stream is not None and self._out.wants(stream, self.linked and not self._is_silent)

    def is_full(self, stream_id: int) -> bool:
        """Whether it is for want of room that no more may be queued, be there a link or not."""
        stream = self.streams.get(stream_id)
        return stream is not None and not self._out.wants(stream, False)

    def data_to_send(self, token: int, size: int = 1 << 20) -> "list[bytes | memoryview]":
        """Take what the link shall carry next: a list of buffers, of `size` bytes or a little more."""
        if token != self._token:
            return []
        buffers, self._control = self._control, []
        if self._unsaid >= ACK_EVERY:
            buffers.append(frames.encode(frames.ACK, 0, frames.COUNT.pack(self.received)))
            self._unsaid = 0
        while size > 0 and self._may_count:
            frame = self._replay.popleft() if self._replay else self._out.next(size)
            if frame is None:
                break
            buffers += frame[1]
            size -= frame[0]
        return buffers

    def receive(self, token: int, data: bytes) -> "list[Event]":
        """Take what a link brought (immutable bytes); returns events.

        Raises `ProtocolError` when the link is of no use any more; it is detached then. What it brought before
        the offending frame is not lost: those events are returned when the next link brings something.
        """
        if token != self._token:
            return []
        self._is_silent = False
        events = self._events
        try:
            for kind, stream, payload in self._frames.feed(data):
                if kind in frames.COUNTED:
                    self._counted(kind, stream, payload, events)
                else:
                    self._of_link(kind, stream, payload, events)
        except ProtocolError:
            self.detach(token)
            raise
        self._events = []
        return events

    # receiving -------------------------------------------------------------------------------------------

    def _beat(self, kind: int, mark: bytes) -> None:
        self._control.append(frames.encode(kind, 0, frames.BEAT.pack(self.received, mark)))
        self._unsaid = 0

    def _of_link(self, kind: int, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        if stream_id:
            raise ProtocolError("a link's frame on stream %d" % stream_id)
        if kind == frames.HELLO and self.opener and not self._greeted:
            self._answered(frames.check_hello(payload), events)
        elif not self._greeted:
            raise ProtocolError("frame %d before the hello" % kind)
        elif kind == frames.ACK and len(payload) == frames.COUNT.size:
            self._out.ack(frames.COUNT.unpack(payload)[0])
        elif kind in (frames.PING, frames.PONG) and len(payload) == frames.BEAT.size:
            count, mark = frames.BEAT.unpack(payload)
            self._out.ack(count)
            if kind == frames.PONG:
                events.append(Event(frames.PONG, 0, mark))
            elif len(self._control) < MAX_CONTROL:
                self._beat(frames.PONG, mark)
            else:
                raise ProtocolError("a flood of pings")
        else:
            raise ProtocolError("frame of kind %d and %d bytes" % (kind, len(payload)))

    def _answered(self, hello: "dict[str, object]", events: "list[Event]") -> None:
        """Opener: the answer has come; go on from there, or from nothing if the line is not known any more."""
        life, received = (frames.count_of(hello, key) for key in ("life", "received"))
        if hello["line"] != self.id or not max(self.life, 1) <= life <= self._link:
            raise ProtocolError("an answer of another line, or of life %d after %d" % (life, self.life))
        resumed = life == self.life
        if resumed or not self.life:
            self._out.ack(received)
        elif received:
            raise ProtocolError("a line that begins with %d frames" % received)
        else:
            self._start_over(events)
        if resumed:
            self._replay = self._out.unacked()
        self.life = life
        self._incoming = self.received
        self._greeted = self._may_count = True
        events.append(Event(UP, 0, resumed))

    def _start_over(self, events: "list[Event]") -> None:
        """The line lives anew: its streams are gone, but for those that the other end never heard of."""
        events.extend(Event(frames.RESET, stream_id, b"") for stream_id in self._out.start_over())
        self.received = 0

    def _counted(self, kind: int, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        """One counted frame; it counts only if it is in order, so that a spoilt link costs nothing."""
        if not self._greeted:
            raise ProtocolError("frame %d before the hello" % kind)
        if self._incoming < self.received:
            self._incoming += 1  # had it over an older link
            return
        if kind == frames.MESSAGE and not stream_id:
            events.append(Event(frames.MESSAGE, 0, frames.parse_text(payload)))
        elif kind == frames.OPEN:
            self._opened(stream_id, payload, events)
        elif not 0 < stream_id <= self._last_id:
            raise ProtocolError("frame %d on stream %d, never opened" % (kind, stream_id))
        elif stream_id in self.streams:  # else it was reset here meanwhile
            self._of_stream(kind, self.streams[stream_id], payload, events)
        self._incoming += 1
        self.received += 1
        self._unsaid += len(payload) + FRAME_COST

    def _opened(self, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
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
        stream = self.streams[stream_id] = Stream(stream_id, True)
        events.append(Event(frames.OPEN, stream_id, destination))
        if len(payload) > end:
            self._deliver(stream, payload[end:], events)

    def _of_stream(self, kind: int, stream: Stream, payload: "bytes | memoryview", events: "list[Event]") -> None:
        if kind == frames.DATA and payload:
            self._deliver(stream, payload, events)
        elif kind == frames.WINDOW and len(payload) == frames.CREDIT.size:
            credit = stream.credit + frames.CREDIT.unpack(payload)[0]
            if credit > frames.MAX_CREDIT:
                raise ProtocolError("a window beyond all bounds")
            stream.credit = credit
            self._out.ready(stream)
        elif kind == frames.EOF and not payload and not stream.ended:
            stream.ended = True
            if stream.finished == "sent":
                self._out.drop(stream)
            events.append(Event(frames.EOF, stream.id, b""))
        elif kind == frames.RESET and not payload:
            self._out.drop(stream)
            events.append(Event(frames.RESET, stream.id, b""))
        else:
            raise ProtocolError("frame of kind %d and %d bytes on stream %d" % (kind, len(payload), stream.id))

    def _deliver(self, stream: Stream, payload: "bytes | memoryview", events: "list[Event]") -> None:
        if stream.ended or len(payload) > stream.receivable:
            raise ProtocolError("more than the window of stream %d holds" % stream.id)
        stream.receivable -= len(payload)
        stream.unread += len(payload)
        events.append(Event(frames.DATA, stream.id, payload))
