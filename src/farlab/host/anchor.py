"""The session's first process on the node: starts and watches the server, keeps the far ends of the streams.

Rules: standard library, Python 3.6, one thread, one event loop. `requests` has what is asked on its private socket.
"""

import os
import signal
import socket
import time
from contextlib import suppress

from farlab.host import directories, kill
from farlab.host.clients import Clients
from farlab.host.control import ControlServer
from farlab.host.launchers.base import Hold
from farlab.host.launchers.known import named
from farlab.host.reactor import Faults, Reactor
from farlab.host.requests import Requests
from farlab.host.server import Server
from farlab.host.server_connector import ServerConnector
from farlab.host.session_record import SessionRecord
from farlab.protocol import json_lines
from farlab.protocol.anchor import Stopped
from farlab.protocol.options import Options
from farlab.protocol.session import ErrorInfo, ServerInfo
from farlab.protocol.spec import Spec
from farlab.protocol.timing import Timing

MYPY = False
if MYPY:
    from farlab.host.control import ControlConnection
    from farlab.protocol.mux_messages import SessionInfo

TICK = 5.0
RETRY = 0.02
TERMINATED_FAREWELL = 0.2
"""Seconds that keepers have to hear that the session was terminated."""


class Anchor(object):
    """The session whose spec, from the agent, lies in the directory `runtime`."""

    def __init__(self, runtime: str) -> None:
        path = os.path.join(runtime, "spec.json")
        with open(path, "rb") as file:
            self._spec = spec = Spec.read(json_lines.decoded(file.read()))
        spec.wish = Options.read(spec.wish)
        self._timing = Timing.read_leniently(spec.timing).with_patience(spec.wish.timeout)
        os.unlink(path)
        self.loop = Reactor(Faults(os.path.join(self._spec.directory, "log")).report)
        self._hold = Hold()
        self._record = SessionRecord(self._spec)
        self._server = Server(self.loop, self._spec, self._record.token, self._timing, self._on_change)
        connector = ServerConnector(self.loop, self._server, os.path.join(self._spec.directory, "log"))
        self._clients = Clients(self.loop, self._timing, connector, self._describe, self._on_attach, self._server.stop)
        self._stoppers = []  # type: list[ControlConnection] # who asked for the end, and hears of it last
        self._is_announced = self._is_ending = self._is_cleared = False

    def run(self) -> None:
        """Serve the session until it has ended."""
        self.listen()
        self._record.save(self._server)
        self._handle_signals()
        self._hold = named(self._spec.launcher).hold(self._spec.handle)
        self._hold.print("farlab session `%s`; log: %s/log" % (self._spec.name, self._spec.directory))
        if self._spec.adopt:
            self._server.adopt(self._spec.adopt)
        else:
            self._server.start()
            self.loop.call_later(self._timing.first_link, self._on_no_link)
        self._tick()
        self.loop.run()

    def listen(self) -> None:
        """Make the private socket."""
        requests = Requests(self._spec, self._server, self._record, self._on_stop)
        path = os.path.join(self._spec.runtime, "anchor.sock")
        ControlServer(self.loop, path, requests.dispatch, self._clients.add_link)

    def _describe(self) -> "SessionInfo":
        return self._record.describe(self._server)

    def _tick(self) -> None:
        self.loop.call_later(TICK, self._tick)
        self._clients.check()
        if not self._is_ending and not self._record.exists:
            with suppress(OSError):
                self._record.save(self._server)

    def _on_no_link(self) -> None:
        """End if the command that started us was interrupted before its link was joined: nobody knows of us."""
        if not self._clients.has_come:
            self._server.stop()

    def _on_stop(self, connection: "ControlConnection") -> None:
        self._stoppers.append(connection)
        self._server.stop()

    # signals ---------------------------------------------------------------------------------------------

    def _handle_signals(self) -> None:
        """Signals are read as numbers from a descriptor, so that none breaks into what the loop is doing."""
        wakeup, write_end = socket.socketpair()
        for sock in (wakeup, write_end):
            sock.setblocking(False)
        signal.set_wakeup_fd(os.dup(write_end.fileno()))
        typed = signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP  # by a user who is attached to tmux
        for number in (signal.SIGHUP, signal.SIGTERM, *typed):
            signal.signal(number, lambda *_: None)  # not SIG_IGN, which the server and all it starts would inherit
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.loop.add_reader(wakeup.fileno(), self._on_signals, wakeup)

    def _on_signals(self, wakeup: "socket.socket") -> None:
        for number in wakeup.recv(64):
            if number == signal.SIGHUP:
                self._on_hangup(time.monotonic() + self._hold.grace)
            elif number == signal.SIGTERM:
                self._server.stop("host")

    def _on_hangup(self, deadline: float) -> None:
        """Our terminal has gone: the user has ended the tmux session, or tmux was killed, which nobody wanted."""
        if self._hold.is_crashed:
            self._hold.release()
            self._hold = Hold()
            self._record.lost_launcher()
            self._on_change()
        elif time.monotonic() < deadline:
            self.loop.call_later(RETRY, self._on_hangup, deadline)
        else:
            self._hold.release()
            self._server.stop()

    # the server's changes, and the end ---------------------------------------------------------------------

    def _on_change(self) -> None:
        server = self._server
        if server.state != "ended":
            if server.state == "up" and not self._is_announced:
                self._is_announced = True
                self._hold.print("%s is running; Ctrl-b d detaches" % (server.info or ServerInfo()).server)
            with suppress(OSError):  # a full disk: the last record holds, and the next change tries again
                self._record.save(server)
            self._clients.send_info()
        elif not self._is_ending:
            self._is_ending = True
            self._end(time.monotonic() + self._timing.farewell)

    def _on_attach(self) -> None:
        if self._is_ending:
            self._end(0.0)  # all is gone before the keeper hears so

    def _end(self, deadline: float) -> None:
        """Leave nothing but the record of how it ended, and nothing at all if it never was.

        All is gone before anybody hears of it: who hears may start the next session of this name at once. But
        the agent that started us hears of it in any case: we wait for the link that is on its way.
        """
        ending = self._server.ending or ErrorInfo()
        is_awaited = not (self._clients.has_come or self._spec.adopt or ending.code == "terminated")
        if is_awaited and time.monotonic() < deadline:
            self.loop.call_later(RETRY, self._end, deadline)
            return
        if self._is_cleared:
            return
        self._is_cleared = True
        self.loop.call(self._clear, ending)
        self._clients.send_info()
        patience = TERMINATED_FAREWELL if ending.code == "terminated" else self._timing.farewell
        self._leave(time.monotonic() + patience)

    def _clear(self, ending: ErrorInfo) -> None:
        for process in kill.kernels_of(self._spec.runtime):
            kill.end_process(process)
        directories.remove_runtime(self._spec.runtime)
        self._hold.close()
        if ending.code == "ended":
            with suppress(OSError):
                self._record.save_ended(ending)
        else:
            directories.remove_state(self._spec.directory)

    def _leave(self, deadline: float) -> None:
        """End when nobody listens any more. The links end with the process: then nothing of us is left."""
        if self._clients.is_linked and time.monotonic() < deadline:
            self.loop.call_later(RETRY, self._leave, deadline)
            return
        for connection in self._stoppers:
            connection.send(Stopped(stopped=True))
        self.loop.stop()


def main(runtime: str) -> None:
    """Run the anchor of a session."""
    os.umask(0o077)
    os.chdir("/")
    try:
        Anchor(runtime).run()
    except Exception:  # a bug, or a disk that is full: tell it where the agent looks, and a user
        import traceback

        with suppress(OSError), open(os.path.join(runtime, "crash"), "w") as file:
            file.write(traceback.format_exc())
        raise
    os._exit(0)  # the links end with the process, not before it: who sees their end finds nothing of us
