"""What a link runs first on the host: finds or starts the session, joins the link to it, and ends with the link.

Rules: standard library, Python 3.6, small: it travels with each link's first request. What a link to a running session
does not need is compiled and imported late: each such link waits for the rest. It never trusts a path or a name
unquoted and writes only below `~/.local/state/farlab` and the runtime directory.
"""

import array
import errno
import os
import socket
from contextlib import suppress

from farlab.host import directories, processes
from farlab.host.failure import Failure
from farlab.host.session_files import Session

MUX = 2
"""The version of the mux that the laptop speaks. The anchor may be older."""
ENDING = 0.5
"""Seconds from an anchor's last word to the end of its process."""


def rename(name):
    """Show a short name in `ps` instead of ourselves in base64 (proc(5): arg_start, arg_end of /proc/PID/stat)."""
    try:
        with open("/proc/self/stat") as file:
            start, end = map(int, file.read().rpartition(")")[2].split()[45:47])
        with open("/proc/self/mem", "r+b", 0) as memory:
            memory.seek(start)
            memory.write(name.encode()[: end - start - 1].ljust(end - start, b"\0"))
    except (OSError, ValueError):
        pass  # not Linux, or not allowed: only the looks suffer


def found_or_started(link, request, session):
    """Whether the session was found; it runs in any case."""
    if session.state == "alive":
        return True
    with session.lock(link):
        if session.look().state == "alive":
            return True
        from farlab.host.start import start

        start(link, request, session)
    return False


def ensure(link, request):
    """Find or start the session, and carry the line: ends with the link."""
    session = Session(request["name"])
    reused = found_or_started(link, request, session)
    try:
        sock, answer = session.ask(op="join", mux=MUX)
    except Failure:
        if not reused or not processes.wait_until(lambda: session.look().state != "alive", ENDING):
            raise
        reused = found_or_started(link, request, session)  # it was about to end
        sock, answer = session.ask(op="join", mux=MUX)
    mux = answer.get("mux", 1)
    link.say(joined=True, reused=reused, mux=mux, session=answer)
    early = (request["early"] if mux == MUX else "").encode() + b"\n"
    sent = sock.sendmsg([early], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1]))])
    sock.sendall(early[sent:])
    sock.settimeout(None)
    for fd in (0, 1):
        os.close(fd)
    with suppress(OSError):
        sock.recv(1)  # until the anchor lets go of the link, or ends


def command(op):
    """The function that answers a request for anything but a link to the mux. Raises KeyError."""
    from farlab.host import commands

    return {"stop": commands.stop, "list": commands.list_all, "logs": commands.logs}[op]


def main(link, request):
    """Answer one request. Exit status 0: answered, be it with a failure."""
    rename("farlab-agent")
    umask = os.umask(0o077)
    answer(link, dict(request, umask=umask))


def answer(link, request):
    """Answer one request, whatever it is like. `umask` in it: the person's, for what is not ours."""
    try:
        (ensure if request["op"] == "ensure" else command(request["op"]))(link, request)
    except Exception as error:
        with suppress(OSError):  # nobody hears it
            link.say(error=words_of(error))


def words_of(error):
    """An exception as a failure's words."""
    if isinstance(error, Failure):
        return error.words
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        where = "`%s` on `%s`" % (error.filename or directories.state_base(), os.uname().nodename)
        message = ("no space left for %s" if full else "cannot use %s") % where
        return Failure("disk-full" if full else "host-lacks", message, str(error)).words
    where = error.__traceback__
    while where.tb_next:
        where = where.tb_next
    detail = "%s: %s" % (where.tb_frame.f_code.co_name, str(error)[:200])
    return Failure("internal", "bug in farlab's agent on the host: %s" % type(error).__name__, detail).words
