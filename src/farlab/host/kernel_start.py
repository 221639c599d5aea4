"""Starts an ipykernel so that what it says waits for the server, and nobody else on the host hears or floods it.

Rules: runs in the kernel's own Python, before the kernel; every Python and each ipykernel from 4.5 on; nothing of it is
seen from a notebook; where something is missing, the kernel starts as it is.

By itself ZMQ drops what is more than 1,000 messages ahead of its reader: `idle` and `comm_open`, too. Here the kernel
waits for a server that is slower, and drops only where nothing was read for a while: a computation never hangs on it.
"""

import collections
import os
import runpy
import sys
import threading
import time

MYPY = False
if MYPY:
    from typing import Any

MAX_MESSAGES = 1 << 16
"""Messages that wait in ZMQ for one reader; and of large ones, as many of the latest as make `MAX_BYTES` bytes."""
MIN_MESSAGES = 1000
"""ZMQ's own mark."""
MAX_BYTES = 128 << 20
MESSAGE_OVERHEAD = 1024
"""Bytes that a waiting message takes beside its own, about."""
MAX_QUEUED = 64 << 20
"""Bytes that wait before ZMQ, until a cell that says more has to wait, too."""
PATIENCE = 10.0
"""Seconds without anything read after which messages are dropped until there is room."""


def main(module: str) -> None:
    """Run `module` as `python -m` does, the kernel's app mended."""
    has_ours = os.path.realpath(sys.path[0]) == os.path.realpath(os.path.dirname(sys.argv[0]))  # not with -P, -I
    if has_ours:
        del sys.path[0]
    try:
        from ipykernel.iostream import IOPubThread
        from ipykernel.kernelapp import IPKernelApp

        patch(IPKernelApp, IOPubThread)
    except (ImportError, AttributeError):
        pass
    if hasattr(sys, "orig_argv"):
        at = sys.orig_argv.index(module) - 1
        sys.orig_argv[at] = "-m"
    if has_ours:
        sys.path.insert(0, working_directory())
    runpy._run_module_as_main(module)  # type: ignore[attr-defined]


def working_directory() -> str:
    """As `-m` has it first among the places of modules."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def patch(app: "Any", thread: "Any") -> None:
    """`app`: ipykernel's application. `thread`: the class of its thread that sends all that pages hear."""
    import zmq

    outlet = Outlet(zmq)
    patch_sockets(app, thread, outlet, zmq)
    patch_sending(thread, outlet, zmq)


def patch_sockets(app: "Any", thread: "Any", outlet: "Outlet", zmq: "Any") -> None:
    """What must be said of the sockets before they are bound."""
    bind, setup_pipe_in = app._bind_socket, thread._setup_pipe_in

    def _bind_socket(self: "Any", sock: "Any", port: "Any") -> "Any":
        if sock.getsockopt(zmq.TYPE) in (zmq.PUB, zmq.XPUB):
            outlet.prepare(sock, "ipc://%s-f" % self.ip if self.transport == "ipc" else None)
        return bind(self, sock, port)

    def bind_inbox(sock: "Any", address: "Any", *args: "Any", **kwargs: "Any") -> int:
        """A private socket, instead of the port that anybody on the host could flood: there is no port then."""
        sock.bind(outlet.inbox)
        return 0

    def _setup_pipe_in(self: "Any") -> None:
        if outlet.inbox is None:
            setup_pipe_in(self)
            return
        by_port, zmq.Socket.bind_to_random_port = zmq.Socket.bind_to_random_port, bind_inbox
        try:
            setup_pipe_in(self)
        finally:
            zmq.Socket.bind_to_random_port = by_port
        self._setup_pipe_out = outlet.connect_inbox

    app._bind_socket, thread._setup_pipe_in = _bind_socket, _setup_pipe_in


def patch_sending(thread: "Any", outlet: "Outlet", zmq: "Any") -> None:
    """What is said passes by the outlet, on its way to the thread and out of it."""
    send_multipart, really_send = thread.send_multipart, thread._really_send

    def send_waiting(self: "Any", message: "Any", *args: "Any", **kwargs: "Any") -> None:
        outlet.queue(size_of(message), self.thread)
        send_multipart(self, message, *args, **kwargs)

    def send_bounded(self: "Any", message: "Any", *args: "Any", **kwargs: "Any") -> None:
        if self.socket is None or os.getpid() != outlet.pid:  # closed; a forked child, over the inbox
            really_send(self, message, *args, **kwargs)
            return
        outlet.dequeue(self.socket, size_of(message))
        try:
            really_send(self, message, *args, **kwargs)
            outlet.sent(self.socket)
        except zmq.Again:
            outlet.drop(self.socket, lambda: really_send(self, message, *args, **kwargs))

    thread.send_multipart, thread._really_send = send_waiting, send_bounded


def size_of(message: "list[Any]") -> int:
    """Bytes of a message's parts, and about what it takes beside them."""
    return MESSAGE_OVERHEAD + sum(getattr(part, "nbytes", None) or len(part) for part in message)


class Outlet(object):
    """The socket that pages hear, and what waits for it."""

    def __init__(self, zmq: "Any") -> None:
        self.pid = os.getpid()
        self.inbox: "str | None" = None
        self._zmq = zmq
        self._lock = threading.Lock()
        self._came = self._went = 0
        self._latest, self._total = collections.deque([0] * MAX_MESSAGES), 0
        self._mark = MAX_MESSAGES
        self._is_patient = True

    def prepare(self, sock: "Any", inbox: "str | None") -> None:
        """Before it is bound: connections take their marks from there. `inbox`: where forked children send to."""
        self.inbox = inbox
        sock.sndhwm = MAX_MESSAGES
        sock.setsockopt(self._zmq.XPUB_NODROP, 1)
        sock.sndtimeo = int(PATIENCE * 1000)

    def connect_inbox(self) -> "tuple[Any, Any]":
        """From a forked child."""
        context = self._zmq.Context()
        sock = context.socket(self._zmq.PUSH)
        sock.linger = 3000
        sock.connect(self.inbox)
        return context, sock

    def queue(self, size: int, thread: "threading.Thread") -> None:
        """Wait while too much waits, then add to it. `thread` sends, and never waits for itself."""
        if os.getpid() != self.pid:  # a forked child's lock may be held for ever
            return
        while self._came - self._went > MAX_QUEUED and thread.is_alive() and threading.current_thread() is not thread:
            time.sleep(0.002)
        with self._lock:
            self._came += size

    def dequeue(self, sock: "Any", size: int) -> None:
        """A message leaves the queue: keep the mark at as many of the latest as make MAX_BYTES."""
        self._went += size
        self._latest.append(size)
        self._total += size
        while len(self._latest) > MAX_MESSAGES or (self._total > MAX_BYTES and len(self._latest) > MIN_MESSAGES):
            self._total -= self._latest.popleft()
        if len(self._latest) != self._mark:
            self._mark = sock.sndhwm = len(self._latest)

    def sent(self, sock: "Any") -> None:
        """There was room."""
        if not self._is_patient:
            self._is_patient, sock.sndtimeo = True, int(PATIENCE * 1000)

    def drop(self, sock: "Any", send: "Any") -> None:
        """A reader has not read for so long: it loses what it has no room for, until it reads; others get it."""
        self._is_patient, sock.sndtimeo = False, 0
        sock.setsockopt(self._zmq.XPUB_NODROP, 0)
        send()
        sock.setsockopt(self._zmq.XPUB_NODROP, 1)
