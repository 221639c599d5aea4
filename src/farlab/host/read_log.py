"""Reads the log of a session's server. Python 3.6."""

import os

from farlab.host.failure import Failure
from farlab.host.log_tail import INTERVAL, LogTail
from farlab.host.session_files import Session
from farlab.protocol.commands import Done, Lines, Logs

MYPY = False
if MYPY:
    from typing import Any

    from farlab.host.loader import Link


def run(link: "Link", message: "dict[str, Any]") -> None:
    """The last lines; then, to follow, what is added until the link ends."""
    request = Logs.read(message)
    session = Session(request.name, request.node)
    session.refuse_another(request.node)
    session.refuse_elsewhere(must_be_known=not os.path.exists(session.log))
    if not os.path.exists(session.log):
        raise Failure("no-session", "session `%s` has no log on this host" % session.name)
    tail = LogTail(session.log, request.lines)
    link.send(Lines(lines=lines_of(tail.read(not request.follow))))
    while request.follow:
        link.more(INTERVAL)
        added = tail.read(False)
        if added:
            link.send(Lines(lines=lines_of(added)))
    link.send(Done(done=True))


def lines_of(content: bytes) -> "list[str]":
    return content.decode("utf-8", "replace").splitlines()
