"""The session's first process on the node: starts and watches the server, keeps the far ends of the streams.

Rules: standard library, Python 3.6, one thread, one event loop. On its private socket (`callers`) it is told

    what STEPS names    by the launcher, on its way to become the server, and by the server
    status, stop        by an agent
    join                by an agent that then hands over its link's two descriptors
"""

import errno
import json
import os
import resource
import signal
import socket
import time
from contextlib import suppress

from farlab.host import control, directories, processes, system
from farlab.host.launchers.base import Hold
from farlab.host.launchers.known import named
from farlab.host.reactor import Faults, Reactor
from farlab.host.server_process import Server
from farlab.mux import frames
from farlab.mux.pipes import LinkPipes

FIRST_VISITOR = 30.0
"""Seconds within which the link that started the session must have been joined."""
SPARE = 64
"""Open files that connections to the server leave to links, callers and records."""
FAREWELL = 3.0
"""Seconds that laptops have to hear how the server ended."""
STEPS = {
    "setting_up": {},
    "in_shell": {"pid": system.PID, "home": str},
    "installing": {},
    "in_python": dict.fromkeys(("app", "server", "python", "directory"), str),
    "serving": dict.fromkeys(("base_url", "setting", "doorkeeper"), str),
    "open_kernel": {"name": str},
    "fail": {"code": str, "message": str, "detail": system.TEXT, "hint": system.TEXT},
}  # type: dict[str, dict[str, object]]
"""What the launcher says of the server on its way to become it, and what belongs to each."""


class Anchor(object):
    """The session: its spec (from the agent), its server, its visitors."""

    def __init__(self, runtime):
        path = os.path.join(runtime, "spec.json")
        with open(path) as file:
            self.spec = json.load(file)
        os.unlink(path)
        adopted = self.spec["adopt"] or {}
        self.token = adopted.get("token") or os.urandom(24).hex()
        self.record = dict(
            processes.here(os.getpid()),
            name=self.spec["name"],
            runtime=runtime,
            token=self.token,
            anchor={"pid": os.getpid(), "start": processes.start_time(os.getpid())},
            launcher=self.spec["launcher"],
            handle=self.spec["handle"],
            transport="unix",
            created=adopted.get("created") or time.time(),
            environment=(adopted or self.spec["wish"]).get("environment") or "",
            asked=adopted["asked"] if "asked" in adopted else self.spec["wish"].get("directory") or "",
        )
        self._record_path = os.path.join(self.spec["directory"], "record.json")
        self.loop = Reactor(Faults(os.path.join(self.spec["directory"], "log")).tell)
        self.server = Server(self.loop, self.spec, self.token, self.changed)
        self._hold = Hold()
        self.lines = {}
        self._most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE
        self._stoppers = []
        self._is_up = self._leaving = self._is_gone = self._visited = self._is_crowded = False

    # life ------------------------------------------------------------------------------------------------

    def run(self):
        control.listen(self, os.path.join(self.spec["runtime"], "anchor.sock"))
        self.save()
        self._hear_signals()
        self._hold = named(self.spec["launcher"]).hold(self.spec["handle"])
        self._hold.print("farlab session `%s`; log: %s/log" % (self.spec["name"], self.spec["directory"]))
        if self.spec["adopt"]:
            self.server.adopt(self.spec["adopt"])
        else:
            self.server.start()
        self._tick()
        self.loop.call_later(FIRST_VISITOR, self._expect_visitor)
        self.loop.run()

    def _tick(self):
        self.loop.call_later(5.0, self._tick)
        now = time.monotonic()
        for visitor in list(self.lines.values()):
            self.loop.call(self._check, visitor, now)
        if not self._leaving and not os.path.exists(self._record_path):
            with suppress(OSError):
                self.save()  # somebody has removed it

    def _check(self, visitor, now):
        if not visitor.check(now):
            self.forget(visitor)

    def _expect_visitor(self):
        """Whoever started us was interrupted before the link was joined: nobody knows of this session."""
        if not self._visited and not self.spec["adopt"]:
            self.server.stop()

    # signals ---------------------------------------------------------------------------------------------

    def _hear_signals(self):
        """Signals are read as numbers from a descriptor, so that none breaks into what the loop is doing."""
        hears, speaks = self._wakeup = socket.socketpair()
        for sock in self._wakeup:
            sock.setblocking(False)
        signal.set_wakeup_fd(speaks.fileno())
        typed = signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP  # by whoever is attached to tmux
        for number in (signal.SIGHUP, signal.SIGTERM, *typed):
            signal.signal(number, lambda *_: None)  # not SIG_IGN, which the server and all it starts would inherit
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self.loop.add_reader(hears.fileno(), self._signalled, hears)

    def _signalled(self, hears):
        for number in hears.recv(64):
            if number == signal.SIGHUP:
                self._hung_up(time.monotonic() + self._hold.grace)
            elif number == signal.SIGTERM:
                self.server.stop(is_hosts=True)

    def _hung_up(self, deadline):
        """Our terminal has gone: its person has ended the tmux session, or tmux was killed, which is nobody's wish."""
        if self._hold.is_crashed:
            self._hold.release()
            self._hold = Hold()
            self.record.update(launcher="detached", handle={})
            self.changed()
        elif time.monotonic() < deadline:
            self.loop.call_later(0.02, self._hung_up, deadline)
        else:
            self._hold.release()
            self.server.stop()

    # the server ------------------------------------------------------------------------------------------

    def changed(self):
        """The server's state or stage is another."""
        server = self.server
        if server.state == "up" and not self._is_up:
            self._is_up = True
            self._hold.print("%s is running; Ctrl-b d detaches" % server.told.get("server"))
        if server.state != "ended":
            with suppress(OSError):  # a full disk: the last record holds, and the next change tries again
                self.save()
            self._inform()
        elif not self._leaving:
            self._leaving = True
            self._end(time.monotonic() + FAREWELL)

    def _inform(self):
        for visitor in list(self.lines.values()):
            self.loop.call(visitor.inform)

    def _end(self, deadline):
        """Leave nothing but the word of how it ended, and nothing at all if it never was.

        All is gone before anybody hears of it: who hears may start the next session of this name at once. But
        whoever started us hears of it in any case: the link that is on its way to us is waited for.
        """
        ending = self.server.ending
        is_awaited = not (self._visited or self.spec["adopt"] or ending["code"] == "terminated")
        if is_awaited and time.monotonic() < deadline:
            self.loop.call_later(0.02, self._end, deadline)
            return
        if self._is_gone:
            return
        self._is_gone = True
        self.loop.call(self._clear, ending)
        self._inform()
        self._leave(time.monotonic() + (0.2 if ending["code"] == "terminated" else FAREWELL))

    def _clear(self, ending):
        for process in processes.kernels_of(self.spec["runtime"]):
            processes.end_process(process)
        directories.remove_runtime(self.spec["runtime"])
        self._hold.close()
        if ending["code"] == "ended":
            self.record = {key: self.record[key] for key in ("name", "node", "launcher")}
            self.record["ended"] = ending
            with suppress(OSError):
                self.save()
        else:
            directories.remove_tree(self.spec["directory"])
            directories.remove_empty(directories.state_base())

    def _leave(self, deadline):
        """End when nobody listens any more. The links end with the process: then nothing of us is left."""
        is_heard = any(visitor.left is None for visitor in self.lines.values())
        if is_heard and time.monotonic() < deadline:
            self.loop.call_later(0.02, self._leave, deadline)
            return
        for caller in self._stoppers:
            caller.say(stopped=True)
        self.loop.stop()

    def save(self):
        """Write the record, whole or not at all."""
        path = self._record_path
        os.makedirs(self.spec["directory"], 0o700, exist_ok=True)
        if "ended" not in self.record:
            self.record.update(server=self.server.process, told=self.server.told)
        with open(os.open(path + ".new", os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            json.dump(self.record, file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".new", path)

    def description(self, secret=False):
        """What keepers and agents are told of the session."""
        server, record = self.server, self.record
        keys = ("name", "node", "launcher", "transport", "created", "environment", "asked")
        words = {key: record.get(key) for key in keys}
        words.update(state=server.state, stage=server.stage, pid=(server.process or {}).get("pid"))
        words.update(
            (key, server.told.get(key))
            for key in (
                "app",
                "server",
                "python",
                "directory",
                "home",
                "base_url",
                "keep_output",
                "which_kernels",
                "open_kernels",
            )
        )
        words["answers"] = server.answers
        words["names"] = names_beside(self.spec["directory"])
        if server.ending:
            words["error"] = server.ending
        if secret:
            words["token"] = self.token
        return words

    @property
    def is_worth_waiting(self):
        """Whether a connection that cannot be made now may be later: the server starts, or too many are open."""
        return self.server.state == "starting" or self._is_crowded

    def connect(self):
        """A socket to the server, or None."""
        self._is_crowded = False
        if self.server.state != "up":
            return None
        sock = None
        try:
            sock = socket.socket(socket.AF_UNIX)
            if sock.fileno() >= self._most_files:
                raise OSError(errno.EMFILE, "the rest is for links")
            sock.setblocking(False)
            sock.connect(self.server.socket_path)
        except OSError as error:
            self._is_crowded = error.errno in (errno.EAGAIN, errno.EMFILE, errno.ENFILE)
            if sock is not None:
                sock.close()
            return None
        return sock

    # visitors --------------------------------------------------------------------------------------------

    def answer(self, words, caller):
        """One request on the anchor's socket. Raises where it makes no sense, and then has done nothing."""
        op = words.get("op")
        if op == "wish":
            caller.say(wish=self.spec["wish"])
        elif op in STEPS:
            if not system.fits(words, STEPS[op]):
                raise ValueError("not as `%s` is" % op)
            if self.server.state == "starting" or op == "open_kernel":
                getattr(self.server, op)(**{key: words[key] for key in STEPS[op]})
            caller.say(wish=self.spec["wish"], token=self.token, session=self.spec["directory"])
        elif op == "join":
            caller.say(mux=frames.VERSION, **self.description())
        elif op == "status" and not self.server.answers:  # nor would it now
            self._kernels(caller, None, b"")
        elif op == "status":
            self.server.ask("GET", "api/kernels", lambda status, body: self._kernels(caller, status, body))
        elif op == "stop":
            self._stoppers.append(caller)
            self.server.stop()
        else:
            raise ValueError("no request")

    def _kernels(self, caller, status, body):
        def tell(code, more):
            caller.say(kernels=kernels(status, body, code, more), **self.description())

        if status is None:  # it hangs: not once more
            tell(None, b"")
        else:
            self.server.ask("GET", "api/sessions", tell)

    def link_came(self, brought, fds, agent, version):
        """An agent has handed over a link, on which that version of the mux is spoken."""
        newcomer = import_visitors().PendingLink(self, brought, LinkPipes(*fds), agent, version)
        if not self.loop.call(newcomer.begin):
            newcomer.failed()

    def visitor(self, line_id):
        """The laptop whose line this is."""
        self._visited = True
        if self._leaving:
            self._end(0.0)  # all is gone before it hears so
        if line_id not in self.lines:
            self.lines[line_id] = import_visitors().Client(self, line_id)
        return self.lines[line_id]

    def told(self, visitor, words):
        """A keeper's message.

        `laptop`: which one it serves; lines that an earlier keeper of that laptop left are of no more use.
        `keep`: how much its line keeps, and for how long. `bye`: it ends. `stop`: the person terminates.
        `cancel`: Ctrl-C while starting; `bye` where others wait.
        """
        if isinstance(words.get("keep"), dict):
            visitor.keep(words["keep"])
        if words.get("laptop"):
            visitor.laptop = words["laptop"]
            for other in list(self.lines.values()):
                if other is not visitor and other.laptop == visitor.laptop:
                    self.forget(other)
        elif words.get("stop") or (words.get("cancel") and self.server.state == "starting" and len(self.lines) == 1):
            self.server.stop()
        elif words.get("bye") or words.get("cancel"):
            self.forget(visitor)

    def forget(self, visitor):
        """A laptop has said goodbye, or stayed away too long."""
        self.lines.pop(visitor.line.id, None)
        visitor.leave()


def kernels(status, body, code, more):
    """`/api/kernels` and `/api/sessions` as a list; None where the server did not answer, or not as one does."""
    if status != 200:
        return None
    notebooks = {}
    try:
        for each in json.loads(more.decode()) if code == 200 else ():
            notebooks[each["kernel"]["id"]] = each.get("path") or each.get("name")
        return [
            {"id": each["id"], "name": each["name"], "state": each["execution_state"],
             "notebook": notebooks.get(each["id"], ""), "last_activity": each["last_activity"],
             "private": each.get("farlab_private")}
            for each in json.loads(body.decode())
        ]  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def names_beside(directory):
    """The sessions that this home has, so that another one is given another name."""
    with suppress(OSError):
        return sorted(name for name in os.listdir(os.path.dirname(directory)) if not name.startswith("."))
    return []


def import_visitors():
    """The line and all that belongs to it: 20 ms to compile, while the server starts already."""
    from farlab.host import clients

    return clients


def main(runtime):
    os.umask(0o077)
    os.chdir("/")
    try:
        Anchor(runtime).run()
    except Exception:  # a bug, or a disk that is full: tell it where the agent looks, and a person
        import traceback

        with suppress(OSError), open(os.path.join(runtime, "crash"), "w") as file:
            file.write(traceback.format_exc())
        raise
    os._exit(0)  # the links end with the process, not before it: who sees their end finds nothing of us
