"""Carries bytes between a mux and real descriptors, on an event loop. Both ends run this file.

Rules: standard library, Python 3.6. The loop is anything with asyncio's `add_reader`, `remove_reader`, `add_writer` and
`remove_writer`: asyncio itself on the laptop, `reactor.Reactor` on the host. The driver owns every descriptor from the
moment it gets it, and none of them blocks. Back-pressure, not loss: the driver reads a socket only while the mux can
send on its stream, and what a socket does not take keeps its window closed.
"""

import socket
import struct
import time
from collections import deque
from contextlib import suppress

from farlab.mux import frames
from farlab.mux.frames import ProtocolError
from farlab.mux.mux import Event, Mux
from farlab.mux.pipes import LinkPipes
from farlab.mux.streams import NO_EOF

MYPY = False
if MYPY:
    from collections.abc import Callable

    from farlab.mux.loop import Loop

CHUNK = 256 * 1024
"""Bytes read at once."""
ACK_INTERVAL = 1.0
"""Seconds without a write of ours after which the other end, in the middle of a large frame, gets an ACK."""
_ABORT = struct.pack("ii", 1, 0)


class _Link(object):
    """The link that carries the mux now: its descriptors, and what they have not taken yet."""

    __slots__ = ("is_full", "pipes", "token", "unwritten")

    def __init__(self, token: int, pipes: LinkPipes) -> None:
        self.token, self.pipes = token, pipes
        self.unwritten = []  # type: list[bytes | memoryview]
        self.is_full = False


class _StreamSocket(object):
    """The socket at this end of one stream."""

    __slots__ = ("id", "is_answered", "is_eof_received", "is_reading", "is_writing", "sock", "unwritten")

    def __init__(self, stream_id: int, sock: socket.socket) -> None:
        self.id = stream_id
        self.sock = sock
        self.unwritten = deque()  # type: deque[bytes]
        self.is_eof_received = self.is_answered = self.is_reading = self.is_writing = False


class Traffic(object):
    """What went over all links so far. `frame_bytes` of `bytes_in` were the other end's. Times are monotonic."""

    __slots__ = ("bytes_in", "bytes_out", "frame_bytes", "heard_at", "written_at")

    def __init__(self) -> None:
        self.bytes_in = self.bytes_out = self.frame_bytes = 0
        self.heard_at = 0.0  # when the link began, or last brought some of `frame_bytes`
        self.written_at = 0.0


class MuxDriver(object):
    """One mux, its link's descriptors and its streams' sockets.

    `on_event(event)` gets the events that are not about a socket: OPEN, MESSAGE, PONG, UP and NOISE.
    `on_lost(reason)` is called when the link ends or breaks the protocol.
    `on_next_request(stream_id, data)` is called when a socket sends again after an answer; it returns what to send.
    """

    def __init__(
        self,
        loop: "Loop",
        mux: Mux,
        on_event: "Callable[[Event], object]",
        on_lost: "Callable[[str], object]",
        on_next_request: "Callable[[int, bytes], bytes] | None" = None,
    ) -> None:
        self.mux = mux
        self.traffic = Traffic()
        self._loop = loop
        self._on_event, self._on_lost, self._on_next_request = on_event, on_lost, on_next_request
        self._link = None  # type: _Link | None
        self._sockets = {}  # type: dict[int, _StreamSocket]
        self._reserved = {}  # type: dict[int, list[Event]] # what came for streams whose socket is being made
        self._awaiting_room = set()  # type: set[int]
        self._blocked_at = 0.0

    @property
    def blocked_since(self) -> "float | None":
        """Unix time since which sockets wait for room in the mux; None while none does."""
        return self._blocked_at if any(map(self.mux.is_blocked, self._awaiting_room)) else None

    def attach_link(self, token: int, pipes: LinkPipes, received: bytes = b"") -> None:
        """Carry the mux's link `token` over these descriptors, which have `received` something already."""
        self.drop_link()
        self._link, self.traffic.heard_at = _Link(token, pipes), time.monotonic()
        self._loop.add_reader(pipes.read_fd, self._read_link)
        self._receive(self._link, received)
        self.pump()

    def drop_link(self) -> None:
        """Close the link's descriptors and detach it."""
        link, self._link = self._link, None
        if link is None:
            return
        self._loop.remove_reader(link.pipes.read_fd)
        if link.is_full:
            self._loop.remove_writer(link.pipes.write_fd)
        link.pipes.close()
        self.mux.detach(link.token)

    def close(self) -> None:
        """Close the link and all sockets."""
        self.drop_link()
        self._reserved.clear()
        for stream in list(self._sockets.values()):
            self._close(stream)

    def abandon(self, stream: "_StreamSocket | None" = None) -> None:
        """Give up what a callback that raised was about, a stream or the link."""
        if stream is None:
            self._lose_link("a fault of its own")
        else:
            self.abort(stream.id)

    def _lose_link(self, reason: str) -> None:
        if self._link is not None:
            self.drop_link()
            self._on_lost(reason)
            self.pump()  # without a link a stream may buffer more

    def _read_link(self) -> None:
        link = self._link
        if link is None:
            return
        try:
            data = link.pipes.read(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose_link(error.strerror or "the link broke")
            return
        if not data:
            self._lose_link("the link ended")
            return
        self._receive(link, data)
        self.pump()

    def _receive(self, link: _Link, data: bytes) -> None:
        traffic, now = self.traffic, time.monotonic()
        traffic.bytes_in += len(data)
        before = self.mux.frame_bytes
        try:
            events = self.mux.receive(link.token, data)
        except ProtocolError as error:
            self._lose_link("protocol: %s" % error)
            return
        if self.mux.frame_bytes > before:
            traffic.frame_bytes += self.mux.frame_bytes - before
            traffic.heard_at = now
        if now - traffic.written_at > ACK_INTERVAL:
            self.mux.ack_now()
        wrong = None
        for event in events:
            try:
                self._dispatch(event)
            except Exception as error:  # the other events count as received, and will not be sent again
                wrong = wrong or error
        if wrong is not None:
            self._lose_link("protocol: %s" % wrong)
            if not isinstance(wrong, ProtocolError):
                raise wrong

    def _dispatch(self, event: Event) -> None:
        if event.stream in self._sockets:
            self._on_stream_event(self._sockets[event.stream], event)
        elif event.stream in self._reserved and event.kind in (frames.DATA, frames.EOF):
            data = bytes(event.data)  # a copy: a view would keep the whole of what was read in memory
            self._reserved[event.stream].append(Event(event.kind, event.stream, data))
        elif event.kind == frames.DATA:
            self.mux.reset(event.stream)
        elif event.kind == frames.RESET:
            self._reserved.pop(event.stream, None)
        elif event.kind != frames.EOF:
            self._on_event(event)

    def _on_stream_event(self, stream: _StreamSocket, event: Event) -> None:
        if event.kind == frames.DATA:
            self._deliver(stream, event.data)
        elif event.kind == frames.EOF:
            stream.is_eof_received = True
            self._finish(stream)
        elif event.kind == frames.RESET:
            self._close(stream, abort=True)

    def pump(self) -> None:
        """Write what the mux has to send, as far as the link takes it. Then read sockets again that had to wait."""
        while self._link is not None and not self._link.is_full:
            if not self._link.unwritten:
                self._link.unwritten = self.mux.data_to_send(self._link.token)
                if not self._link.unwritten:
                    break
            self._write_link(self._link)
        if self._awaiting_room:
            for stream_id in [each for each in self._awaiting_room if self.mux.can_send(each)]:
                self._awaiting_room.discard(stream_id)
                self._resume(self._sockets[stream_id])

    def _write_link(self, link: _Link) -> None:
        try:
            size = link.pipes.write(link.unwritten)
        except BlockingIOError:
            link.is_full = True
            self._loop.add_writer(link.pipes.write_fd, self._link_writable)
            return
        except OSError as error:
            self._lose_link(error.strerror or "the link broke")
            return
        self.traffic.bytes_out += size
        self.traffic.written_at = time.monotonic()
        count = 0
        for buffer in link.unwritten:
            if size < len(buffer):
                break
            size -= len(buffer)
            count += 1
        del link.unwritten[:count]
        if size:
            link.unwritten[0] = memoryview(link.unwritten[0])[size:]

    def _link_writable(self) -> None:
        if self._link is not None:
            self._loop.remove_writer(self._link.pipes.write_fd)
            self._link.is_full = False
        self.pump()

    def reserve(self, stream_id: int) -> None:
        """Keep what comes for this stream until `connect_socket`: its socket is being made."""
        self._reserved[stream_id] = []

    def is_reserved(self, stream_id: int) -> bool:
        """Whether the stream still waits for its socket: it may have been reset meanwhile."""
        return stream_id in self._reserved

    def connect_socket(self, stream_id: int, sock: socket.socket) -> None:
        """Connect a socket to a stream."""
        sock.setblocking(False)
        stream = self._sockets[stream_id] = _StreamSocket(stream_id, sock)
        for event in self._reserved.pop(stream_id, ()):
            if stream_id in self._sockets:
                self._on_stream_event(stream, event)
        if stream_id in self._sockets:
            self._resume(stream)

    def is_unanswered(self, stream_id: int) -> bool:
        """Whether the stream has a socket that has got nothing since it last sent something."""
        return stream_id in self._sockets and not self._sockets[stream_id].is_answered

    def detach_socket(self, stream_id: int) -> "socket.socket | None":
        """Reset a stream that is unanswered and return its socket; None if it has been answered."""
        if not self.is_unanswered(stream_id):
            return None
        self.mux.reset(stream_id)
        sock = self._remove(self._sockets[stream_id])
        self.pump()
        return sock

    def abort(self, stream_id: int) -> None:
        """Reset a stream and close its socket."""
        self.mux.reset(stream_id)
        self._reserved.pop(stream_id, None)
        if stream_id in self._sockets:
            self._close(self._sockets[stream_id], abort=True)

    def _resume(self, stream: _StreamSocket) -> None:
        if stream.id not in self.mux.streams or stream.is_reading:
            return
        if self.mux.can_send(stream.id):
            stream.is_reading = True
            self._loop.add_reader(stream.sock.fileno(), self._read, stream)
        else:
            self._await_room(stream)

    def _pause(self, stream: _StreamSocket) -> None:
        if stream.is_reading:
            stream.is_reading = False
            self._loop.remove_reader(stream.sock.fileno())

    def _await_room(self, stream: _StreamSocket) -> None:
        if not self._awaiting_room:
            self._blocked_at = time.time()
        self._awaiting_room.add(stream.id)

    def _read(self, stream: _StreamSocket) -> None:
        if not self.mux.can_send(stream.id):  # others were read first, and have taken the room
            self._pause(stream)
            self._await_room(stream)
            return
        try:
            data = stream.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = None
        if data is None or (not data and self._link is None and self.mux.is_client):
            self.abort(stream.id)  # nobody is there any more who could want the answer
        elif not data:
            self._pause(stream)
            self.mux.send_eof(stream.id)
            self._finish(stream)
        else:
            if stream.is_answered and self._on_next_request is not None:
                data = self._on_next_request(stream.id, data)
            stream.is_answered = False
            self.mux.send(stream.id, data)
            if not self.mux.can_send(stream.id):
                self._pause(stream)
                self._await_room(stream)
        self.pump()

    def _deliver(self, stream: _StreamSocket, data: "bytes | memoryview") -> None:
        stream.is_answered = True
        if not stream.unwritten:
            try:
                size = stream.sock.send(data)
            except BlockingIOError:
                size = 0
            except OSError:
                self.abort(stream.id)
                return
            if size:
                self.mux.mark_consumed(stream.id, size)
            if size == len(data):
                return
            data = data[size:]
        stream.unwritten.append(bytes(data))  # a copy: a view would keep the whole of what was read in memory
        self._wait_writable(stream)

    def _wait_writable(self, stream: _StreamSocket) -> None:
        if stream.unwritten and not stream.is_writing:
            stream.is_writing = True
            self._loop.add_writer(stream.sock.fileno(), self._write, stream)

    def _write(self, stream: _StreamSocket) -> None:
        while stream.unwritten:
            try:
                size = stream.sock.send(stream.unwritten[0])
            except BlockingIOError:
                break
            except OSError:
                self.abort(stream.id)
                self.pump()
                return
            self.mux.mark_consumed(stream.id, size)
            if size < len(stream.unwritten[0]):
                stream.unwritten[0] = stream.unwritten[0][size:]
                break
            stream.unwritten.popleft()
        if stream.unwritten:
            self._wait_writable(stream)
        else:
            self._stop_writing(stream)
            self._finish(stream)
        self.pump()

    def _stop_writing(self, stream: _StreamSocket) -> None:
        if stream.is_writing:
            stream.is_writing = False
            self._loop.remove_writer(stream.sock.fileno())

    def _finish(self, stream: _StreamSocket) -> None:
        """Pass on the other end's EOF once all is written. Close the socket when both directions have ended."""
        if stream.unwritten or not stream.is_eof_received:
            return
        ours = self.mux.streams.get(stream.id)
        if ours is None or ours.eof != NO_EOF:
            self._close(stream)
            return
        with suppress(OSError):  # the other end has gone, which reading or writing will tell
            stream.sock.shutdown(socket.SHUT_WR)

    def _close(self, stream: _StreamSocket, abort: bool = False) -> None:
        sock = self._remove(stream)
        if abort and sock.family != socket.AF_UNIX:  # so that a cut answer does not look complete
            with suppress(OSError):  # macOS: EINVAL if the peer has gone
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()

    def _remove(self, stream: _StreamSocket) -> socket.socket:
        del self._sockets[stream.id]
        self._awaiting_room.discard(stream.id)
        self._pause(stream)
        self._stop_writing(stream)
        return stream.sock
