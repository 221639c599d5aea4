"""`python -m farlab.keeper`: reads on standard input which session is wanted, says when it listens.

Where another keeper of that session lives it says so, and ends: whoever started it finds the other.

The order is what makes a connect fast: the local port, the private socket and the `ssh` come before the event loop,
whose import takes as long as half a login.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..errors import FarlabError, PortBusy
from ..model import Target
from .links.dial import Dialed, Way, dial
from .links.query import Query

if TYPE_CHECKING:
    from .control import PrivateSocket


def main() -> None:
    told = sys.stdin.read()
    if not told:  # whoever started a keeper has gone, by Ctrl-C
        return
    words = json.loads(told)
    out = _detach()
    target = Target(host=words["host"], name=words["name"], ssh_config=words["ssh_config"])
    query = None
    with suppress(FarlabError):
        query = Query(target)
    opened = _open(target, words["port"], out)  # while ssh reads its configuration; whatever can wait comes later
    if opened is None:
        return
    listener, note, private = opened
    wish, may_ask = words["wish"], words["may_ask"]
    dialed = _dial(target, query, str(private.path) if may_ask else None)
    from .service import Beginning, serve  # the event loop

    serve(
        Beginning(
            target=target, listener=listener, private=private, dialed=dialed, note=note, wish=wish, may_ask=may_ask
        )
    )


def _detach() -> int:
    """Let go of the standard input and output. Returns what whoever started us reads."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.umask(0o077)
    return out


def _open(target: Target, port: int | None, out: int) -> tuple[socket.socket, str, PrivateSocket] | None:
    """The listener, a note on it, the private socket: said at `out`. None where there is no need or no way."""
    from .. import paths, store
    from .control import PrivateSocket, Taken
    from .spawn import abstract_name, is_kept, socket_path

    memory = store.recall(target)
    try:
        if is_kept(target):
            raise Taken
        listener, note = bind(port, memory.port if memory else None)
        private = PrivateSocket(socket_path(target), abstract_name(target))
    except Taken:
        _say(out, {"ready": False})
        return None
    except FarlabError as error:
        _say(out, {"error": error.as_json()})
        return None
    if not _say(out, {"ready": True}):  # whoever wanted a keeper has gone, by Ctrl-C
        private.remove()
        if memory is None:
            store.forget(target)
        paths.tidy_runtime_directory()
        return None
    return listener, note, private


def bind(wanted: int | None, remembered: int | None) -> tuple[socket.socket, str]:
    """The listener on loopback, and a note where it is not the port that it was. Raises PortBusy."""
    for port in [wanted] if wanted else [remembered or 0, 0]:
        try:
            listener = _listen(port)
        except OSError as error:
            if wanted:
                reason = os.strerror(error.errno or 0)
                raise PortBusy(f"port {wanted} of this machine cannot be had", detail=reason) from error
            continue
        got = listener.getsockname()[1]
        is_other = remembered and not wanted and got != remembered
        return listener, f"port {remembered} is taken: the address is on port {got} now" if is_other else ""
    raise PortBusy("no port of this machine can be had")


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _dial(target: Target, query: Query | None, ask_socket: str | None) -> Dialed | None:
    """The first `ssh`, ahead of everything else. What fails here fails again, and is told, when it is waited for."""
    with suppress(FarlabError):
        if query is not None:
            return dial(Way(target=target, resolved=query.answer(), ask_socket=ask_socket))
    return None


def _say(out: int, answer: dict[str, Any]) -> bool:
    """Whether somebody heard it."""
    try:
        os.write(out, json.dumps(answer).encode())
    except BrokenPipeError:
        return False
    finally:
        os.close(out)
    return True


main()
