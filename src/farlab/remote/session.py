"""A session as its files tell: the record, the lock, the anchor's socket. Standard library, Python 3.6."""

import json
import os
import re
import socket
import time

from farlab.remote import host
from farlab.remote.host import Failure

ANSWER_TIMEOUT = 8.0
"""Seconds that a living anchor may take for its first word."""
LOCK_TIMEOUT = 30.0
LOCK_AGE = 120.0
"""Seconds after which a lock of another node is taken to be forgotten."""


class Lock(object):
    """One agent at a time starts or ends a session: a file made with O_EXCL, which works on NFS."""

    def __init__(self, path, link):
        self._path, self._link = path, link

    def __enter__(self):
        mine = host.here(os.getpid())
        end, told = time.time() + LOCK_TIMEOUT, False
        while True:
            try:
                fd = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                if self._is_stale(mine):
                    os.rename(self._path, "%s.%d" % (self._path, os.getpid()))  # one of several takes it away
                    os.unlink("%s.%d" % (self._path, os.getpid()))
                elif time.time() > end:
                    raise Failure("not-answering", "another farlab holds `%s`" % self._path) from None
                else:
                    if not told:
                        self._link.say(progress="lock", text="waiting for another farlab on this host")
                    told = True
                    time.sleep(0.05)
                continue
            with os.fdopen(fd, "w") as file:
                json.dump(mine, file)
            return self

    def _is_stale(self, mine):
        try:
            with open(self._path) as file:
                owner = json.load(file)
            if (owner["node"], owner["boot"]) == (mine["node"], mine["boot"]):
                return not host.is_same(owner)
        except FileNotFoundError:
            return False
        except (OSError, ValueError, KeyError):
            pass  # being written, or cut short
        try:
            return time.time() - os.stat(self._path).st_mtime > LOCK_AGE
        except OSError:
            return False

    def __exit__(self, *exc):
        os.unlink(self._path)


class Session(object):
    """One session's files and what is known of it. `record` is a dict, empty where there is none."""

    def __init__(self, name):
        if not re.match(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", name):
            raise Failure("usage", "`%s` cannot be a session's name" % name)
        self.name = name
        self.directory = os.path.join(host.state_base(), name)
        self.log = os.path.join(self.directory, "log")
        self.read()

    def read(self):
        try:
            with open(os.path.join(self.directory, "record.json")) as file:
                self.record = json.load(file)
        except (OSError, ValueError):
            self.record = {}
        return self

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
        if record["boot"] != host.boot_id():
            return "dead"
        if host.is_same(record["anchor"]):
            return "alive"
        return "orphan" if host.is_same(record.get("server")) else "dead"

    def ask(self, timeout=ANSWER_TIMEOUT, **words):
        """Connect to the anchor and put a question. Returns `(socket, answer)`."""
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        try:
            sock.connect(os.path.join(self.record["runtime"], "anchor.sock"))
            sock.sendall(json.dumps(words).encode() + b"\n")
            return sock, json.loads(read_line(sock))
        except (OSError, ValueError) as error:
            sock.close()
            pid = self.record["anchor"]["pid"]
            message = "session `%s` is alive (process %d) but does not answer" % (self.name, pid)
            hint = "`farlab terminate HOST` ends it, unsaved work included"
            raise Failure("not-answering", message, str(error), hint) from None

    def lock(self, link):
        os.makedirs(host.state_base(), 0o700, exist_ok=True)
        return Lock(os.path.join(host.state_base(), ".%s.lock" % self.name), link)

    def refuse_elsewhere(self):
        """Raise where the session runs on another node than this."""
        if self.state == "elsewhere":
            here, there = os.uname().nodename, self.record["node"]
            message = "session `%s` runs on node `%s`, this is `%s`" % (self.name, there, here)
            raise Failure("elsewhere", message, hint="use `%s` as the host, or `--name OTHER` for one here" % there)

    def sweep(self):
        """Remove what an ended session left. Nothing of it runs any more."""
        runtime = self.record.get("runtime", "")
        if runtime and os.path.dirname(runtime) in (host.runtime_base(), "/tmp/farlab-%d" % os.getuid()):  # noqa: S108
            host.remove_tree(runtime)
            host.remove_empty(os.path.dirname(runtime))
        host.remove_tree(self.directory)
        host.remove_empty(host.state_base())


def read_line(sock):
    line = b""
    while not line.endswith(b"\n"):
        part = sock.recv(65536)
        if not part:
            raise ValueError("it closed the connection")
        line += part
    return line.decode()
