"""What waits in the server for a page that is away, or slower than its kernel, is bounded.

Rules: runs in the server, patches of it what every version from 1.13 on has, and leaves it as it is where something is
missing; syntax of Python 3.6. Below the bound nothing is lost; above it output is, and the notebook says so where it is
missing. Jupyter's own limit will not do: it drops by rate, what is far below the bound too, lets a megabyte a second
pass for ever, and pictures as they come.
"""

import collections
import contextlib
import time

MOST = 1 << 30
SHARE = 4
"""One WebSocket may have the fourth part of what the machine has left: it is others' machine, too."""
LEAST = 16 << 20
EACH = 2048
"""Bytes that a waiting message takes beside its own, about."""
PASS = ("status", "comm_open", "execute_input")
"""Without them a page is wrong afterwards. They pass Jupyter's own limit, too."""
WORDS = "Some output was dropped: more than %d MiB was waiting for this page while it was disconnected or too slow."


class Room:
    """How much may wait now; looked up once a second, and only while much waits."""

    def __init__(self):
        self._size, self._until = MOST, 0.0

    def size(self):
        if time.monotonic() >= self._until:
            self._size, self._until = max(LEAST, min(MOST, available() // SHARE)), time.monotonic() + 1
        return self._size


def available():
    """Bytes of memory that can be had without swapping, proc(5)."""
    try:
        with open("/proc/meminfo") as file:
            [line] = [line for line in file if line.startswith("MemAvailable:")]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return MOST * SHARE


class Gate:
    """Shut once too much waits, until half of it has gone: output has few gaps, not one in each line."""

    room = Room()
    lets_all_pass = False

    def __init__(self):
        self._is_shut = False
        self._told = None

    def is_shut(self, waiting):
        if waiting < LEAST or Gate.lets_all_pass:
            self._is_shut = False
        else:
            room = self.room.size()
            self._is_shut = waiting > (room // 2 if self._is_shut else room)
        if not self._is_shut:
            self._told = None
        return self._is_shut

    def words(self, waiting, parent):
        """What to tell instead of a message, once for each cell and gap."""
        told, self._told = self._told, parent.get("msg_id", "")
        return None if told == self._told else WORDS % (waiting >> 20)


def unsent(handler):
    """Bytes that wait in a WebSocket's connection."""
    stream = getattr(getattr(handler, "ws_connection", None), "stream", None)
    return len(getattr(stream, "_write_buffer", None) or ()) + EACH * len(getattr(stream, "_write_futures", ()))


def bound_terminals(terminals):
    """`terminals`: the class of terminals' WebSockets, of terminado."""
    on_pty_read = terminals.on_pty_read

    def bounded(self, text):
        waiting = unsent(self)
        gate = self.__dict__.setdefault("_farlab_gate", Gate())
        words = gate.words(waiting, {}) if gate.is_shut(waiting) else text
        if words:
            on_pty_read(self, words if words is text else "\r\n%s\r\n" % words)

    terminals.on_pty_read = bounded


def bound_connections(connections):
    """`connections`: the class of kernels' WebSockets, which asks `_limit_rate` about every message for the page."""
    limit_rate, _, _ = connections._limit_rate, connections.get_part, connections.write_stderr

    def _limit_rate(self, channel, msg, msg_list):
        waiting = unsent(getattr(self, "websocket_handler", self))  # before 2.0 both are one
        if channel == "iopub" and waiting:
            gate = self.__dict__.setdefault("_farlab_gate", Gate())
            if gate.is_shut(waiting) and self.get_part("header", msg["header"], msg_list)["msg_type"] not in PASS:
                parent = self.get_part("parent_header", msg["parent_header"], msg_list)
                words = gate.words(waiting, parent)
                if words:
                    self.write_stderr(words, parent)
                return True
        return limit_rate(self, channel, msg, msg_list)

    connections._limit_rate = _limit_rate


def bound_buffers(kernels):
    """`kernels`: the class that keeps a kernel's messages in a list while no page is connected."""
    start_buffering = kernels.start_buffering

    def bounded(self, kernel_id, session_key, channels):
        start_buffering(self, kernel_id, session_key, channels)
        kept = self._kernel_buffers.get(kernel_id)
        if kept and kept.get("buffer") == []:
            kept["buffer"] = Buffer(self.get_kernel(kernel_id).session)

    kernels.start_buffering = bounded


class Buffer(collections.deque):  # type: ignore[type-arg] # Python 3.6 knows no other
    """Messages as they came from the kernel's sockets: (channel, parts). They are given away as they are read."""

    def __init__(self, session):
        collections.deque.__init__(self)
        self._session, self._waiting, self._gate = session, 0, Gate()

    def append(self, message):
        channel, parts = message
        if channel == "iopub" and self._gate.is_shut(self._waiting):
            header, parent = map(self._session.unpack, self._session.feed_identities(parts)[1][1:3])
            if header["msg_type"] not in PASS:
                words = self._gate.words(self._waiting, parent)
                if words is None:
                    return
                content = {"name": "stderr", "text": words + "\n"}
                parts = self._session.serialize(self._session.msg("stream", content, parent=parent), b"stream.stderr")
        self._waiting += EACH + sum(map(len, parts))
        collections.deque.append(self, (channel, parts))

    def __iter__(self):
        Gate.lets_all_pass = True  # what a page gets again was bounded before
        try:
            while self:
                yield self.popleft()
        finally:
            Gate.lets_all_pass = False


def install():
    """The bounds, as far as this version has the places for them."""
    with contextlib.suppress(ImportError, AttributeError):
        from terminado.websocket import TermSocket

        bound_terminals(TermSocket)
    with contextlib.suppress(ImportError, AttributeError):
        from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

        bound_buffers(MappingKernelManager)
        bound_connections(connection_class())


def connection_class():
    try:
        from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
    except ImportError:
        from jupyter_server.services.kernels.handlers import ZMQChannelsHandler

        return ZMQChannelsHandler
    return ZMQChannelsWebsocketConnection
