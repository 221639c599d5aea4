"""Starts a session's anchor where a person expects it to live on: in tmux, else detached. Python 3.6."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zlib
from contextlib import suppress

from farlab.host import directories, processes
from farlab.host.failure import Failure
from farlab.host.session_files import short

START_TIMEOUT = 20.0
"""Seconds until the anchor must have made its socket."""
BUNDLE_TIMEOUT = 60
ROOM = 64 << 10
"""Bytes that must be free where the record and the log are."""


def start(link, request, session):
    """Start the session's anchor, or one that adopts the server of a lost one. The session is locked."""
    session.refuse_elsewhere()
    adopt = session.record if session.state == "orphan" else None
    if request.get("existing") and not adopt:
        ended = session.ending
        why = "has ended: " + ended["message"] if ended else "is not running"
        raise Failure("no-session", "session `%s` %s" % (session.name, why), ended["detail"] if ended else "")
    bundle = request["brought"]
    if not bundle:
        link.say(need="bundle")
        signal.alarm(BUNDLE_TIMEOUT)  # the laptop may be gone; who ends by that leaves a lock that is known to be stale
        bundle = link.hear(BUNDLE_TIMEOUT / 4)["brought"]
        signal.alarm(0)
    link.say(progress="start", text="starting the session")
    runtime = adopt["runtime"] if adopt else os.path.join(directories.runtime_base(), short(session.name))
    if not adopt:
        session.sweep()
    try:
        lay_out(session, runtime, bundle, {"wish": request["wish"], "adopt": adopt, "umask": request["umask"]})
        launch(session.name, [sys.executable, "-I", "-S", runtime + "/farlab-anchor", "farlab.host.anchor", runtime])
        await_anchor(session, runtime)
    except BaseException:
        if not adopt:
            directories.remove_runtime(runtime)
            session.sweep()
        raise


def await_anchor(session, runtime):
    """Wait until the session's anchor listens. Raises with its own words where it does not come so far."""
    place, crash = os.path.join(runtime, "anchor.sock"), os.path.join(runtime, "crash")

    def has_come():
        return (os.path.exists(place) and session.read().state == "alive") or os.path.exists(crash)

    if not processes.wait_until(has_come, START_TIMEOUT) or os.path.exists(crash):
        raise Failure(
            "server-failed", "farlab's anchor process did not start on the host", directories.tail(crash), "limits"
        )


def lay_out(session, runtime, bundle, spec):
    """The session's two directories, the program and what it is to do, readable by nobody else."""
    os.makedirs(session.directory, 0o700, exist_ok=True)
    directories.private(session.directory)
    directories.private(os.path.dirname(runtime))
    if not spec["adopt"]:
        directories.remove_tree(runtime)
    directories.private(runtime)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SSH_", "TMUX"))}
    spec.update(name=session.name, directory=session.directory, runtime=runtime, env=env)
    write(os.path.join(session.directory, "room"), bytes(ROOM))  # or say at once that there is none
    directories.remove_file(os.path.join(session.directory, "room"))
    write(os.path.join(runtime, "farlab-anchor"), zlib.decompress(bundle, -15))
    write(os.path.join(runtime, "spec.json"), json.dumps(spec).encode())
    for name in ("anchor.sock", "anchor.sock.new", "crash"):
        directories.remove_file(os.path.join(runtime, name))


def write(path, content):
    """Write a file of ours anew; what fails names it."""
    try:
        with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        error.filename = path
        raise


def launch(name, argv):
    """In a detached tmux session `farlab-NAME`, so that `tmux ls` shows it; where that fails, detached."""
    if shutil.which("tmux"):
        words = ["tmux", "new-session", "-d", "-s", "farlab-" + name, *argv]
        words += [";", "set-option", "-q", "-t", "farlab-" + name, "destroy-unattached", "off"]
        null = subprocess.DEVNULL
        with suppress(OSError, subprocess.SubprocessError):  # a tmux that hangs
            if subprocess.run(words, stdin=null, stdout=null, stderr=null, timeout=10).returncode == 0:
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
