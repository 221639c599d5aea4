"""Bounds what waits in the server for a page that is away, or slower than its kernel.

Rules: runs in the server, patches what every version from 1.13 on has, and leaves a server as it is that lacks it;
syntax of Python 3.6. Below the bound nothing is lost; above it output is, and the notebook says where. Jupyter's own
limit is not enough: it drops by rate, even far below the bound, and lets a megabyte a second and all pictures pass.
"""

import collections
import contextlib
import time

MYPY = False
if MYPY:
    from collections.abc import Iterator
    from typing import Any

MAX_BUDGET = 1 << 30
MEMORY_SHARE = 4
"""One WebSocket may take the fourth part of the memory that the machine has left: others use it too."""
MIN_BUDGET = 16 << 20
MESSAGE_OVERHEAD = 2048
"""About what a waiting message takes beside its own bytes."""
NEVER_DROPPED = ("status", "comm_open", "execute_input")
"""Without them a page is wrong afterwards. They pass Jupyter's own limit, too."""
NOTICE = "Some output was dropped: more than %d MiB was waiting for this page while it was disconnected or too slow."


class MemoryBudget:
    """How much may wait now; looked up once a second, and only while much waits."""

    def __init__(self) -> None:
        self._size, self._until = MAX_BUDGET, 0.0

    def size(self) -> int:
        if time.monotonic() >= self._until:
            self._size, self._until = (
                max(MIN_BUDGET, min(MAX_BUDGET, available() // MEMORY_SHARE)),
                time.monotonic() + 1,
            )
        return self._size


def available() -> int:
    """Bytes of memory that can be had without swapping, proc(5)."""
    try:
        with open("/proc/meminfo") as file:
            [line] = [line for line in file if line.startswith("MemAvailable:")]
        return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        return MAX_BUDGET * MEMORY_SHARE


class OutputGate:
    """Shut once too much waits, until half of it has gone: so output has few gaps, not one in each line."""

    budget = MemoryBudget()
    is_bypassed = False

    def __init__(self) -> None:
        self._is_shut = False
        self._noticed = None

    def is_shut(self, waiting: int) -> bool:
        if waiting < MIN_BUDGET or OutputGate.is_bypassed:
            self._is_shut = False
        else:
            budget = self.budget.size()
            self._is_shut = waiting > (budget // 2 if self._is_shut else budget)
        if not self._is_shut:
            self._noticed = None
        return self._is_shut

    def notice(self, waiting: int, parent: "dict[str, Any]") -> "str | None":
        """The notice in place of a dropped message, once for each cell and gap; None after that."""
        noticed, self._noticed = self._noticed, parent.get("msg_id", "")
        return None if noticed == self._noticed else NOTICE % (waiting >> 20)


def unsent(handler: "Any") -> int:
    """Bytes that wait in a WebSocket's connection."""
    stream = getattr(getattr(handler, "ws_connection", None), "stream", None)
    return len(getattr(stream, "_write_buffer", None) or ()) + MESSAGE_OVERHEAD * len(
        getattr(stream, "_write_futures", ())
    )


def bound_terminals(terminals: "Any") -> None:
    """`terminals`: the class of terminals' WebSockets, of terminado."""
    on_pty_read = terminals.on_pty_read

    def bounded(self: "Any", text: "Any") -> None:
        waiting = unsent(self)
        gate = self.__dict__.setdefault("_farlab_gate", OutputGate())
        notice = gate.notice(waiting, {}) if gate.is_shut(waiting) else text
        if notice:
            on_pty_read(self, notice if notice is text else "\r\n%s\r\n" % notice)

    terminals.on_pty_read = bounded


def bound_connections(connections: "Any") -> None:
    """`connections`: the class of kernels' WebSockets, which asks `_limit_rate` about every message for the page."""
    limit_rate, _, _ = connections._limit_rate, connections.get_part, connections.write_stderr

    def _limit_rate(self: "Any", channel: "Any", msg: "Any", msg_list: "Any") -> bool:
        waiting = unsent(getattr(self, "websocket_handler", self))  # before 2.0 both are one
        if channel == "iopub" and waiting:
            gate = self.__dict__.setdefault("_farlab_gate", OutputGate())
            if (
                gate.is_shut(waiting)
                and self.get_part("header", msg["header"], msg_list)["msg_type"] not in NEVER_DROPPED
            ):
                parent = self.get_part("parent_header", msg["parent_header"], msg_list)
                notice = gate.notice(waiting, parent)
                if notice:
                    self.write_stderr(notice, parent)
                return True
        return bool(limit_rate(self, channel, msg, msg_list))

    connections._limit_rate = _limit_rate


def bound_buffers(kernels: "Any") -> None:
    """`kernels`: the class that keeps a kernel's messages in a list while no page is connected."""
    start_buffering = kernels.start_buffering

    def bounded(self: "Any", kernel_id: "Any", session_key: str, channels: str) -> None:
        start_buffering(self, kernel_id, session_key, channels)
        kept = self._kernel_buffers.get(kernel_id)
        if kept and kept.get("buffer") == []:
            kept["buffer"] = Buffer(self.get_kernel(kernel_id).session)

    kernels.start_buffering = bounded


class Buffer(collections.deque):  # type: ignore[type-arg] # Python 3.6 knows no other
    """Messages as they came from the kernel's sockets: (channel, parts). They are given away as they are read."""

    def __init__(self, session: "Any") -> None:
        collections.deque.__init__(self)
        self._session, self._waiting, self._gate = session, 0, OutputGate()

    def append(self, message: "tuple[str, list[bytes]]") -> None:
        channel, parts = message
        if channel == "iopub" and self._gate.is_shut(self._waiting):
            header, parent = map(self._session.unpack, self._session.feed_identities(parts)[1][1:3])
            if header["msg_type"] not in NEVER_DROPPED:
                notice = self._gate.notice(self._waiting, parent)
                if notice is None:
                    return
                content = {"name": "stderr", "text": notice + "\n"}
                parts = self._session.serialize(self._session.msg("stream", content, parent=parent), b"stream.stderr")
        self._waiting += MESSAGE_OVERHEAD + sum(map(len, parts))
        collections.deque.append(self, (channel, parts))

    def __iter__(self) -> "Iterator[Any]":
        OutputGate.is_bypassed = True  # what a page gets again was bounded before
        try:
            while self:
                yield self.popleft()
        finally:
            OutputGate.is_bypassed = False


def install() -> None:
    """The bounds, as far as this version has the places for them."""
    with contextlib.suppress(ImportError, AttributeError):
        from terminado.websocket import TermSocket

        bound_terminals(TermSocket)
    with contextlib.suppress(ImportError, AttributeError):
        from jupyter_server.services.kernels.kernelmanager import MappingKernelManager

        bound_buffers(MappingKernelManager)
        bound_connections(connection_class())


def connection_class() -> "Any":
    try:
        from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
    except ImportError:
        from jupyter_server.services.kernels.handlers import ZMQChannelsHandler

        return ZMQChannelsHandler
    return ZMQChannelsWebsocketConnection
