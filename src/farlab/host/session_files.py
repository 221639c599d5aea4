"""A session as its files tell: its record, and its anchor's socket. Standard library, Python 3.6."""

import os
import re
import socket
import zlib

from farlab.host import directories, processes
from farlab.host.failure import Failure
from farlab.protocol import json_lines, peer
from farlab.protocol.anchor import Request
from farlab.protocol.records import InvalidMessage
from farlab.protocol.session import EndedRecord, ErrorInfo, SessionRecord

MYPY = False
if MYPY:
    from typing import TypeVar

    from farlab.protocol.records import Record

    R = TypeVar("R", bound=Record)

ANSWER_TIMEOUT = 8.0
"""Seconds that a living anchor may take for its first word."""
REPAIR_TIMEOUT = 4.0
"""Seconds until a living anchor has brought back what was cleaned away."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")
MOST_RECORD = 1 << 20
MOST_ANSWER = 8 << 20


def read_file(path: str, record: "type[R]") -> "R | None":
    """The record in a file, None where it holds none. Raises FileNotFoundError."""
    try:
        with open(path, "rb") as file:
            return record.read(json_lines.decoded(file.read(MOST_RECORD)))
    except FileNotFoundError:
        raise
    except (OSError, InvalidMessage):
        return None


class Session(object):
    """One session's files and what is known of it: `record` where it runs, or ran, and `ended` where it has ended.

    Machines may share a home, and each has its own sessions: `node` is that of the session that the laptop knows by
    this name, `directory` that of a session that was found. `elsewhere` are the nodes that have one of this name.
    """

    def __init__(self, name: str, node: str = "", directory: str = "") -> None:
        if not NAME.match(name):
            raise Failure("usage", "`%s` is not a valid session name" % name)
        self.name = name
        self.record = None  # type: SessionRecord | None
        self.ended = None  # type: EndedRecord | None
        self.elsewhere = []  # type: list[str]
        self.directory = directory or self._place(node)
        self.read()

    @property
    def log(self) -> str:
        return os.path.join(self.directory, "log")

    def _place(self, node: str) -> str:
        """The directory of the session on that node, else of ours: where it runs, or where it is to be."""
        found = None
        for place in directories.places_of(self.name):
            self.directory = place
            self.read()
            if self.state == "elsewhere" and self.record:
                self.elsewhere.append(self.record.node)
                if self.record.node == node:
                    return place
            elif found is None or self.state in ("alive", "orphan"):  # whatever the node was called then
                found = place
        return found or directories.place_here(self.name)

    def read(self) -> "Session":
        """Read the record again; where it is spoilt, find the anchor that wrote it."""
        path = os.path.join(self.directory, "record.json")
        self.record = self.ended = None
        try:
            self.ended = read_file(path, EndedRecord)
            self.record = None if self.ended else read_file(path, SessionRecord) or self._found()
        except FileNotFoundError:
            pass
        return self

    def look(self) -> "Session":
        """Read the record again; where there is none look for the anchor itself, which will write another."""
        if self.read().state == "none":
            self.record = self._found()
        return self

    def _found(self) -> "SessionRecord | None":
        """The record made anew from the anchor's process, if one runs: the file was lost or cut short."""
        for pid, argv in processes.our_commands():
            is_anchor = argv[-3:-2] in ([b"farlab.host.anchor"], [b"farlab.remote.anchor"])  # an older farlab's
            if is_anchor and argv[-2].endswith(b"/" + short(self.name).encode()) and processes.has_our_home(pid):
                return SessionRecord(
                    name=self.name, node=os.uname().nodename, boot=processes.boot_id(),
                    runtime=os.fsdecode(argv[-2]), anchor=processes.process(pid),
                )  # fmt: skip
        return None

    @property
    def state(self) -> str:
        """none, ended (it says how), elsewhere, alive, orphan (the server lives, its anchor does not) or dead."""
        record = self.record
        if self.ended:
            return "ended"
        if record is None:
            return "none"
        is_our_boot = record.boot == processes.boot_id()
        if is_our_boot and processes.is_same(record.anchor):
            return "alive"
        if is_our_boot and processes.is_same(record.server):
            return "orphan"
        return "dead" if record.node == os.uname().nodename else "elsewhere"  # a host that runs may be given a name

    @property
    def ending(self) -> "ErrorInfo | None":
        """How it ended; None where it has not, or never was."""
        if self.record and self.state == "dead":
            is_booted = self.record.boot != processes.boot_id()
            return ErrorInfo(message="the host was rebooted" if is_booted else "its processes were killed")
        return self.ended.ended if self.ended else None

    def ask(self, request: Request, answer: "type[R]", timeout: float = ANSWER_TIMEOUT) -> "tuple[socket.socket, R]":
        """Connect to the anchor and ask it. Returns the connection, and the answer. The session is alive."""
        assert self.record  # noqa: S101 - for mypy
        path, anchor = os.path.join(self.record.runtime, "anchor.sock"), self.record.anchor
        processes.wait_until(lambda: os.path.exists(path) or not processes.is_same(anchor), REPAIR_TIMEOUT)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(path)
            if not peer.is_same_user(sock):
                raise OSError("`%s` belongs to another user" % path)
            sock.sendall(json_lines.encoded(request))
            return sock, answer.read_leniently(peer.receive(sock, json_lines.JsonLines(MOST_ANSWER)))
        except (OSError, InvalidMessage) as error:
            sock.close()
            message = "session `%s` is running (process %d) but does not answer" % (self.name, anchor.pid or 0)
            raise Failure("not-answering", message, str(error)) from None

    def refuse_another(self, node: str) -> None:
        """Raise where the laptop's session, which was on that node, has gone, and this is another of its name."""
        if node and self.record and self.state in ("alive", "orphan") and self.record.node != node:
            message = "session `%s` on node `%s` is not running; node `%s` has another of that name"
            raise Failure("no-session", message % (self.name, node, self.record.node))

    def refuse_elsewhere(self, must_be_known: bool = False) -> None:
        """Raise where the session runs on another node than this; `must_be_known`: any of this name."""
        there = self.record.node if self.record and self.state == "elsewhere" else ""
        if must_be_known and self.elsewhere and self.state not in ("alive", "orphan"):
            there = there or self.elsewhere[0]
        if there:
            here = os.uname().nodename
            message = "session `%s` runs on node `%s`, but this login is on `%s`" % (self.name, there, here)
            raise Failure("elsewhere", message, hint="node", names=[there])

    def sweep(self) -> None:
        """Remove what an ended session left. Nothing of it runs any more."""
        if self.record:
            directories.remove_runtime(self.record.runtime)
        directories.remove_state(self.directory)


def short(name: str) -> str:
    """A directory's name short enough for kernels' sockets: base + 50 + this must stay within 107 bytes."""
    return name if len(name) <= 16 else "%s%08x" % (name[:8], zlib.crc32(name.encode()))
