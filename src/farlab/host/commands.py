"""What can be asked of a host besides a mux: end a session, tell of sessions. Python 3.6."""

import glob
import os
import re
from contextlib import suppress

from farlab.host import directories, kill
from farlab.host.failure import Failure
from farlab.host.launchers.known import named
from farlab.host.lock import Lock
from farlab.host.session_files import NAME, Session, read_file
from farlab.protocol import anchor
from farlab.protocol.agent import Progress
from farlab.protocol.commands import (
    Confirm,
    ForeignServer,
    JupyterFile,
    ListSessions,
    Sessions,
    Stop,
    Stopped,
)
from farlab.protocol.listing import ListedSession
from farlab.protocol.session import SessionRecord

MYPY = False
if MYPY:
    from typing import Any

    from farlab.host.loader import Link

STOP_TIMEOUT = 25.0
"""Seconds an anchor may take to end its server; then we do it."""


def stop(link: "Link", request: Stop) -> None:
    """End the session, whatever state it is in, and leave nothing."""
    session, had_ended = Session(request.name, request.node), False
    session.refuse_another(request.node)
    if session.look().state != "none" or os.path.isdir(session.directory):
        session.refuse_elsewhere()
        kernels = confirmed(link, session, request) if session.state == "alive" else 0  # the user thinks: not locked
        with Lock(session.name, link):
            state = session.look().state
            if state == "alive":
                stop_by_anchor(link, session, hangs=kernels is None)
            if session.record:
                end_processes(session.name, session.record, state)
            had_ended = state in ("ended", "dead")
            session.sweep()
        if state in ("alive", "orphan"):
            link.send(Stopped(stopped=True, kernels=kernels or 0))
            return
    session.refuse_elsewhere(must_be_known=not had_ended)
    others = [each.name for each in map(listed, found_sessions()) if each and each.state != "ended"]
    if not (had_ended or others):
        raise Failure("no-session", "session `%s` is not running" % session.name)
    link.send(Stopped(stopped=False, had_ended=had_ended, names=others))


def end_processes(name: str, record: SessionRecord, state: str) -> None:
    """End what is left of a session: its processes, unless their numbers may be others' by now, and its kernels."""
    if state in ("alive", "orphan"):
        for process in (record.anchor, record.server):
            kill.end_process(process)
    for process in kill.kernels_of(record.runtime):
        kill.end_process(process)
    launcher = named(record.launcher)
    usual, handle = launcher.handle_for(name), record.handle or {}  # an older farlab's record has none
    launcher.stop(handle if set(usual) <= set(handle) else usual, record.anchor.pid or 0)


def confirmed(link: "Link", session: Session, request: Stop) -> "int | None":
    """How many kernels the session has, None where it does not answer; the user has been asked where one is busy.

    `asks`: where there is any, too, and where nobody can tell.
    """
    kernels, hangs = None, False
    try:
        sock, answer = session.ask(anchor.Status(op="status"), ListedSession)
        sock.close()
        kernels = answer.kernels
    except Failure:
        hangs = True
    busy = [kernel for kernel in kernels or () if kernel and kernel.state == "busy"]
    if (busy or (request.asks and kernels != ())) and not request.yes:
        link.send(Confirm(confirm=kernels))
        if not Stop.read_leniently(dict(link.receive(None), name=session.name)).yes:
            raise Failure("interrupted", "nothing was terminated: session `%s` is still running" % session.name)
    return None if hangs else len(kernels or ())


def stop_by_anchor(link: "Link", session: Session, hangs: bool) -> None:
    """Let the anchor end its server in good order, if it can."""
    with suppress(Failure):
        if not hangs:
            link.send(Progress(progress="stop", text="stopping the server"))
            session.ask(anchor.Stop(op="stop"), anchor.Stopped, timeout=STOP_TIMEOUT)[0].close()
            return
    link.send(Progress(progress="stop", text="the session does not answer; killing its processes"))


def describe(session: Session) -> ListedSession:
    """What `list` tells of one session; asks a living anchor."""
    listed = ListedSession(state=session.state)
    record, ended, ending = session.record, session.ended, session.ending
    if record:
        keys = ("node", "launcher", "transport", "environment")
        vars(listed).update((key, getattr(record, key)) for key in keys)
        vars(listed).update((key, getattr(record.told, key)) for key in ("app", "server", "directory") if record.told)
        listed.pid = record.server.pid if record.server else None
    if ended:
        listed.node, listed.launcher = ended.node, ended.launcher
    if ending:
        listed.state, listed.reason = "ended", ending.message
    if listed.state == "alive":
        try:
            sock, answer = session.ask(anchor.Status(op="status"), ListedSession)
            sock.close()
            vars(listed).update(vars(answer))
        except Failure as failure:
            listed.state, listed.reason = "not-answering", failure.info.message
    listed.name = session.name
    return listed


def list_all(link: "Link", request: ListSessions) -> None:
    """Every session of ours on this home, and the Jupyter servers that farlab did not start."""
    found = tuple(each for each in map(listed, found_sessions()) if each)
    link.send(Sessions(sessions=found, foreign=foreign_servers()))


def found_sessions() -> "list[str]":
    """The directories of the sessions that have left something on this home, of whatever node."""
    base = directories.state_base()
    paths = [*glob.glob(glob.escape(base) + "/*"), *glob.glob(glob.escape(base) + "/@nodes/*/*")]
    return sorted((each for each in paths if NAME.match(os.path.basename(each))), key=os.path.basename)


def listed(directory: str) -> "ListedSession | None":
    """What `list` tells of one session, None where there is none; whatever it is like, others are told, too."""
    name = os.path.basename(directory)
    try:
        session = Session(name, directory=directory)
        return describe(session) if session.look().state != "none" else None
    except Exception as error:
        node = os.uname().nodename
        return ListedSession(name=name, node=node, state="not-answering", reason=str(error)[:200])


def foreign_servers() -> "tuple[ForeignServer, ...]":
    """Jupyter servers found by the files they write; never their tokens. Files are read, not tidied."""
    home = os.path.expanduser("~")
    places = [home + "/.local/share/jupyter/runtime", home + "/Library/Jupyter/runtime"]
    files = [
        os.path.join(place, name) for place in places if os.path.isdir(place) for name in sorted(os.listdir(place))
    ]
    return tuple(server for server in map(server_of, files) if server)


def server_of(path: str) -> "ForeignServer | None":
    """What a file that a Jupyter server has written tells of it; None where it is none, or runs no more."""
    if not re.search(r"/(jpserver|nbserver)-\d+\.json$", path):
        return None
    with suppress(OSError):
        found = read_file(path, JupyterFile)
        if found:
            os.kill(found.pid, 0)  # it runs, and is ours
            directory = found.root_dir or found.notebook_dir
            return ForeignServer(pid=found.pid, directory=directory, port=found.port, server=found.version)
    return None


REQUESTS = {"stop": (stop, Stop), "list": (list_all, ListSessions)}  # type: dict[str, Any]


def run(link: "Link", message: "dict[str, Any]") -> None:
    """Answer one request, by its `op`."""
    perform, record = REQUESTS[message["op"]]
    perform(link, record.read(message))
