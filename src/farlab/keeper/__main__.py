"""`python -m farlab.keeper`: reads on standard input which session is wanted, says when it listens.

Where another keeper of that session lives it says so, and ends: the command that started it finds the other.

The order is what makes a connect fast: the local port, the private socket and the `ssh` come before the event loop,
whose import takes as long as half a login.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import paths, saved
from ..advice import default_name
from ..errors import FarlabError
from ..model import Target
from ..protocol import control, json_lines
from ..protocol.records import Record
from ..transport.base import Transport
from ..transport.choose import for_target
from ..transport.process import LinkProcess, LinkSpec, dial
from .control_client import abstract_name, is_keeper_alive, socket_path
from .web import listener

if TYPE_CHECKING:
    import socket

    from .control_socket import ControlSocket


_FIRST_WAIT = 0.3
"""Seconds that `ssh -G` may take before the event loop begins; it takes 0.02 s."""


def main() -> None:
    """Be the keeper of the session that standard input names."""
    message = sys.stdin.buffer.read()
    if not message:  # the command has gone, by Ctrl-C
        return
    request = control.Start.read(json_lines.decoded(message))
    default_name.set(request.usual_name)  # for what the log and the waiting page tell a user to type
    target = Target(host=request.host, name=request.name, ssh_config=request.ssh_config)
    if is_keeper_alive(target):
        _say(1, control.Started(ready=False))
        return
    out = _detach(target)
    transport = for_target(target)
    with suppress(FarlabError):
        transport.prepare()
    opened = _open(target, request.port, out)  # while ssh reads its configuration; whatever can wait comes later
    if opened is None:
        return
    listeners, note, private = opened
    ask_socket = str(private.path)
    options = request.wish.values()
    dialed = _dial(transport, ask_socket if request.may_ask else None, options.get("timeout"))
    from .keeper import KeeperSetup  # brings the event loop
    from .run import StartupState, serve
    from .timing import from_json

    timing = from_json(os.environ.get("FARLAB_TIMING", ""))
    setup = KeeperSetup(
        target=target,
        port=listeners[0].getsockname()[1],
        transport=transport,
        ask_socket=ask_socket,
        dialed=dialed,
        note=note,
        timing=timing,
        is_resumed=request.resume,
    )
    serve(StartupState(setup=setup, listeners=listeners, private=private, options=options, may_ask=request.may_ask))


def _detach(target: Target) -> int:
    """Go on as a process that nobody waits for, on no terminal, which logs errors. Returns what its starter reads."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1):
        os.dup2(null, number)
    os.dup2(_open_log(target), 2)
    return out


def _open_log(target: Target) -> int:
    """A disk that is full or not ours does not matter: connecting writes no file."""
    try:
        paths.make_private(paths.state_directory())
        return paths.open_ours(saved.log_path(target), os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    except (OSError, FarlabError):
        return os.open(os.devnull, os.O_WRONLY)


def _open(target: Target, port: int | None, out: int) -> tuple[tuple[socket.socket, ...], str, ControlSocket] | None:
    """The listeners, a note on it, the private socket: said at `out`. None where there is no need or no way."""
    from .control_socket import AlreadyListening, ControlSocket

    memory = saved.load(target)
    try:
        listeners, note = listener.bind(port, memory.port if memory else None, saved.usual_ports(target))
        private = ControlSocket(socket_path(target), abstract_name(target))
    except AlreadyListening:
        _say(out, control.Started(ready=False))
        return None
    except FarlabError as error:
        _say(out, control.Error(error=error.as_json()))
        return None
    if not _say(out, control.Started(ready=True)):  # the command has gone, by Ctrl-C
        private.remove()
        if memory is None:
            saved.delete(target)
        paths.tidy_runtime_directory()
        return None
    return listeners, note, private


def _dial(transport: Transport, ask_socket: str | None, patience: float | None) -> LinkProcess | None:
    """The first `ssh`, ahead of everything else. What fails here fails again, and is told, when it is waited for."""
    if not transport.is_prepared(_FIRST_WAIT):
        return None  # `Match exec` takes its time: the control socket has to answer meanwhile
    with suppress(FarlabError):
        transport.resolve()
        return dial(LinkSpec(transport=transport, ask_socket=ask_socket, patience=max(0.0, (patience or 0.0) - 2.0)))
    return None


def _say(out: int, answer: Record) -> bool:
    """Whether somebody heard it."""
    try:
        os.write(out, json_lines.encoded(answer))
    except BrokenPipeError:
        return False
    finally:
        os.close(out)
    return True


main()
