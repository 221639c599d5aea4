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

from collections import namedtuple

from farlab.mux import codec, frames
from farlab.mux.codec import BAD, Checked
from farlab.mux.frames import ProtocolError
from farlab.mux.link_end import DOUBT, LinkEnd
from farlab.mux.streams import SMALL, Outbox, Stream

UP = 32
"""Kind of the event that says: the line stands. Its `data` is True if resumed, False if it starts from nothing."""
NOISE = 33
"""Kind of the event that says, once for each link: others print into it. Its `data` is the first they printed."""
MAX_STREAMS = 1 << 14

Event = namedtuple("Event", "kind stream data")
"""`kind`: OPEN (data: destination), DATA (bytes-like), EOF, RESET, MESSAGE (dict), PONG (8 bytes), UP (bool) or NOISE
(bytes)."""


class Mux(object):
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
        self._links = 0  # number of the newest link; the opener counts them
        self._token = 0  # the current link's; odd while one is attached
        self._end = LinkEnd()
        self._is_noisy = False  # its user was told that others print into the link
        self._events = []  # type: list[Event] # not told to the driver yet

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

    def attach(self, version: int = frames.VERSION) -> int:
        """Opener: a new link stands, on which `version` is spoken; it replaces any older one. Returns its token."""
        self._links += 1
        self._begin_link(version)
        self._say_hello({"link": self._links})
        if not self.life:  # nothing was ever answered: all of it, from frame 1, without waiting
            self._end.replay(self._out)
        return self._token

    def accept(self, hello: "dict[str, object]", version: int) -> int:
        """Answerer: a new link of that version stands whose first frame was `hello`. Returns its token.

        Raises `ProtocolError`, and leaves everything as it was, if the link cannot be: above all if a newer
        one of this line came before. Call `receive` at once, even with nothing: there may be events.
        """
        life, link, received = (frames.count_of(hello, key) for key in ("life", "link", "received"))
        if hello.get("line") != self.id or link <= self._links:
            raise ProtocolError("link %d of a line that has link %d" % (link, self._links))
        resumed = 0 < life == self.life
        if resumed:
            self._out.ack(received)
        elif not self.life or life != self._life_before:  # else it only missed our answer
            self.life, self._life_before = link, life
            self._start_over(self._events)
            self._last_id = 0
        self._links = link
        self._begin_link(version)
        self._say_hello({})
        self._end.is_greeted = True
        self._end.replay(self._out, 0 if resumed else self.received)
        return self._token

    def detach(self, token: int) -> None:
        """The link is gone (nothing happens if it was replaced already)."""
        if token == self._token and self.linked:
            self._token += 1
            self._end = LinkEnd()

    def _begin_link(self, version: int) -> None:
        self._token += 2 if self.linked else 1
        self._is_noisy = False
        if version == 1:
            self._end = LinkEnd()
            return
        to_opener, to_answerer = codec.keys(self.id, self._links)
        if self.opener:
            self._end = LinkEnd(Checked(to_opener, to_answerer), Checked(0, codec.FIRST_KEY))
        else:
            self._end = LinkEnd(Checked(to_answerer, to_opener))

    def _say_hello(self, more: "dict[str, int]") -> None:
        hello = {"version": self._end.version, "line": self.id, "life": self.life, "received": self.received}
        self._end.greet(dict(hello, **more))

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
        self._out.order(frames.OPEN, stream.id, payload)
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
            self._out.order(frames.RESET, stream_id)

    def message(self, value: "dict[str, object]") -> None:
        """Send one small JSON object to the other end, before any data. It waits if there is no link."""
        self._out.order(frames.MESSAGE, 0, frames.pack_text(value))

    def ping(self, mark: bytes) -> None:
        """Ask the link for a sign of life; `mark` (8 bytes, the first four not all 0) comes back in a PONG event."""
        if self._end.is_greeted:
            self._end.ping(mark, self.received, self._out.sent)

    @property
    def heard(self) -> int:
        """Bytes of the other end's frames that have come over this link, without what others print into it."""
        return self._end.codec.heard

    def reassure(self) -> None:
        """Show that we hear, in the middle of a frame that takes its time; nothing happens where there is none."""
        self._end.reassure()

    def silent(self) -> None:
        """Nothing is heard over the link: hold as much as without one, until it brings something."""
        self._end.is_silent = True

    def consumed(self, stream_id: int, size: int) -> None:
        """`size` delivered bytes have left for good (written to the socket): the other end may send more."""
        stream = self.streams.get(stream_id)
        credit = stream.grant(size) if stream is not None else 0
        if credit:
            self._out.order(frames.WINDOW, stream_id, frames.CREDIT.pack(credit))

    def wants(self, stream_id: int) -> bool:
        """Whether more may be queued on this stream now: the driver's word to read from its socket or not."""
        stream = self.streams.get(stream_id)
        return stream is not None and self._out.wants(stream, self.linked and not self._end.is_silent)

    def is_full(self, stream_id: int) -> bool:
        """Whether it is for want of room that no more may be queued, be there a link or not."""
        stream = self.streams.get(stream_id)
        return stream is not None and not self._out.wants(stream, False)

    def data_to_send(self, token: int, size: int = 1 << 20) -> "list[bytes | memoryview]":
        """Take what the link shall carry next: a list of buffers, of `size` bytes or a little more."""
        return self._end.take(self._out, self.received, size) if token == self._token else []

    def receive(self, token: int, data: bytes) -> "list[Event]":
        """Take what a link brought (immutable bytes); returns events.

        Raises `ProtocolError` when the link is of no use any more; it is detached then. What it brought before
        the offending frame is not lost: those events are returned when the next link brings something.
        """
        if token != self._token:
            return []
        events, end = self._events, self._end
        heard = end.codec.heard
        try:
            for kind, stream, number, payload in end.codec.feed(data):
                if kind in frames.COUNTED:
                    if end.is_next(number, self.received):
                        self._counted(kind, stream, payload, events)
                elif kind == BAD:
                    self._skipped(events)
                else:
                    self._of_link(kind, stream, payload, events)
        except ProtocolError:
            self.detach(token)
            raise
        end.is_silent = end.is_silent and end.codec.heard <= heard
        self._events = []
        return events

    # receiving -------------------------------------------------------------------------------------------

    def _skipped(self, events: "list[Event]") -> None:
        """Others have printed into the link."""
        self._end.skipped(self.received, self._out.sent)
        if not self._is_noisy:
            self._is_noisy = True
            events.append(Event(NOISE, 0, self._end.codec.skipped))

    def _of_link(self, kind: int, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        end = self._end
        if stream_id:
            raise ProtocolError("a link's frame on stream %d" % stream_id)
        if kind == frames.HELLO and self.opener and not end.is_greeted:
            self._answered(frames.check_hello(payload), events)
        elif kind == frames.HELLO and self.opener and end.version > 1:
            pass  # said twice, since the first seemed to be lost
        elif not end.is_greeted and end.version > 1:
            end.miss(self.received)
        elif not end.is_greeted:
            raise ProtocolError("frame %d before the hello" % kind)
        elif kind == frames.ACK and len(payload) == frames.COUNT.size:
            self._out.ack(frames.COUNT.unpack(payload)[0])
        elif kind in (frames.PING, frames.PONG):
            self._beat(kind, payload, events)
        elif kind == frames.AGAIN and end.version > 1 and len(payload) == frames.MISSED.size:
            self._missed(*frames.MISSED.unpack(payload))
        elif kind == frames.BEGIN and end.version > 1 and len(payload) == frames.SERIAL.size:
            end.begun(*frames.SERIAL.unpack(payload))
        else:
            raise ProtocolError("frame of kind %d and %d bytes" % (kind, len(payload)))

    def _beat(self, kind: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        size, end = frames.BEAT.size, self._end
        if len(payload) != (size if end.version == 1 else size + frames.COUNT.size):
            raise ProtocolError("a heartbeat of %d bytes" % len(payload))
        count, mark = frames.BEAT.unpack_from(payload)
        self._out.ack(count)
        if end.version > 1:
            sent = frames.COUNT.unpack_from(payload, size)[0]
            if end.has_beaten(sent, self.received, mark if kind == frames.PONG else b""):
                end.doubt(self.received, self._out.sent)
        if kind == frames.PING:
            end.pong(mark, self.received, self._out.sent)
        elif end.version == 1 or not mark.startswith(DOUBT):
            events.append(Event(frames.PONG, 0, mark))

    def _missed(self, count: int, serial: int) -> None:
        """The other end misses what comes after `count`, or our HELLO."""
        is_hello = count == frames.MISSED_HELLO and not self.opener
        if is_hello:
            self._end.begun()  # it hears no question of ours before that
            self._say_hello({})
        else:
            self._out.ack(count)
        self._end.say_again(self._out, serial, smaller=not is_hello)

    def _answered(self, hello: "dict[str, object]", events: "list[Event]") -> None:
        """Opener: the answer has come; go on from there, or from nothing if the line is not known any more."""
        life, received = (frames.count_of(hello, key) for key in ("life", "received"))
        if hello["line"] != self.id or not max(self.life, 1) <= life <= self._links:
            raise ProtocolError("an answer of another line, or of life %d after %d" % (life, self.life))
        resumed, is_first = life == self.life, not self.life
        if resumed or is_first:
            self._out.ack(received)
        elif received:
            raise ProtocolError("a line that begins with %d frames" % received)
        else:
            self._start_over(events)
        self.life = life
        self._end.is_greeted = True
        if not is_first:  # else it is sent already
            self._end.replay(self._out)
        events.append(Event(UP, 0, resumed))

    def _start_over(self, events: "list[Event]") -> None:
        """The line lives anew: its streams are gone, but for those that the other end never heard of."""
        events.extend(Event(frames.RESET, stream_id, b"") for stream_id in self._out.start_over())
        self.received = 0

    def _counted(self, kind: int, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        """One counted frame; it counts only if it is in order, so that a spoilt link costs nothing."""
        if kind == frames.MESSAGE and not stream_id:
            events.append(Event(frames.MESSAGE, 0, frames.parse_text(payload)))
        elif kind == frames.OPEN:
            self._opened(stream_id, payload, events)
        elif not 0 < stream_id <= self._last_id:
            raise ProtocolError("frame %d on stream %d, never opened" % (kind, stream_id))
        elif stream_id in self.streams:  # else it was reset here meanwhile
            self._of_stream(kind, self.streams[stream_id], payload, events)
        self.received += 1
        self._end.took(len(payload))

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
