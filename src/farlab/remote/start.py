"""Starts a session's anchor where a person expects it to live on: in tmux, else detached. Python 3.6."""

import json
import os
import shutil
import subprocess
import sys
import zlib

from farlab.remote import host
from farlab.remote.host import Failure

START_TIMEOUT = 20.0
"""Seconds until the anchor must have made its socket."""


def start(link, request, session):
    """Start the session's anchor, or one that adopts the server of a lost one. The session is locked."""
    session.refuse_elsewhere()
    adopt = session.record if session.state == "orphan" else None
    if request.get("existing") and not adopt:
        ended = session.record.get("ended") or {}
        detail = "%s\n%s" % (ended["message"], ended["detail"]) if ended else ""
        raise Failure("no-session", "session `%s` does not run" % session.name, detail)
    bundle = request.get("bundle") and link.read(request["bundle"])
    if not bundle:
        link.say(need="bundle")
        bundle = link.read(link.hear()["bundle"])
    link.say(progress="start", text="starting the session")
    if not adopt:
        session.sweep()
    runtime = adopt["runtime"] if adopt else os.path.join(host.runtime_base(), short(session.name))
    lay_out(session, runtime, bundle, {"wish": request["wish"], "adopt": adopt})
    program = os.path.join(runtime, "farlab-anchor")
    launch(session.name, [sys.executable, "-I", "-S", program, "farlab.remote.anchor", runtime])
    socket_path = os.path.join(runtime, "anchor.sock")
    if not host.wait_until(lambda: session.read().state == "alive" and os.path.exists(socket_path), START_TIMEOUT):
        raise Failure("server-failed", "the session's first process did not start", host.tail(session.log))


def short(name):
    """A directory's name short enough for kernels' sockets: base + 50 + this must stay within 107 bytes."""
    return name if len(name) <= 16 else "%s%08x" % (name[:8], zlib.crc32(name.encode()))


def lay_out(session, runtime, bundle, spec):
    """The session's two directories, the program and what it is to do, readable by nobody else."""
    os.makedirs(session.directory, 0o700, exist_ok=True)
    host.private(session.directory)
    if not spec["adopt"]:
        host.remove_tree(runtime)
    host.private(runtime)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SSH_", "TMUX"))}
    spec.update(name=session.name, directory=session.directory, runtime=runtime, env=env)
    files = {"farlab-anchor": zlib.decompress(bundle, -15), "spec.json": json.dumps(spec).encode()}
    for name, content in files.items():
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY
        with open(os.open(os.path.join(runtime, name), flags, 0o600), "wb") as file:
            file.write(content)
    host.remove_file(os.path.join(runtime, "anchor.sock"))


def launch(name, argv):
    """In a detached tmux session `farlab-NAME`, so that `tmux ls` shows it; where that fails, detached."""
    if shutil.which("tmux"):
        words = ["tmux", "new-session", "-d", "-s", "farlab-" + name]
        null = subprocess.DEVNULL
        if subprocess.run(words + argv, stdin=null, stdout=null, stderr=null).returncode == 0:
            return
    launch_detached(argv)


def launch_detached(argv):
    """A process of its own session and process group, without a terminal."""
    if os.fork():
        os.wait()
        return
    os.setsid()
    if os.fork() == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        os.execv(argv[0], argv)
    os._exit(0)
