"""The operations on sessions: connect, terminate, status … They take values, return frozen results and print nothing.

`api`, the public Python API, checks what it is given and calls these; so does the command line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, fields, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .. import saved
from ..advice import command, fill_hints
from ..errors import FarlabError, Internal, Interrupted, KeeperSilent, NoSession, TimedOut, Usage, from_json
from ..keeper import control_client
from ..keeper.control_client import ControlClient
from ..model import (
    DEFAULT_LOG_LINES,
    Confirm,
    Connected,
    Disconnected,
    Kernel,
    OnProgress,
    Progress,
    Prompt,
    Question,
    QuestionKind,
    SessionOptions,
    SessionStatus,
    State,
    Target,
    Terminated,
)
from ..transport.base import CREDENTIALS
from ..transport.choose import for_target
from . import keeper_client, spawn

_T = TypeVar("_T")
_P = ParamSpec("_P")
Words = dict[str, Any]
_MAX_KEEPERS = 3
"""How often to retry if the keeper exits while we talk to it."""
_BUSY_TIMEOUT = 15.0
"""Seconds in which a new keeper may begin to answer: twenty commands at once may have just started it."""
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
        with closing(spawn.find_or_start(target, options, may_ask=ask is not None)) as control:
            result = _follow_connect(control, ask, tell, options, target)
        if result is not None:
            break
        _wait_for_exit(target)
    else:
        raise Internal("the keeper keeps exiting", hint="`{farlab logs HOST --keeper}` shows why")
    connected = _build(Connected, result)
    seconds = {**connected.seconds, "total": round(time.monotonic() - began, 3)}
    notes = connected.notes
    if options.port and connected.port != options.port:
        first = command(target, "disconnect")
        notes += (f"already connected on port {connected.port}; to change the port, run `{first}` first",)
    return replace(connected, seconds=seconds, notes=notes, ssh_config=target.ssh_config)


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
    It is called once: a yes holds for all that it takes to end the session.
    """
    from . import remote_commands

    for_target(target).check()
    found = _running_kernels(target)
    if found is not None:
        if _is_confirmed(found, confirm, target, idle_too=idle_too):
            confirm = None
        reply = keeper_client.request(target, op="terminate")
        if reply and reply.get("terminated"):
            _wait_for_exit(target)
            return Terminated(host=target.host, name=target.name, kernels=len(found))
    try:
        count = remote_commands.terminate(target, confirm=confirm, idle_too=idle_too, ask=ask, tell=tell)
    except NoSession:
        _forget(target)
        if found is None:
            raise
        count = len(found)  # the connection broke after the keeper's request had arrived
    _forget(target)
    return Terminated(host=target.host, name=target.name, kernels=count)


@_with_hints
def disconnect(target: Target) -> Disconnected:
    """Stop only the keeper here. Raises `NoSession` if there is none."""
    reply = keeper_client.request(target, op="disconnect")
    if reply is None:
        raise NoSession(f"session `{target.name}` on `{target.host}` is not connected")
    _wait_for_exit(target)
    return _build(Disconnected, {**reply, **asdict(target)})


def sessions() -> tuple[SessionStatus, ...]:
    """All sessions known here, live if the keeper answers. Starts nothing and uses no SSH."""
    known = saved.load_all(must_read=True)
    if len(known) < 2:
        return tuple(map(_quick_status, known))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(len(known), _MAX_THREADS)) as pool:  # a stopped keeper does not delay the others
        return tuple(pool.map(_quick_status, known))


@_with_hints
def sessions_on(
    target: Target, *, ask: Prompt | None = None, tell: OnProgress | None = None, timeout: float = 60.0
) -> tuple[SessionStatus, ...]:
    """All sessions on `target.host`, asked over one `ssh`, with the servers that farlab did not start."""
    from . import remote_commands

    for_target(target).check()
    return remote_commands.sessions_on(target, ask=ask, tell=tell, timeout=timeout)


@_with_hints
def status(target: Target) -> SessionStatus:
    """One session in full. Raises `NoSession` if it is unknown here."""
    return _status(target, saved.load(target), keeper_client.request(target, op="status", kernels=True))


def follow_status(target: Target) -> Iterator[SessionStatus]:
    """The status now and after each change, until the keeper ends."""
    with fill_hints(target):
        keeper_client.status(target)
    control, is_followed = control_client.find(target), False
    if control is not None:
        with closing(control):
            control.send(op="follow")
            while message := control.receive():
                is_followed = True
                yield _session_status(target, message["status"])
    if not is_followed:  # no keeper, or one that was about to exit
        yield status(target)


@_with_hints
def open_url(target: Target) -> str:
    """A one-time local address, without the token, that logs a browser in to the session."""
    reply = keeper_client.request(target, op="open")
    if reply is None:
        message = f"session `{target.name}` on `{target.host}` is not connected"
        raise NoSession(message, hint="`{farlab connect HOST}` connects it")
    return str(reply["open_url"])


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
    known: Words = {}
    with suppress(KeeperSilent):  # tmux works without it
        known = (keeper_client.status(target) or {}).get("status") or {}
    if known.get("launcher") not in (None, "", "tmux"):
        hint = "`{farlab logs HOST -f}` follows its log instead"
        raise Usage(f"session `{target.name}` on `{target.host}` runs without tmux ({known['launcher']})", hint=hint)
    # zsh would look for a program `=farlab-…`
    argv = for_target(target).attach_argv(f"exec tmux attach-session -t '=farlab-{target.name}'")
    if argv is None:
        raise Usage(f"cannot open a terminal on `{target.host}`", hint="")
    return argv


# ---------------------------------------------------------------------------------------------------------


def _follow_connect(
    control: ControlClient, ask: Prompt | None, tell: OnProgress | None, options: SessionOptions, target: Target
) -> Words | None:
    """Follow a keeper until it has a result. The clock stands still while the user is asked.

    None if it exited without a reason: it was about to exit when we came, or was killed.
    """
    unlocked = {key: os.environ[key] for key in CREDENTIALS if key in os.environ}
    left, stage = options.timeout, "connecting"
    control.send(op="connect", wish=asdict(options), may_ask=ask is not None, environment=unlocked)
    while True:
        began = time.monotonic()
        try:
            message = control.receive(max(0.0, left))
        except TimeoutError:
            text = f"`{target.host}` was not connected within {options.timeout:g} s; last step: {stage}"
            hint = f"`{command(target, 'connect', '--timeout', f'{5 * options.timeout:g}')}` waits longer"
            raise TimedOut(text, hint=hint) from None
        left -= time.monotonic() - began
        if message is None:
            return None
        if "error" in message:
            raise from_json(message["error"])
        if "result" in message:
            result: Words = message["result"]
            return result
        if "question" in message:
            question = message["question"]
            answer = ask(Question(prompt=question["prompt"], kind=QuestionKind(question["kind"]))) if ask else None
            control.send(id=question["id"], answer=answer)
        elif "progress" in message:
            stage = message["progress"]["text"]
            if tell:
                tell(Progress(**message["progress"]))


def _running_kernels(target: Target) -> tuple[Kernel, ...] | None:
    """The kernels of the session; None if its keeper cannot tell, or there is none."""
    reply = keeper_client.request(target, op="kernels") or {}
    return None if reply.get("kernels") is None else tuple(_build(Kernel, each) for each in reply["kernels"])


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
        keeper_client.request(target, op="disconnect")
    _wait_for_exit(target)
    saved.delete(target)


def _wait_for_exit(target: Target) -> None:
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        control = control_client.find(target)
        if control is None:
            return
        control.close()
        time.sleep(0.01)


@_with_hints
def _status(target: Target, known: saved.SavedSession | None, reply: Words | None) -> SessionStatus:
    if reply and "status" in reply:
        return _session_status(target, reply["status"])
    if known is None:
        raise NoSession(f"no session `{target.name}` on `{target.host}` is known on this machine")
    return _without_keeper(known)


def _quick_status(known: saved.SavedSession) -> SessionStatus:
    """What can be told at once, even of a keeper that does not answer."""
    try:
        return _status(known.target, known, keeper_client.status(known.target, keeper_client.LIST_TIMEOUT))
    except KeeperSilent as silent:
        reason = "its keeper does not answer"
        return replace(_without_keeper(known), reason=reason, is_keeper_silent=True, keeper_pid=silent.pid)
    except FarlabError as error:
        return replace(_without_keeper(known), reason=error.message)


def _without_keeper(known: saved.SavedSession) -> SessionStatus:
    return _session_status(known.target, {"state": State.NO_KEEPER, "port": known.port})


def _session_status(target: Target, values: Words) -> SessionStatus:
    """A keeper's status; an older keeper does not tell how its host is found."""
    return _build(SessionStatus, {**values, **asdict(target)})


def _build(cls: type[_T], message: Words) -> _T:
    """A result from a keeper's message; a newer keeper may send more than this version knows."""
    known = {each.name for each in fields(cls)}  # type: ignore[arg-type]  # every result is a dataclass
    values = {key: value for key, value in message.items() if key in known}
    if isinstance(values.get("kernels"), list):
        values["kernels"] = tuple(_build(Kernel, each) for each in values["kernels"])
    if "notes" in values:
        values["notes"] = tuple(values["notes"])
    if "state" in values and cls is SessionStatus:
        values["state"] = State(values["state"])
    return cls(**values)
