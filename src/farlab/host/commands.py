"""What can be asked of a host besides a line: end a session, tell of sessions, read a log. Python 3.6."""

import os
import re
from contextlib import suppress

from farlab.host import directories, processes, system
from farlab.host.failure import Failure
from farlab.host.launchers.known import of_record
from farlab.host.session_files import NAME, Session, read_json

MOST_LOG = 1 << 20
"""Bytes of a log that are read at once."""
STOP_TIMEOUT = 25.0
"""Seconds an anchor may take to end its server; then we do it."""


def stop(link, request):
    """End the session, whatever state it is in, and leave nothing."""
    session = Session(request["name"])
    if session.look().record or os.path.isdir(session.directory):
        session.refuse_elsewhere()
        kernels = confirmed(link, session, request) if session.state == "alive" else 0  # a person thinks: not locked
        with session.lock(link):
            state = session.look().state
            if state == "alive":
                stop_by_anchor(link, session, hangs=kernels is None)
            record = session.record
            if state in ("alive", "orphan"):  # else its numbers may be others' by now
                for process in (record.get("anchor"), record.get("server")):
                    processes.end_process(process)
            for process in processes.kernels_of(record["runtime"]) if "runtime" in record else ():
                processes.end_process(process)
            if "anchor" in record:
                launcher, handle = of_record(record, session.name)
                launcher.stop(handle, record["anchor"]["pid"])
            session.sweep()
        directories.remove_empty(directories.state_base())
        if state in ("alive", "orphan"):
            link.say(stopped=True, kernels=kernels or 0)
            return
    raise Failure("no-session", "session `%s` is not running" % session.name)


def confirmed(link, session, request):
    """How many kernels the session has, None where it does not answer; the person has been asked where one is busy.

    `asks`: where there is any, too, and where nobody can tell.
    """
    kernels = hangs = None
    try:
        sock, answer = session.ask(op="status")
        sock.close()
        kernels = answer.get("kernels")
    except Failure:
        hangs = True
    busy = [kernel for kernel in kernels or () if kernel.get("state") == "busy"]
    if (busy or (request.get("asks") and kernels != [])) and not request.get("yes"):
        link.say(confirm=kernels)
        if not link.hear(None).get("yes"):
            raise Failure("interrupted", "nothing was terminated: session `%s` is still running" % session.name)
    return None if hangs else len(kernels or ())


def stop_by_anchor(link, session, hangs):
    """Let the anchor end its server in good order, if it can."""
    with suppress(Failure):
        if not hangs:
            link.say(progress="stop", text="stopping the server")
            session.ask(op="stop", timeout=STOP_TIMEOUT)[0].close()
            return
    link.say(progress="stop", text="the session does not answer; killing its processes")


def describe(session):
    """What `list` tells of one session; asks a living anchor."""
    record = session.record
    words = {key: value for key, value in record.items() if key not in ("token", "runtime", "server", "told")}
    words.update(record.get("told") or {}, name=session.name, state=session.state)
    words["pid"] = (record.get("server") or {}).get("pid")
    if session.ending:
        words.update(state="ended", reason=session.ending["message"])
    if session.state == "alive":
        try:
            sock, answer = session.ask(op="status")
            sock.close()
            words.update(answer)
        except Failure as failure:
            words.update(state="not-answering", reason=failure.words["message"])
    return words


def list_all(link, request):
    """Every session of ours on this home, and the Jupyter servers that farlab did not start."""
    base = directories.state_base()
    names = sorted(filter(NAME.match, os.listdir(base))) if os.path.isdir(base) else []
    link.say(sessions=list(filter(None, map(listed, names))), foreign=foreign())


def listed(name):
    """What `list` tells of one session, None where there is none; whatever it is like, others are told, too."""
    try:
        session = Session(name)
        return describe(session) if session.look().state != "none" else None
    except Exception as error:
        return {"name": name, "node": os.uname().nodename, "state": "not-answering", "reason": str(error)[:200]}


def foreign():
    """Jupyter servers found by the files they write; never their tokens. Files are read, not tidied."""
    home = os.path.expanduser("~")
    places = [home + "/.local/share/jupyter/runtime", home + "/Library/Jupyter/runtime"]
    files = [
        os.path.join(place, name) for place in places if os.path.isdir(place) for name in sorted(os.listdir(place))
    ]
    return list(filter(None, map(server_of, files)))


def server_of(path):
    """What a file that a Jupyter server has written tells of it; None where it is none, or runs no more."""
    with suppress(OSError):
        words = re.search(r"/(jpserver|nbserver)-\d+\.json$", path) and read_json(path, {"pid": system.PID})
        if words:
            os.kill(words["pid"], 0)  # it runs, and is ours
            return {"pid": words["pid"], "directory": words.get("root_dir") or words.get("notebook_dir"),
                    "port": words.get("port"), "server": words.get("version")}  # fmt: skip
    return None


def logs(link, request):
    """The last lines of the server's log; then, to follow, what is added until the link ends."""
    session = Session(request["name"])
    if not os.path.exists(session.log):
        raise Failure("no-session", "session `%s` has no log on this host" % session.name)
    with open(session.log, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - MOST_LOG))
        follows = request.get("follow")
        whole, rest = whole_lines(file.read()) if follows else (file.read(), b"")
        lines = lines_of(whole)
        link.say(lines=lines[max(0, len(lines) - request["lines"]) :])
        while follows:
            link.more(0.5)
            size = os.fstat(file.fileno()).st_size
            if size < file.tell():  # it was shortened; what is kept has been said
                file.seek(size)
                rest = b""
            whole, rest = whole_lines(rest + file.read(MOST_LOG))
            if whole:
                link.say(lines=lines_of(whole))
    link.say(done=True)


def whole_lines(content):
    """The lines that have ended, and what follows them, which is still being written."""
    end = content.rfind(b"\n") + 1
    return content[:end], content[end:]


def lines_of(content):
    return content.decode("utf-8", "replace").splitlines()
