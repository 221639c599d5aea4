"""Carries bytes between a line and real descriptors, on an event loop. Both ends run this very file.

Rules: standard library, Python 3.6. The loop is anything with asyncio's `add_reader`, `remove_reader`,
`add_writer` and `remove_writer`: asyncio itself on the laptop, `reactor.Reactor` on the host. Every descriptor
is non-blocking and owned from the moment it is handed over. Back-pressure, not loss: a socket is read only while
the line wants more of its stream, and what a socket does not take keeps its window closed.
"""

import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from farlab.mux import frames
from farlab.mux.frames import ProtocolError
from farlab.mux.mux import Event, Mux
from farlab.mux.pipes import LinkPipes

CHUNK = 256 * 1024
"""Bytes read at once."""
SAID_EVERY = 1.0
"""Seconds without a word of ours after which the other end, while it sends, is told that it is heard."""
_ABORT = struct.pack("ii", 1, 0)


class _End(object):
    """The socket at this end of one stream."""

    __slots__ = ("answered", "eof", "id", "out", "reading", "sock", "writing")

    def __init__(self, stream_id: int, sock: socket.socket) -> None:
        self.id = stream_id
        self.sock = sock
        self.out = deque()  # type: deque[bytes] # what the socket has not taken yet
        self.eof = False  # the other end has no more
        self.answered = self.reading = self.writing = False


class MuxDriver(object):
    """One line, its link's descriptors and its streams' sockets.

    `on_event(event)` gets what is not the carrier's own affair: OPEN, MESSAGE, PONG, UP and NOISE.
    `on_lost(reason)` is called when the link ends or breaks the protocol; `reason` is a str.
    """

    def __init__(self, loop, line: Mux, on_event: "Callable[[Event], None]", on_lost: "Callable[[str], None]") -> None:
        self.line = line
        self.on_turn = None  # type: Callable[[int, bytes], bytes] | None # a socket speaks again that has been answered
        self.bytes_in = self.bytes_out = 0  # over all links
        self.heard = 0  # the bytes among them that were the other end's, not others' output
        self.heard_at = 0.0  # when the link began, or brought some of them last; monotonic
        self._loop = loop
        self._on_event = on_event
        self._on_lost = on_lost
        self._ends = {}  # type: dict[int, _End]
        self._expected = {}  # type: dict[int, list[Event]] # what came for streams that wait for their socket
        self._paused = set()  # type: set[int]
        self._paused_at = 0.0
        self._token = None  # type: int | None
        self._wire = None  # type: LinkPipes | None
        self._unwritten = []  # type: list[bytes | memoryview]
        self._blocked = False
        self._said_at = 0.0  # monotonic

    @property
    def waits_since(self) -> "float | None":
        """Unix time since which sockets wait, where some wait for room in the line; None where none does."""
        return self._paused_at if any(map(self.line.is_full, self._paused)) else None

    # the link --------------------------------------------------------------------------------------------

    def carry(self, token: int, wire: LinkPipes, brought: bytes = b"") -> None:
        """The link `token` of the line is on these descriptors from now on; `brought` came over it already."""
        self.drop()
        self._token, self._wire, self.heard_at = token, wire, time.monotonic()
        self._loop.add_reader(wire.read_fd, self._read_link)
        self._received(brought)
        self.pump()

    def drop(self) -> None:
        """Let go of the link's descriptors and close them."""
        wire, self._wire = self._wire, None
        if wire is None or self._token is None:
            return
        self._loop.remove_reader(wire.read_fd)
        if self._blocked:
            self._loop.remove_writer(wire.write_fd)
        wire.close()
        self.line.detach(self._token)
        self._token, self._unwritten, self._blocked = None, [], False

    def close(self) -> None:
        """Let go of everything."""
        self.drop()
        self._expected.clear()
        for end in list(self._ends.values()):
            self._close(end)

    def failed(self, end: "_End | None" = None) -> None:
        """A callback did not come to its end: what it was about, a stream or the link, is given up."""
        if end is None:
            self._lost("a fault of its own")
        else:
            self.give_up(end.id)

    def _lost(self, reason: str) -> None:
        if self._token is not None:
            self.drop()
            self._on_lost(reason)
            self.pump()  # without a link a stream may hold more

    def _read_link(self) -> None:
        if self._wire is None:
            return
        try:
            data = self._wire.read(CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or "the link broke")
            return
        if not data:
            self._lost("the link ended")
            return
        self._received(data)
        self.pump()

    def _received(self, data: bytes) -> None:
        if self._token is None:
            return
        self.bytes_in += len(data)
        before = self.line.heard
        try:
            events = self.line.receive(self._token, data)
        except ProtocolError as error:
            self._lost("protocol: %s" % error)
            return
        if self.line.heard > before:
            self.heard += self.line.heard - before
            self.heard_at = time.monotonic()
        if time.monotonic() - self._said_at > SAID_EVERY:
            self.line.reassure()
        wrong = None
        for event in events:
            try:
                self._came(event)
            except Exception as error:  # what came with it counts as received, and is not sent again
                wrong = wrong or error
        if wrong is not None:
            self._lost("protocol: %s" % wrong)
            if not isinstance(wrong, ProtocolError):
                raise wrong

    def _came(self, event: Event) -> None:
        if event.stream in self._ends:
            self._happened(self._ends[event.stream], event)
        elif event.stream in self._expected and event.kind in (frames.DATA, frames.EOF):
            data = bytes(event.data)  # a copy: a view would keep the whole of what was read in memory
            self._expected[event.stream].append(Event(event.kind, event.stream, data))
        elif event.kind == frames.DATA:
            self.line.reset(event.stream)
        elif event.kind == frames.RESET:
            self._expected.pop(event.stream, None)
        elif event.kind != frames.EOF:
            self._on_event(event)

    def _happened(self, end: _End, event: Event) -> None:
        if event.kind == frames.DATA:
            self._deliver(end, event.data)
        elif event.kind == frames.EOF:
            end.eof = True
            self._finish(end)
        elif event.kind == frames.RESET:
            self._close(end, abort=True)

    def pump(self) -> None:
        """Send what the line has, as far as the link takes it; then read sockets again that had to wait."""
        while self._wire is not None and self._token is not None and not self._blocked:
            if not self._unwritten:
                self._unwritten = self.line.data_to_send(self._token)
                if not self._unwritten:
                    break
            self._write_link(self._wire)
        if self._paused:
            for stream_id in [each for each in self._paused if self.line.wants(each)]:
                self._paused.discard(stream_id)
                self._resume(self._ends[stream_id])

    def _write_link(self, wire: LinkPipes) -> None:
        try:
            size = wire.write(self._unwritten)
        except BlockingIOError:
            self._blocked = True
            self._loop.add_writer(wire.write_fd, self._link_writable)
            return
        except OSError as error:
            self._lost(error.strerror or "the link broke")
            return
        self.bytes_out += size
        self._said_at = time.monotonic()
        count = 0
        for buffer in self._unwritten:
            if size < len(buffer):
                break
            size -= len(buffer)
            count += 1
        del self._unwritten[:count]
        if size:
            self._unwritten[0] = memoryview(self._unwritten[0])[size:]

    def _link_writable(self) -> None:
        if self._wire is not None:
            self._loop.remove_writer(self._wire.write_fd)
        self._blocked = False
        self.pump()

    # the streams -----------------------------------------------------------------------------------------

    def expect(self, stream_id: int) -> None:
        """A socket for this stream is being made; keep what comes for it until `join`."""
        self._expected[stream_id] = []

    def is_expected(self, stream_id: int) -> bool:
        """Whether the stream still waits for its socket: it may have been given up meanwhile."""
        return stream_id in self._expected

    def join(self, stream_id: int, sock: socket.socket) -> None:
        """Join a socket to a stream."""
        sock.setblocking(False)
        end = self._ends[stream_id] = _End(stream_id, sock)
        for event in self._expected.pop(stream_id, ()):
            if stream_id in self._ends:
                self._happened(end, event)
        if stream_id in self._ends:
            self._resume(end)

    def is_unanswered(self, stream_id: int) -> bool:
        """Whether the stream's socket is there and has got nothing since it spoke last."""
        return stream_id in self._ends and not self._ends[stream_id].answered

    def take_back(self, stream_id: int) -> "socket.socket | None":
        """Give up a stream that is unanswered, and return its socket; None where it is too late."""
        if not self.is_unanswered(stream_id):
            return None
        self.line.reset(stream_id)
        sock = self._let_go(self._ends[stream_id])
        self.pump()
        return sock

    def give_up(self, stream_id: int) -> None:
        """Reset a stream and close its socket, here and there."""
        self.line.reset(stream_id)
        self._expected.pop(stream_id, None)
        if stream_id in self._ends:
            self._close(self._ends[stream_id], abort=True)

    def _resume(self, end: _End) -> None:
        if end.id not in self.line.streams or end.reading:
            return
        if self.line.wants(end.id):
            end.reading = True
            self._loop.add_reader(end.sock.fileno(), self._read, end)
        else:
            self._wait_for_room(end)

    def _pause(self, end: _End) -> None:
        if end.reading:
            end.reading = False
            self._loop.remove_reader(end.sock.fileno())

    def _wait_for_room(self, end: _End) -> None:
        if not self._paused:
            self._paused_at = time.time()
        self._paused.add(end.id)

    def _read(self, end: _End) -> None:
        if not self.line.wants(end.id):  # others were read first, and have taken the room
            self._pause(end)
            self._wait_for_room(end)
            return
        try:
            data = end.sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = None
        if data is None or (not data and self._token is None and self.line.opener):
            self.give_up(end.id)  # nobody is there any more who could want the answer
        elif not data:
            self._pause(end)
            self.line.send_eof(end.id)
            self._finish(end)
        else:
            if end.answered and self.on_turn is not None:
                data = self.on_turn(end.id, data)
            end.answered = False
            self.line.send(end.id, data)
            if not self.line.wants(end.id):
                self._pause(end)
                self._wait_for_room(end)
        self.pump()

    def _deliver(self, end: _End, data: "bytes | memoryview") -> None:
        end.answered = True
        if not end.out:
            try:
                size = end.sock.send(data)
            except BlockingIOError:
                size = 0
            except OSError:
                self.give_up(end.id)
                return
            if size:
                self.line.consumed(end.id, size)
            if size == len(data):
                return
            data = data[size:]
        end.out.append(bytes(data))  # a copy: a view would keep the whole of what was read in memory
        self._wait_writable(end)

    def _wait_writable(self, end: _End) -> None:
        if end.out and not end.writing:
            end.writing = True
            self._loop.add_writer(end.sock.fileno(), self._write, end)

    def _write(self, end: _End) -> None:
        while end.out:
            try:
                size = end.sock.send(end.out[0])
            except BlockingIOError:
                break
            except OSError:
                self.give_up(end.id)
                self.pump()
                return
            self.line.consumed(end.id, size)
            if size < len(end.out[0]):
                end.out[0] = end.out[0][size:]
                break
            end.out.popleft()
        if end.out:
            self._wait_writable(end)
        else:
            self._stop_writing(end)
            self._finish(end)
        self.pump()

    def _stop_writing(self, end: _End) -> None:
        if end.writing:
            end.writing = False
            self._loop.remove_writer(end.sock.fileno())

    def _finish(self, end: _End) -> None:
        """Hand on a half close once all has been written; close when both directions have ended."""
        if end.out or not end.eof:
            return
        stream = self.line.streams.get(end.id)
        if stream is None or stream.finished:
            self._close(end)
            return
        with suppress(OSError):  # the other end has gone already, which its reading or writing tells
            end.sock.shutdown(socket.SHUT_WR)

    def _close(self, end: _End, abort: bool = False) -> None:
        sock = self._let_go(end)
        if abort and sock.family != socket.AF_UNIX:  # so that a cut answer does not look complete
            with suppress(OSError):  # macOS: EINVAL where the other end has gone
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        sock.close()

    def _let_go(self, end: _End) -> socket.socket:
        del self._ends[end.id]
        self._paused.discard(end.id)
        self._pause(end)
        self._stop_writing(end)
        return end.sock
