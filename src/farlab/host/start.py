"""Starts a session's anchor by the first launcher that can. Standard library, Python 3.6."""

import json
import os
import signal
import sys
import time
import zlib

from farlab.host import directories, processes
from farlab.host.failure import Failure
from farlab.host.launchers.known import LAUNCHERS
from farlab.host.session_files import short
from farlab.protocol.agent import Ensure, Need, Progress
from farlab.protocol.spec import Spec

MYPY = False
if MYPY:
    from typing import Dict

    from farlab.host.launchers.base import Launcher
    from farlab.host.loader import Link
    from farlab.host.session_files import Session

START_TIMEOUT = 20.0
"""Seconds until the anchor must have made its socket."""
LOOK_AFTER = 0.5
"""Seconds until an anchor that has not begun is looked after."""
BUNDLE_TIMEOUT = 60
ROOM = 64 << 10
"""Bytes that must be free where the record and the log are."""


def start(link: "Link", request: Ensure, session: "Session", bundle: bytes, umask: int) -> None:
    """Start the session's anchor, or one that adopts the server of a lost one. The session is locked.

    `bundle`: the anchor's program, deflated; empty where the laptop did not expect that it is needed.
    """
    session.refuse_elsewhere(request.existing)
    adopt = session.record if session.state == "orphan" else None
    if request.existing and not adopt:
        ended = session.ending
        why = "has ended: " + ended.message if ended else "is not running"
        raise Failure("no-session", "session `%s` %s" % (session.name, why), ended.detail if ended else "")
    if not bundle:
        link.send(Need(need="bundle"))
        signal.alarm(BUNDLE_TIMEOUT)  # the laptop may be gone; who ends by that leaves a lock that is known to be stale
        bundle = link.receive(BUNDLE_TIMEOUT / 4)["brought"]
        signal.alarm(0)
    link.send(Progress(progress="start", text="starting the session"))
    runtime = adopt.runtime if adopt else os.path.join(directories.runtime_base(), short(session.name))
    if not adopt:
        session.sweep()
    try:
        prepare_files(session, runtime, bundle, bool(adopt))
        spec = Spec(name=session.name, directory=session.directory, runtime=runtime, env=environment(),
                    wish=request.wish, timing=request.timing, adopt=adopt, umask=umask)  # fmt: skip
        spawn_anchor(spec)
        await_anchor(session, runtime)
    except BaseException:
        if not adopt:
            directories.remove_runtime(runtime)
            session.sweep()
        raise


def await_anchor(session: "Session", runtime: str) -> None:
    """Wait until the session's anchor listens. Raises with its own words where it does not come so far."""
    place, crash = os.path.join(runtime, "anchor.sock"), os.path.join(runtime, "crash")

    def has_come() -> bool:
        return (os.path.exists(place) and session.read().state == "alive") or os.path.exists(crash)

    if not processes.wait_until(has_come, START_TIMEOUT) or os.path.exists(crash):
        raise Failure(
            "server-failed", "farlab's anchor process did not start on the host", directories.tail(crash), "limits"
        )


def spawn_anchor(spec: Spec) -> None:
    """Have the first launcher that can start the anchor; it is told which one."""
    argv = [sys.executable, "-I", "-S", spec.runtime + "/farlab-anchor", "farlab.host.anchor", spec.runtime]
    path = os.path.join(spec.runtime, "spec.json")
    for launcher in (each for each in LAUNCHERS if each.is_available()):
        spec.launcher, spec.handle = launcher.name, launcher.handle_for(spec.name)
        write(path, json.dumps(spec, default=vars).encode())
        if (launcher.start(spec.handle, argv) and has_taken(launcher, spec.handle, path)) or not os.path.exists(path):
            return


def has_taken(launcher: "Launcher", handle: "Dict[str, str]", path: str) -> bool:
    """Wait until the anchor has taken its spec; False where the launcher has ended it, as some configurations do."""

    def is_gone() -> bool:
        return not os.path.exists(path)

    end = time.monotonic() + START_TIMEOUT
    while not processes.wait_until(is_gone, LOOK_AFTER):
        if launcher.has_lost(handle):
            return False
        if time.monotonic() > end:
            break
    return True


def environment() -> "Dict[str, str]":
    """The agent's own, without what tells of this link."""
    kept = ("SSH_CONNECTION", "SSH_CLIENT")  # start-up files tell a remote login by them
    gone = ("SSH_", "TMUX")
    return {key: value for key, value in os.environ.items() if key in kept or not key.startswith(gone)}


def prepare_files(session: "Session", runtime: str, bundle: bytes, adopts: bool) -> None:
    """The session's two directories and the program, readable by nobody else."""
    os.makedirs(session.directory, 0o700, exist_ok=True)
    directories.private(session.directory)
    directories.private(os.path.dirname(runtime))
    if not adopts:
        directories.remove_tree(runtime)
    directories.private(runtime)
    write(os.path.join(session.directory, "room"), bytes(ROOM))  # or say at once that there is none
    directories.remove_file(os.path.join(session.directory, "room"))
    write(os.path.join(runtime, "farlab-anchor"), zlib.decompress(bundle, -15))
    for name in ("anchor.sock", "anchor.sock.new", "crash"):
        directories.remove_file(os.path.join(runtime, name))


def write(path: str, content: bytes) -> None:
    """Write a file of ours anew; what fails names it."""
    try:
        with open(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
    except OSError as error:
        error.filename = path
        raise
