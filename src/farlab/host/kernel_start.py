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

MOST = 1 << 16
"""Messages that wait in ZMQ for one reader; and of large ones, as many of the latest as make `ROOM` bytes."""
LEAST = 1000
"""ZMQ's own mark."""
ROOM = 128 << 20
EACH = 1024
"""Bytes that a waiting message takes beside its own, about."""
QUEUE = 64 << 20
"""Bytes that wait before ZMQ, until a cell that says more has to wait, too."""
PATIENCE = 10.0
"""Seconds without anything read after which messages are dropped until there is room."""


def main(module):
    """Run `module` as `python -m` does, the kernel's app mended."""
    has_ours = os.path.realpath(sys.path[0]) == os.path.realpath(os.path.dirname(sys.argv[0]))  # not with -P, -I
    if has_ours:
        del sys.path[0]
    try:
        from ipykernel.iostream import IOPubThread
        from ipykernel.kernelapp import IPKernelApp

        mend(IPKernelApp, IOPubThread)
    except (ImportError, AttributeError):
        pass
    if hasattr(sys, "orig_argv"):
        at = sys.orig_argv.index(module) - 1
        sys.orig_argv[at] = "-m"
    if has_ours:
        sys.path.insert(0, working_directory())
    runpy._run_module_as_main(module)  # type: ignore[attr-defined]


def working_directory():
    """As `-m` has it first among the places of modules."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def mend(app, thread):
    """`app`: ipykernel's application. `thread`: the class of its thread that sends all that pages hear."""
    import zmq

    outlet = Outlet(zmq)
    mend_sockets(app, thread, outlet, zmq)
    mend_sending(thread, outlet, zmq)


def mend_sockets(app, thread, outlet, zmq):
    """What must be said of the sockets before they are bound."""
    bind, setup_pipe_in = app._bind_socket, thread._setup_pipe_in

    def _bind_socket(self, sock, port):
        if sock.getsockopt(zmq.TYPE) in (zmq.PUB, zmq.XPUB):
            outlet.prepare(sock, "ipc://%s-f" % self.ip if self.transport == "ipc" else None)
        return bind(self, sock, port)

    def bind_inbox(sock, address, *args, **kwargs):
        """A private socket, instead of the port that anybody on the host could flood: there is no port then."""
        sock.bind(outlet.inbox)
        return 0

    def _setup_pipe_in(self):
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


def mend_sending(thread, outlet, zmq):
    """What is said passes by the outlet, on its way to the thread and out of it."""
    send_multipart, really_send = thread.send_multipart, thread._really_send

    def send_waiting(self, message, *args, **kwargs):
        outlet.queue(size_of(message), self.thread)
        send_multipart(self, message, *args, **kwargs)

    def send_bounded(self, message, *args, **kwargs):
        if self.socket is None or os.getpid() != outlet.pid:  # closed; a forked child, over the inbox
            really_send(self, message, *args, **kwargs)
            return
        outlet.leave(self.socket, size_of(message))
        try:
            really_send(self, message, *args, **kwargs)
            outlet.heard(self.socket)
        except zmq.Again:
            outlet.drop(self.socket, lambda: really_send(self, message, *args, **kwargs))

    thread.send_multipart, thread._really_send = send_waiting, send_bounded


def size_of(message):
    """Bytes of a message's parts, and about what it takes beside them."""
    return EACH + sum(getattr(part, "nbytes", None) or len(part) for part in message)


class Outlet(object):
    """The socket that pages hear, and what waits for it."""

    def __init__(self, zmq):
        self.pid, self.inbox = os.getpid(), None
        self._zmq = zmq
        self._lock = threading.Lock()
        self._came = self._went = 0
        self._latest, self._total = collections.deque([0] * MOST), 0
        self._mark = MOST
        self._is_patient = True

    def prepare(self, sock, inbox):
        """Before it is bound: connections take their marks from there. `inbox`: where forked children send to."""
        self.inbox = inbox
        sock.sndhwm = MOST
        sock.setsockopt(self._zmq.XPUB_NODROP, 1)
        sock.sndtimeo = int(PATIENCE * 1000)

    def connect_inbox(self):
        """From a forked child."""
        context = self._zmq.Context()
        sock = context.socket(self._zmq.PUSH)
        sock.linger = 3000
        sock.connect(self.inbox)
        return context, sock

    def queue(self, size, thread):
        """Wait while too much waits, then add to it. `thread` sends, and never waits for itself."""
        if os.getpid() != self.pid:  # a forked child's lock may be held for ever
            return
        while self._came - self._went > QUEUE and thread.is_alive() and threading.current_thread() is not thread:
            time.sleep(0.002)
        with self._lock:
            self._came += size

    def leave(self, sock, size):
        """A message leaves the queue: keep the mark at as many of the latest as make ROOM."""
        self._went += size
        self._latest.append(size)
        self._total += size
        while len(self._latest) > MOST or (self._total > ROOM and len(self._latest) > LEAST):
            self._total -= self._latest.popleft()
        if len(self._latest) != self._mark:
            self._mark = sock.sndhwm = len(self._latest)

    def heard(self, sock):
        """There was room."""
        if not self._is_patient:
            self._is_patient, sock.sndtimeo = True, int(PATIENCE * 1000)

    def drop(self, sock, send):
        """A reader has not read for so long: it loses what it has no room for, until it reads; others get it."""
        self._is_patient, sock.sndtimeo = False, 0
        sock.setsockopt(self._zmq.XPUB_NODROP, 0)
        send()
        sock.setsockopt(self._zmq.XPUB_NODROP, 1)
