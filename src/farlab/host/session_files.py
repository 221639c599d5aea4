"""A session as its files tell: the record, the lock, the anchor's socket. Standard library, Python 3.6."""

import json
import os
import re
import socket
import time
import zlib
from contextlib import suppress

from farlab.host import directories, processes
from farlab.host.failure import Failure
from farlab.host.system import NONE, PID, TEXT, fits
from farlab.protocol import peer

ANSWER_TIMEOUT = 8.0
"""Seconds that a living anchor may take for its first word."""
REPAIR_TIMEOUT = 4.0
"""Seconds until a living anchor has brought back what was cleaned away."""
LOCK_TIMEOUT = 30.0
LOCK_AGE = 120.0
"""Seconds after which a lock of another node is taken to be forgotten."""
UNREADABLE_AGE = 10.0
"""The same for a lock that does not say whose it is: its maker was killed, or the disk is full."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}\Z")
MOST_RECORD = 1 << 20
PROCESS = {"pid": PID, "start": TEXT}
LOCK = dict(PROCESS, node=str, boot=str)
RECORD = {
    "node": str, "boot": str, "runtime": str, "token": TEXT, "launcher": TEXT, "anchor": PROCESS, "ended": NONE,
    "server": (NONE, PROCESS, {"pid": NONE, "start": NONE}),
    "told": (NONE, {"base_url": TEXT}),
}  # fmt: skip
ENDED = {"node": str, "ended": {"message": str, "detail": str}}


def read_json(path, shape):
    """What a file of JSON says where it is as `shape` says, else None. Raises where there is no such file."""
    try:
        with open(path) as file:
            words = json.loads(file.read(MOST_RECORD))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError):
        return None
    return words if fits(words, shape) else None


class Lock(object):
    """One agent at a time starts or ends a session: a file made with O_EXCL, which works on NFS."""

    def __init__(self, path, link):
        self._path, self._link = path, link

    def __enter__(self):
        mine = processes.here(os.getpid())
        end, told = time.monotonic() + LOCK_TIMEOUT, False
        while True:
            try:
                fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileNotFoundError:  # the end of the last session takes the directory away
                os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
                continue
            except FileExistsError:
                if self._is_stale(self._path, mine):
                    self._take_away(mine)
                elif time.monotonic() > end:
                    raise Failure(
                        "not-answering",
                        "another farlab command is using this session (lock `%s`)" % self._path,
                        hint="busy",
                    ) from None
                else:
                    if not told:
                        self._link.say(progress="lock", text="waiting for another farlab command on this host")
                    told = True
                    time.sleep(0.05)
                continue
            with suppress(OSError), os.fdopen(fd, "w") as file:  # on a full disk it holds all the same
                json.dump(mine, file)
            return self

    def _take_away(self, mine):
        """Remove a stale lock, but not one that somebody else who found it stale has made since."""
        taken = "%s.%d" % (self._path, os.getpid())
        with suppress(OSError):
            os.rename(self._path, taken)
            if not self._is_stale(taken, mine):
                os.link(taken, self._path)
        directories.remove_file(taken)

    def _is_stale(self, path, mine):
        try:
            owner = read_json(path, LOCK)
            if owner and owner["node"] == mine["node"]:
                return owner["boot"] != mine["boot"] or not processes.is_same(owner)
            # else of another node, or being written, or cut short
            return time.time() - os.stat(path).st_mtime > (LOCK_AGE if owner else UNREADABLE_AGE)
        except OSError:
            return False

    def __exit__(self, *exc):
        directories.remove_file(self._path)
        directories.remove_empty(os.path.dirname(self._path))


class Session(object):
    """One session's files and what is known of it. `record` is a dict, empty where there is none."""

    def __init__(self, name):
        if not NAME.match(name):
            raise Failure("usage", "`%s` is not a valid session name" % name)
        self.name = name
        self.directory = os.path.join(directories.state_base(), name)
        self.log = os.path.join(self.directory, "log")
        self.read()

    def read(self):
        try:
            self.record = read_json(os.path.join(self.directory, "record.json"), (ENDED, RECORD))
            if self.record is None:
                self.find()
        except FileNotFoundError:
            self.record = {}
        return self

    def look(self):
        """Read the record again; where there is none look for the anchor itself, which will write another."""
        if not self.read().record:
            self.find()
        return self

    def find(self):
        """Make the record anew from the anchor's process, if one runs: the file was lost or cut short."""
        self.record = {}
        for pid, words in processes.our_commands():
            is_anchor = words[-3:-2] in ([b"farlab.host.anchor"], [b"farlab.remote.anchor"])  # an older farlab's
            if is_anchor and words[-2].endswith(b"/" + short(self.name).encode()) and processes.has_our_home(pid):
                anchor = {"pid": pid, "start": processes.start_time(pid)}
                self.record = dict(processes.here(pid), name=self.name, runtime=os.fsdecode(words[-2]), anchor=anchor)
        return self.record

    @property
    def state(self):
        """none, ended (it says how), elsewhere, alive, orphan (the server lives, its anchor does not) or dead."""
        record = self.record
        if not record:
            return "none"
        if record.get("ended"):
            return "ended"
        if record["node"] != os.uname().nodename:
            return "elsewhere"
        if record["boot"] != processes.boot_id():
            return "dead"
        if processes.is_same(record["anchor"]):
            return "alive"
        return "orphan" if processes.is_same(record.get("server")) else "dead"

    @property
    def ending(self):
        """How it ended, as a dict with `message` and `detail`; None where it has not, or never was."""
        if self.state == "dead":
            is_booted = self.record["boot"] != processes.boot_id()
            return {"message": "the host was rebooted" if is_booted else "its processes were killed", "detail": ""}
        return self.record.get("ended")

    def ask(self, timeout=ANSWER_TIMEOUT, **words):
        """Connect to the anchor and put a question. Returns `(socket, answer)`."""
        place, anchor = os.path.join(self.record["runtime"], "anchor.sock"), self.record["anchor"]
        processes.wait_until(lambda: os.path.exists(place) or not processes.is_same(anchor), REPAIR_TIMEOUT)
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(place)
            if not peer.is_same_user(sock):
                raise OSError("`%s` belongs to another user" % place)
            sock.sendall(json.dumps(words).encode() + b"\n")
            return sock, dict(json.loads(read_line(sock)))
        except (OSError, ValueError, TypeError, RecursionError) as error:
            sock.close()
            message = "session `%s` is running (process %d) but does not answer" % (self.name, anchor["pid"])
            raise Failure("not-answering", message, str(error)) from None

    def lock(self, link):
        return Lock(os.path.join(directories.state_base(), ".%s.lock" % self.name), link)

    def refuse_elsewhere(self):
        """Raise where the session runs on another node than this."""
        if self.state == "elsewhere":
            here, there = os.uname().nodename, self.record["node"]
            message = "session `%s` runs on node `%s`, but this login is on `%s`" % (self.name, there, here)
            raise Failure("elsewhere", message)

    def sweep(self):
        """Remove what an ended session left. Nothing of it runs any more."""
        directories.remove_runtime(self.record.get("runtime", ""))
        directories.remove_tree(self.directory)
        directories.remove_empty(directories.state_base())


def short(name):
    """A directory's name short enough for kernels' sockets: base + 50 + this must stay within 107 bytes."""
    return name if len(name) <= 16 else "%s%08x" % (name[:8], zlib.crc32(name.encode()))


def read_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        part = sock.recv(65536)
        if not part or len(line) > MOST_RECORD:
            raise ValueError("it closed the connection")
        line += part
    return line.decode()
