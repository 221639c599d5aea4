"""What a link runs first on the host: answers one request of the laptop, and ends with the link.

Rules: standard library, Python 3.6, small: it travels with each link's first request, and with it only what that
request needs (`transport.bootstrap`). It never trusts a path or a name unquoted and writes only below
`~/.local/state/farlab` and the runtime directory.
"""

import errno
import os
from contextlib import suppress

from farlab.host.directories import state_base
from farlab.host.failure import Failure
from farlab.protocol.agent import Error
from farlab.protocol.session import ErrorInfo

MYPY = False
if MYPY:
    from typing import Any, Callable

    from farlab.host.loader import Link


def rename(name: str) -> None:
    """Show a short name in `ps` instead of ourselves in base64 (proc(5): arg_start, arg_end of /proc/PID/stat)."""
    try:
        with open("/proc/self/stat") as file:
            start, end = map(int, file.read().rpartition(")")[2].split()[45:47])
        with open("/proc/self/mem", "r+b", 0) as memory:
            memory.seek(start)
            memory.write(name.encode()[: end - start - 1].ljust(end - start, b"\0"))
    except (OSError, ValueError):
        pass  # not Linux, or not allowed: only the looks suffer


def main(run: "Callable[[Link, dict[str, Any]], None]", link: "Link", request: "dict[str, Any]") -> None:
    """Answer one request by what `run` does. Exit status 0: answered, be it with a failure."""
    rename("farlab-agent")
    umask = os.umask(0o077)
    answer(run, link, dict(request, umask=umask))


def answer(run: "Callable[[Link, dict[str, Any]], None]", link: "Link", request: "dict[str, Any]") -> None:
    """Answer one request, whatever it is like. `umask` in it: the user's, for what is not ours."""
    try:
        run(link, request)
    except Exception as error:
        with suppress(OSError):  # nobody hears it
            link.send(Error(error=info_of(error)))


def info_of(error: BaseException) -> ErrorInfo:
    """What the laptop is told of an exception."""
    if isinstance(error, Failure):
        return error.info
    if isinstance(error, OSError):
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        where = "`%s` on `%s`" % (error.filename or state_base(), os.uname().nodename)
        message = ("no space left for %s" if full else "cannot use %s") % where
        return ErrorInfo(code="disk-full" if full else "host-lacks", message=message, detail=str(error))
    where_from = error.__traceback__
    while where_from and where_from.tb_next:
        where_from = where_from.tb_next
    name = where_from.tb_frame.f_code.co_name if where_from else ""
    message = "bug in farlab's agent on the host: %s" % type(error).__name__
    return ErrorInfo(code="internal", message=message, detail="%s: %s" % (name, str(error)[:200]))
