"""The mux: many byte streams in one, over one link at a time, resumable. Both ends run this file.

Rules: pure (bytes and calls in, bytes and events out; no clock, no sockets), Python 3.6, no side effects at
import. Whatever arrives, it raises nothing but `ProtocolError`, which ends the link, never the mux.

HELLO, ACK, PING and PONG belong to a link. All other frames are sequenced: each direction numbers them from 1, HELLO
and ACK name the last number received, and so a new link goes on where the old one was cut. The *client* (the keeper)
says HELLO first and opens streams; the *server* (the anchor) answers. A sender keeps what was not acknowledged; a
receiver skips what it had over an older link. Where the server does not know the mux, a new *epoch* of it begins, and
both ends count from 0 again. An epoch is named by the number of the link that began it: a link reaches one server at
most, so two servers never mean the same epoch.
"""

from collections import namedtuple

from farlab.mux import codec, frames
from farlab.mux.codec import GAP, CheckedCodec
from farlab.mux.frames import ProtocolError
from farlab.mux.link_end import PROBE, LinkEnd
from farlab.mux.streams import EOF_SENT, INTERACTIVE_LIMIT, NO_EOF, SendQueue, Stream

UP = 32
"""Kind of the event "the other end has answered". Its `data` is True if resumed, False if all streams are new."""
NOISE = 33
"""Kind of the event "others print into the link", once for each link. Its `data` is the first they printed."""
MAX_STREAMS = 1 << 14

Event = namedtuple("Event", "kind stream data")
"""`kind`: OPEN (data: destination), DATA (bytes-like), EOF, RESET, MESSAGE (dict), PONG (8 bytes), UP (bool) or NOISE
(bytes)."""


class Mux(object):
    """One end of a mux.

    `mux_id`: 16 to 64 ASCII letters and digits, random. `is_client`: whether this end opens streams.
    `limit`: the bytes buffered for the other end after which `can_send` says no, at least 1 MiB.
    `streams`: the open ones by id. What was sent stays buffered until the other end acknowledges it, and only a PING
    has the last of it acknowledged: call `send_ping` now and then.
    """

    def __init__(self, mux_id: str, is_client: bool, limit: int) -> None:
        self.id = mux_id
        self.is_client = is_client
        self.received = 0  # sequenced frames
        self.epoch = 0  # number of the link that began it; 0 until the first HELLO comes
        self._previous_epoch = 0  # server: the client's until it hears of this one
        self._queue = SendQueue(limit)
        self.streams = self._queue.streams
        self._last_id = 0
        self._links = 0  # number of the newest link; the client counts them
        self._token = 0  # of the current link; odd while one is attached
        self._link = LinkEnd()
        self._events = []  # type: list[Event] # the driver has not had them yet

    @property
    def buffered(self) -> int:
        """Bytes kept for the other end, sent or not."""
        return self._queue.buffered

    @property
    def limit(self) -> int:
        """The bytes buffered after which `can_send` says no. Can be set at any time."""
        return self._queue.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._queue.limit = limit

    # links -----------------------------------------------------------------------------------------------

    @property
    def is_linked(self) -> bool:
        """Whether a link is attached (it may not have said anything yet)."""
        return bool(self._token & 1)

    def attach(self, version: int = frames.VERSION) -> int:
        """Client: start a new link in protocol `version`; it replaces any older one. Returns its token."""
        self._links += 1
        self._start_link(version)
        self._send_hello({"link": self._links})
        if not self.epoch:  # no server has ever answered: send everything, from frame 1, without waiting
            self._link.start_sending(self._queue)
        return self._token

    def accept(self, hello: "dict[str, object]", version: int) -> int:
        """Server: start a new link of that version, whose first frame was `hello`. Returns its token.

        Raises `ProtocolError` and changes nothing if `hello` is not acceptable, above all if a newer link of this
        mux came before. Call `receive` at once, even with nothing: there may be events.
        """
        epoch, link, received = (frames.count_of(hello, key) for key in ("life", "link", "received"))
        if hello.get("line") != self.id or link <= self._links:
            raise ProtocolError("link %d of a line that has link %d" % (link, self._links))
        resumed = 0 < epoch == self.epoch
        if resumed:
            self._queue.ack(received)
        elif not self.epoch or epoch != self._previous_epoch:  # else the client only missed our answer
            self.epoch, self._previous_epoch = link, epoch
            self._start_over(self._events)
            self._last_id = 0
        self._links = link
        self._start_link(version)
        self._send_hello({})
        self._link.on_hello()
        self._link.start_sending(self._queue, 0 if resumed else self.received)
        return self._token

    def detach(self, token: int) -> None:
        """Note that the link has gone. Does nothing if another has replaced it."""
        if token == self._token and self.is_linked:
            self._token += 1
            self._link = LinkEnd()

    def _start_link(self, version: int) -> None:
        self._token += 2 if self.is_linked else 1
        if version == 1:
            self._link = LinkEnd()
            return
        to_client, to_server = codec.link_keys(self.id, self._links)
        if self.is_client:
            self._link = LinkEnd(CheckedCodec(to_client, to_server), CheckedCodec(0, codec.HELLO_KEY))
        else:
            self._link = LinkEnd(CheckedCodec(to_server, to_client))

    def _send_hello(self, more: "dict[str, int]") -> None:
        hello = {"version": self._link.version, "line": self.id, "life": self.epoch, "received": self.received}
        self._link.send_hello(dict(hello, **more))

    # what the driver calls -------------------------------------------------------------------------------

    def open(self, destination: str = "", first: bytes = b"") -> int:
        """Open a stream; its first data travels with the OPEN. Returns the stream's id.

        Raises `ValueError` if there are `MAX_STREAMS`, or the destination is not ASCII or longer than 255.
        """
        if not self.is_client:
            raise ValueError("only the client opens streams")
        if len(self.streams) >= MAX_STREAMS:
            raise ValueError("%d streams are open" % len(self.streams))
        name = destination.encode("ascii")
        payload = bytes((len(name),)) + name + bytes(first[:INTERACTIVE_LIMIT])
        self._last_id += 1
        stream = self.streams[self._last_id] = Stream(self._last_id, False)
        stream.credit -= len(first[:INTERACTIVE_LIMIT])
        self._queue.queue_control(frames.OPEN, stream.id, payload)
        self.send(stream.id, first[INTERACTIVE_LIMIT:])
        return stream.id

    def send(self, stream_id: int, data: bytes) -> None:
        """Queue `data` (immutable) on a stream; ask `can_send` first. Does nothing if the stream has gone."""
        stream = self.streams.get(stream_id)
        if stream is None or not data:
            return
        if stream.eof != NO_EOF:
            raise ValueError("data after EOF on stream %d" % stream_id)
        self._queue.queue_data(stream, data)

    def send_eof(self, stream_id: int) -> None:
        """Half close: no more data from here, after what is queued."""
        stream = self.streams.get(stream_id)
        if stream is not None and stream.eof == NO_EOF:
            self._queue.queue_eof(stream)

    def reset(self, stream_id: int) -> None:
        """Abort a stream in both directions, with all that is queued on it.

        The other end never hears of a stream whose OPEN was still waiting: a request that nobody waits for any
        more must not reach the notebook server.
        """
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        self._queue.discard(stream)
        if stream.open_sent:
            self._queue.queue_control(frames.RESET, stream_id)

    def send_message(self, value: object) -> None:
        """Send one small JSON object to the other end, before any data. It is queued while there is no link."""
        self._queue.queue_control(frames.MESSAGE, 0, frames.pack_text(value))

    def send_ping(self, mark: bytes) -> None:
        """Send a PING; `mark` (8 bytes, the first four not all 0) comes back in a PONG event."""
        if self._link.has_hello:
            self._link.send_ping(mark, self.received, self._queue.sent)

    @property
    def frame_bytes(self) -> int:
        """Bytes of the other end's frames that this link has brought, without what others print into it."""
        return self._link.codec.frame_bytes

    def ack_now(self) -> None:
        """Send an ACK next if a frame has arrived in part, to show that we receive it. Does nothing otherwise."""
        self._link.ack_now()

    def mark_stalled(self) -> None:
        """Note that the link brings nothing: buffer as much as without one, until it brings something."""
        self._link.set_stalled(True)

    def mark_consumed(self, stream_id: int, size: int) -> None:
        """Note that `size` delivered bytes were consumed (written to a socket): the other end may send more."""
        stream = self.streams.get(stream_id)
        credit = stream.grant(size) if stream is not None else 0
        if credit:
            self._queue.queue_control(frames.WINDOW, stream_id, frames.CREDIT.pack(credit))

    def can_send(self, stream_id: int) -> bool:
        """Whether more may be queued on this stream now, and so whether the driver may read from its socket."""
        stream = self.streams.get(stream_id)
        return stream is not None and self._queue.can_send(stream, self.is_linked and not self._link.is_stalled)

    def is_blocked(self, stream_id: int) -> bool:
        """Whether the buffer is full for this stream, with a link or without one."""
        stream = self.streams.get(stream_id)
        return stream is not None and not self._queue.can_send(stream, False)

    def data_to_send(self, token: int, size: int = 1 << 20) -> "list[bytes | memoryview]":
        """Take the next buffers to write to the link, `size` bytes or a little more."""
        return self._link.next_buffers(self._queue, self.received, size) if token == self._token else []

    def receive(self, token: int, data: bytes) -> "list[Event]":
        """Take what a link brought (immutable bytes). Returns events.

        Raises `ProtocolError` and detaches the link if it broke the protocol. Nothing before the offending frame is
        lost: the next link's first call returns those events.
        """
        if token != self._token:
            return []
        events, link = self._events, self._link
        before = link.codec.frame_bytes
        try:
            for kind, stream, number, payload in link.codec.feed(data):
                if kind in frames.SEQUENCED:
                    if link.is_next(number, self.received):
                        self._on_sequenced_frame(kind, stream, payload, events)
                elif kind == GAP:
                    self._on_gap(events)
                else:
                    self._on_link_frame(kind, stream, payload, events)
        except ProtocolError:
            self.detach(token)
            raise
        if link.is_stalled and link.codec.frame_bytes > before:
            link.set_stalled(False)
        self._events = []
        return events

    # receiving -------------------------------------------------------------------------------------------

    def _on_gap(self, events: "list[Event]") -> None:
        """Others have printed into the link."""
        if self._link.on_gap(self.received, self._queue.sent):
            events.append(Event(NOISE, 0, self._link.codec.noise))

    def _on_link_frame(self, kind: int, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        link = self._link
        if stream_id:
            raise ProtocolError("a link's frame on stream %d" % stream_id)
        if kind == frames.HELLO and self.is_client and not link.has_hello:
            self._on_answer(frames.check_hello(payload), events)
        elif kind == frames.HELLO and self.is_client and link.version > 1:
            pass  # sent twice, since the first seemed lost
        elif not link.has_hello and link.version > 1:
            link.request_retransmission(self.received)
        elif not link.has_hello:
            raise ProtocolError("frame %d before the hello" % kind)
        elif kind == frames.ACK and len(payload) == frames.COUNT.size:
            self._queue.ack(frames.COUNT.unpack(payload)[0])
        elif kind in (frames.PING, frames.PONG):
            self._on_heartbeat(kind, payload, events)
        elif kind == frames.AGAIN and link.version > 1 and len(payload) == frames.MISSED.size:
            self._on_again(*frames.MISSED.unpack(payload))
        elif kind == frames.BEGIN and link.version > 1 and len(payload) == frames.SERIAL.size:
            link.on_begin(*frames.SERIAL.unpack(payload))
        else:
            raise ProtocolError("frame of kind %d and %d bytes" % (kind, len(payload)))

    def _on_heartbeat(self, kind: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        size, link = frames.HEARTBEAT.size, self._link
        if len(payload) != (size if link.version == 1 else size + frames.COUNT.size):
            raise ProtocolError("a heartbeat of %d bytes" % len(payload))
        count, mark = frames.HEARTBEAT.unpack_from(payload)
        self._queue.ack(count)
        if link.version > 1:
            sent = frames.COUNT.unpack_from(payload, size)[0]
            if link.on_heartbeat(sent, self.received, mark if kind == frames.PONG else b""):
                link.send_probe(self.received, self._queue.sent)
        if kind == frames.PING:
            link.send_pong(mark, self.received, self._queue.sent)
        elif link.version == 1 or not mark.startswith(PROBE):
            events.append(Event(frames.PONG, 0, mark))

    def _on_again(self, count: int, serial: int) -> None:
        """AGAIN: the other end misses what comes after frame `count`, or our HELLO."""
        is_hello = count == frames.MISSED_HELLO and not self.is_client
        if is_hello:
            self._link.on_begin()  # it heeds no AGAIN of ours before that
            self._send_hello({})
        else:
            self._queue.ack(count)
        self._link.retransmit(self._queue, serial, smaller=not is_hello)

    def _on_answer(self, hello: "dict[str, object]", events: "list[Event]") -> None:
        """Client: the server's HELLO has come. Go on from there, or from 0 if it does not know the mux any more."""
        epoch, received = (frames.count_of(hello, key) for key in ("life", "received"))
        if hello["line"] != self.id or not max(self.epoch, 1) <= epoch <= self._links:
            raise ProtocolError("an answer of another line, or of life %d after %d" % (epoch, self.epoch))
        resumed, is_first = epoch == self.epoch, not self.epoch
        if resumed or is_first:
            self._queue.ack(received)
        elif received:
            raise ProtocolError("a line that begins with %d frames" % received)
        else:
            self._start_over(events)
        self.epoch = epoch
        self._link.on_hello()
        if not is_first:  # else all of it is on its way
            self._link.start_sending(self._queue)
        events.append(Event(UP, 0, resumed))

    def _start_over(self, events: "list[Event]") -> None:
        """Begin a new epoch: reset all streams but those that the other end never heard of."""
        events.extend(Event(frames.RESET, stream_id, b"") for stream_id in self._queue.start_over())
        self.received = 0

    def _on_sequenced_frame(
        self, kind: int, stream_id: int, payload: "bytes | memoryview", events: "list[Event]"
    ) -> None:
        """Take one sequenced frame. It counts only if it is valid, so that a spoilt link loses nothing."""
        if kind == frames.MESSAGE and not stream_id:
            events.append(Event(frames.MESSAGE, 0, frames.parse_text(payload)))
        elif kind == frames.OPEN:
            self._on_open(stream_id, payload, events)
        elif not 0 < stream_id <= self._last_id:
            raise ProtocolError("frame %d on stream %d, never opened" % (kind, stream_id))
        elif stream_id in self.streams:  # else this end has reset it meanwhile
            self._on_stream_frame(kind, self.streams[stream_id], payload, events)
        self.received += 1
        self._link.count_received(len(payload))

    def _on_open(self, stream_id: int, payload: "bytes | memoryview", events: "list[Event]") -> None:
        if self.is_client or stream_id <= self._last_id or len(self.streams) >= MAX_STREAMS:
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

    def _on_stream_frame(self, kind: int, stream: Stream, payload: "bytes | memoryview", events: "list[Event]") -> None:
        if kind == frames.DATA and payload:
            self._deliver(stream, payload, events)
        elif kind == frames.WINDOW and len(payload) == frames.CREDIT.size:
            credit = stream.credit + frames.CREDIT.unpack(payload)[0]
            if credit > frames.MAX_CREDIT:
                raise ProtocolError("a window beyond all bounds")
            stream.credit = credit
            self._queue.schedule(stream)
        elif kind == frames.EOF and not payload and not stream.eof_received:
            stream.eof_received = True
            if stream.eof == EOF_SENT:
                self._queue.discard(stream)
            events.append(Event(frames.EOF, stream.id, b""))
        elif kind == frames.RESET and not payload:
            self._queue.discard(stream)
            events.append(Event(frames.RESET, stream.id, b""))
        else:
            raise ProtocolError("frame of kind %d and %d bytes on stream %d" % (kind, len(payload), stream.id))

    def _deliver(self, stream: Stream, payload: "bytes | memoryview", events: "list[Event]") -> None:
        if stream.eof_received or len(payload) > stream.recv_window:
            raise ProtocolError("more than the window of stream %d holds" % stream.id)
        stream.recv_window -= len(payload)
        stream.unconsumed += len(payload)
        events.append(Event(frames.DATA, stream.id, payload))
