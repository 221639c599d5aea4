"""The operations on sessions: connect, terminate, status … They take values, return frozen results and print nothing.

`api`, the public Python API, checks what it is given and calls these; so does the command line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, replace
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from .. import saved
from ..advice import command, fill_hints
from ..errors import FarlabError, Internal, Interrupted, KeeperSilent, NoSession, TimedOut, Usage
from ..keeper import control_client
from ..keeper.control_client import ControlClient
from ..keeper.control_messages import question_of
from ..model import (
    DEFAULT_LOG_LINES,
    SAID,
    Confirm,
    Connected,
    Disconnected,
    HostEnvironment,
    Kernel,
    OnProgress,
    Progress,
    Prompt,
    SessionOptions,
    SessionStatus,
    State,
    Target,
    Terminated,
)
from ..protocol import control
from ..transport.choose import for_target
from ..transport.from_host import kernels
from ..transport.programs import users_environment
from . import keeper_client, spawn
from .status_values import session_status, without_keeper

_T = TypeVar("_T")
_P = ParamSpec("_P")
_MAX_KEEPERS = 3
"""How often to retry if the keeper exits while we talk to it."""
_BUSY_TIMEOUT = 15.0
"""Seconds in which a new keeper may begin to answer: twenty commands at once may have just started it."""
DETAIL_LINES = 40
"""How much is shown of what was said while it timed out."""
_HERE = (
    *("at", "since", "port", "url", "keeper_pid", "streams", "bytes_in", "bytes_out", "bytes_held", "last_heard"),
    *("round_trip", "outages", "longest_outage", "full_since", "bytes_limit"),
)
"""What a keeper here knows better than the host."""
_FIRST_STATES = (State.CONNECTING, State.ASKING, State.STARTING)
_MAX_THREADS = 32
"""How many keepers are asked at once."""


def _with_hints(operation: Callable[Concatenate[Target, _P], _T]) -> Callable[Concatenate[Target, _P], _T]:
    """Fill in the hints of the errors that an operation raises."""

    @wraps(operation)
    def filled(target: Target, /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
        with fill_hints(target):
            return operation(target, *args, **kwargs)

    return filled


@_with_hints
def connect(
    target: Target, options: SessionOptions, *, ask: Prompt | None = None, tell: OnProgress | None = None
) -> Connected:
    """Start or find the session and connect it to this machine. `ask` None: nobody can answer questions of `ssh`."""
    for_target(target).check()
    began = time.monotonic()
    keeper_client.status(target, _BUSY_TIMEOUT)  # raises for a stopped one, for which we would wait in vain
    for _ in range(_MAX_KEEPERS):
        with closing(spawn.find_or_start(target, options, may_ask=ask is not None)) as connection:
            result = _follow_connect(connection, ask, tell, options, target)
        if result is not None:
            break
        _wait_for_exit(target)
    else:
        raise Internal("the keeper keeps exiting", hint="`{farlab logs HOST --keeper}` shows why")
    notes, seconds = result.notes, vars(result.seconds) if result.seconds else {}
    if options.port and result.port != options.port:
        first = command(target, "disconnect")
        notes += (f"already connected on port {result.port}; to change the port, run `{first}` first",)
    total = round(time.monotonic() - began, 3)
    values = {**result.values(), "ssh_config": target.ssh_config, "notes": notes}
    return Connected(**{**values, "seconds": {**seconds, "total": total}})


@_with_hints
def terminate(
    target: Target,
    *,
    confirm: Confirm | None = None,
    idle_too: bool = False,
    ask: Prompt | None = None,
    tell: OnProgress | None = None,
) -> Terminated:
    """Stop the session on the host and its keeper. `confirm` None: end busy kernels without asking.

    `idle_too`: `confirm` is called before any kernel is ended, and without kernels if it is unknown which there are.
    It is called once: a yes holds for all that it takes to end the session. Raises `NoSession` for one that neither
    the host nor this machine knows.
    """
    from . import remote_commands

    for_target(target).check()
    found = _running_kernels(target)
    if found is not None:
        if _is_confirmed(found, confirm, target, idle_too=idle_too):
            confirm = None
        if tell:
            tell(Progress(stage="stop", text="stopping the server"))
        reply = keeper_client.request(target, control.Bare(op="terminate"), control.Terminated)
        if reply and reply.terminated:
            _wait_for_exit(target)
            return Terminated(host=target.host, name=target.name, kernels=len(found))
    try:
        count = remote_commands.terminate(target, confirm=confirm, idle_too=idle_too, ask=ask, tell=tell)
    except NoSession:
        was_known = saved.load(target) is not None
        _forget(target)
        if found is None and not was_known:
            raise
        # not None: the connection broke after the keeper's request had arrived
        count = None if found is None else len(found)
    _forget(target)
    return Terminated(host=target.host, name=target.name, kernels=count or 0, was_running=count is not None)


@_with_hints
def disconnect(target: Target) -> Disconnected:
    """Stop only the keeper here. Raises `NoSession` if there is none."""
    reply = keeper_client.request(target, control.Bare(op="disconnect"), control.Disconnected)
    if reply is None:
        raise NoSession(f"session `{target.name}` on `{target.host}` is not connected")
    _wait_for_exit(target)
    return Disconnected(port=reply.port, running=reply.running, **asdict(target))


def sessions() -> tuple[SessionStatus, ...]:
    """All sessions known here, live if the keeper answers. Starts nothing and uses no SSH."""
    unsaved = _unsaved()
    known = saved.load_all(must_read=not unsaved)
    if len(known) < 2:
        return (*map(_quick_status, known), *unsaved)
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(known), _MAX_THREADS)) as pool:  # a stopped keeper does not delay the others
        return (*pool.map(_quick_status, known), *unsaved)


def _unsaved() -> list[SessionStatus]:
    """Those whose keepers run, though nothing of them can be saved, or read."""
    saved_keepers = {control_client.socket_path(each.target) for each in saved.load_all()}
    found = []
    for path in sorted(set(control_client.socket_paths()) - saved_keepers):
        with suppress(FarlabError):
            status = keeper_client.status_at(path, keeper_client.LIST_TIMEOUT)
            if status and status.state not in _FIRST_STATES:
                target = Target(host=status.host, name=status.name, ssh_config=status.ssh_config)
                found.append(session_status(target, status))
    return found


@_with_hints
def sessions_on(
    target: Target, *, ask: Prompt | None = None, tell: OnProgress | None = None, timeout: float = 60.0
) -> tuple[SessionStatus, ...]:
    """All sessions on `target.host`, asked over one `ssh`, with the servers that farlab did not start."""
    from . import remote_commands

    for_target(target).check()
    found = remote_commands.sessions_on(target, ask=ask, tell=tell, timeout=timeout)
    return tuple(each if each.foreign else _with_what_is_known_here(each) for each in found)


@_with_hints
def environments_on(
    target: Target,
    directory: str | None = None,
    *,
    ask: Prompt | None = None,
    tell: OnProgress | None = None,
    timeout: float = 60.0,
) -> tuple[tuple[HostEnvironment, ...], str]:
    """The environments on `target.host`, and why none of them would be used; "" where one would."""
    from . import remote_commands

    for_target(target).check()
    return remote_commands.environments_on(target, directory, ask=ask, tell=tell, timeout=timeout)


@_with_hints
def status(target: Target) -> SessionStatus:
    """One session in full. Raises `NoSession` if it is unknown here."""
    request = control.AskStatus(op="status", kernels=True)
    reply = keeper_client.request(target, request, control.StatusAnswer)
    return _status(target, saved.load(target), reply.status if reply else None)


def follow_status(target: Target) -> Iterator[SessionStatus]:
    """The status now and after each change, until the keeper ends."""
    with fill_hints(target):
        keeper_client.status(target)
    connection, is_followed = control_client.find(target), False
    if connection is not None:
        with closing(connection):
            connection.send(op="follow")
            while message := connection.receive():
                is_followed = True
                yield session_status(target, keeper_client.read(target, message, control.StatusAnswer).status)
    if not is_followed:  # no keeper, or one that was about to exit
        yield status(target)


@_with_hints
def is_connected(target: Target) -> bool:
    """Whether a keeper here has the session, whatever state its link is in."""
    reply = keeper_client.request(target, control.AskStatus(op="status"), control.StatusAnswer)
    return reply is not None and reply.status is not None and reply.status.state != State.ENDED


def open_url(target: Target) -> str:
    """A one-time local address, without the token, that logs a browser in to the session."""
    reply = keeper_client.request(target, control.Bare(op="open"), control.OpenUrl)
    if reply is None:
        message = f"session `{target.name}` on `{target.host}` is not connected"
        raise NoSession(message, hint="`{farlab connect HOST}` connects it")
    return reply.open_url


def logs(
    target: Target,
    *,
    follow: bool = False,
    keeper: bool = False,
    lines: int = DEFAULT_LOG_LINES,
    ask: Prompt | None = None,
) -> Iterator[str]:
    """The server's log (or the keeper's), line by line, without newline."""
    from . import remote_commands

    with fill_hints(target):
        for_target(target).check()
        if keeper:
            yield from remote_commands.keeper_log(target, follow=follow, lines=lines)
        else:
            yield from remote_commands.server_log(target, follow=follow, lines=lines, ask=ask)


@_with_hints
def attach_command(target: Target) -> list[str]:
    """The argv that enters the tmux session of `target` in this terminal. Raises `Usage` if it runs without tmux."""
    from ..host.launchers.known import named

    known = None
    with suppress(KeeperSilent):  # tmux works without it
        known = keeper_client.status(target)
    name = known.launcher if known and known.launcher else "tmux"
    argv = named(name).attach_argv(named(name).handle_for(target.name))
    if argv is None:
        hint = "`{farlab logs HOST -f}` follows its log instead"
        raise Usage(f"session `{target.name}` on `{target.host}` runs without tmux ({name})", hint=hint)
    words = (each if each.replace("-", "").isalnum() else f"'{each}'" for each in argv)  # for zsh `=NAME` is a program
    argv = for_target(target).attach_argv("exec " + " ".join(words))
    if argv is None:
        raise Usage(f"cannot open a terminal on `{target.host}`", hint="")
    return argv


# ---------------------------------------------------------------------------------------------------------


def _follow_connect(
    connection: ControlClient, ask: Prompt | None, tell: OnProgress | None, options: SessionOptions, target: Target
) -> control.Connected | None:
    """Follow a keeper until it has a result. The clock stands still while the user is asked.

    None if it exited without a reason: it was about to exit when we came, or was killed.
    """
    left, stage, said = options.timeout, "connecting", list[str]()
    connection.send(
        op="connect", wish=asdict(options), may_ask=ask is not None, environment=users_environment(os.environ)
    )
    while True:
        began = time.monotonic()
        try:
            message = connection.receive(max(0.0, left))
        except TimeoutError:
            text = f"`{target.host}` was not connected within {options.timeout:g} s; last step: {stage}"
            hint = f"`{command(target, 'connect', '--timeout', f'{5 * options.timeout:g}')}` waits longer"
            hint = f"what is said above may tell what it waits for; {hint}" if said else hint
            raise TimedOut(text, detail="\n".join(said[-DETAIL_LINES:]), hint=hint) from None
        left -= time.monotonic() - began
        if message is None:
            return None
        if "question" in message:
            question = keeper_client.read(target, message, control.QuestionAnswer).question
            connection.send(id=question.id, answer=ask(question_of(question)) if ask else None)
        elif "progress" in message:
            progress = keeper_client.read(target, message, control.ProgressAnswer).progress
            if progress.stage == SAID:
                said.append(progress.text)
            else:
                stage = progress.text
            if tell:
                tell(Progress(stage=progress.stage, text=progress.text))
        else:
            return keeper_client.read(target, message, control.Result).result


def _running_kernels(target: Target) -> tuple[Kernel, ...] | None:
    """The kernels of the session; None if its keeper cannot tell, or there is none."""
    reply = keeper_client.request(target, control.Bare(op="kernels"), control.Kernels)
    return kernels(reply.kernels) if reply else None


def _is_confirmed(kernels: tuple[Kernel, ...], confirm: Confirm | None, target: Target, *, idle_too: bool) -> bool:
    """Whether the user was asked about kernels and said yes. Raises Interrupted for a no."""
    lost = tuple(kernel for kernel in kernels if idle_too or kernel.state == "busy")
    if lost and confirm and not confirm(lost):
        raise Interrupted(
            f"nothing was terminated: session `{target.name}` on `{target.host}` is still running", hint=""
        )
    return bool(lost and confirm)


def _forget(target: Target) -> None:
    """Stop the keeper, if there is one, and delete the saved session."""
    with suppress(FarlabError):
        keeper_client.request(target, control.Bare(op="disconnect"), control.Disconnected)
    _wait_for_exit(target)
    saved.delete(target)


def _wait_for_exit(target: Target) -> None:
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        connection = control_client.find(target)
        if connection is None:
            return
        connection.close()
        time.sleep(0.01)


@_with_hints
def _status(target: Target, known: saved.SavedSession | None, reply: control.Status | None) -> SessionStatus:
    if reply:
        return session_status(target, reply)
    if known is None:
        raise NoSession(f"no session `{target.name}` on `{target.host}` is known on this machine")
    return without_keeper(known)


def _quick_status(known: saved.SavedSession) -> SessionStatus:
    """What can be told at once, even of a keeper that does not answer."""
    try:
        return _status(known.target, known, keeper_client.status(known.target, keeper_client.LIST_TIMEOUT))
    except KeeperSilent as silent:
        reason = "its keeper does not answer"
        return replace(without_keeper(known), reason=reason, is_keeper_silent=True, keeper_pid=silent.pid)
    except FarlabError as error:
        return replace(without_keeper(known), reason=error.message)


def _with_what_is_known_here(found: SessionStatus) -> SessionStatus:
    """A session as its host tells of it, with the address, the traffic and the outages that its keeper here tells."""
    known = saved.load(Target(host=found.host, name=found.name, ssh_config=found.ssh_config))
    here = _quick_status(known) if known else None
    is_another = here is not None and (here.pid not in (None, found.pid) or here.node not in ("", found.node))
    if here is None or here.keeper_pid is None or is_another:
        return found
    return replace(found, **{key: getattr(here, key) for key in _HERE})
