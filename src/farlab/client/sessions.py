"""The public Python API: values in, frozen results out. It prints nothing.

with farlab.connect("gpu1") as session:
    print(session.url)
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
    KEEPER_SILENT,
    Connected,
    Disconnected,
    Kernel,
    Progress,
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
_KEEPERS = 3
"""How many keepers in a row may end under one's hands, before that is a bug."""
_HASTE = 15.0
"""Seconds in which a keeper may begin to answer a connect: twenty at once may have just started it."""

Ask = Callable[[Question], str | None]
"""Answers one question of `ssh`; None cancels. It may take as long as the person takes."""
Tell = Callable[[Progress], None]
"""Is told what is being waited for."""
Confirm = Callable[[tuple[Kernel, ...]], bool]
"""Asked before busy kernels are ended; False leaves everything as it is."""


def _naming(call: Callable[Concatenate[Target, _P], _T]) -> Callable[Concatenate[Target, _P], _T]:
    """What a call raises can be typed for its session."""

    @wraps(call)
    def named(target: Target, /, *words: _P.args, **options: _P.kwargs) -> _T:
        with fill_hints(target):
            return call(target, *words, **options)

    return named


@_naming
def connect(target: Target, wish: SessionOptions, *, ask: Ask | None = None, tell: Tell | None = None) -> Connected:
    """Start or find the session and bring it to this machine. `ask` None: nobody is there to answer `ssh`."""
    for_target(target).check()
    began = time.monotonic()
    keeper_client.glance(target, _HASTE)  # one that is stopped would be waited for
    for _ in range(_KEEPERS):
        channel = spawn.find_or_start(target, wish, may_ask=ask is not None)
        try:
            words = _converse(channel, ask, tell, wish, target)
        finally:
            channel.close()
        if words is not None:
            break
        _wait_gone(target)
    else:
        raise Internal("the keeper ended", hint="`{farlab logs HOST --keeper}` tells why")
    connected = _build(Connected, words["result"])
    seconds = {**connected.seconds, "total": round(time.monotonic() - began, 3)}
    notes = connected.notes
    if wish.port and connected.port != wish.port:
        first = command(target, "disconnect")
        notes += (f"the address was on port {connected.port} already; `{first}` first to move it",)
    return replace(connected, seconds=seconds, notes=notes, ssh_config=target.ssh_config)


@_naming
def terminate(
    target: Target,
    *,
    confirm: Confirm | None = None,
    idle_too: bool = False,
    ask: Ask | None = None,
    tell: Tell | None = None,
) -> Terminated:
    """End the session on the host and what runs here. `confirm` None: end busy kernels without asking.

    `idle_too`: `confirm` is asked before any kernel is ended, and with none where nobody can tell which there are.
    It is asked once: a yes holds for whatever it takes to end the session.
    """
    from . import remote_commands

    for_target(target).check()
    found = _running_kernels(target)
    if found is not None:
        if _is_confirmed(found, confirm, target, idle_too=idle_too):
            confirm = None
        words = keeper_client.ask(target, op="terminate")
        if words and words.get("terminated"):
            _wait_gone(target)
            return Terminated(host=target.host, name=target.name, was_running=True, kernels=len(found))
    try:
        count = remote_commands.terminate(target, confirm=confirm, idle_too=idle_too, ask=ask, tell=tell)
    except NoSession:
        _forget(target)
        if found is None:
            raise
        count = len(found)  # the link broke, and the keeper's word to end it had come through
    _forget(target)
    return Terminated(host=target.host, name=target.name, was_running=True, kernels=count)


@_naming
def disconnect(target: Target) -> Disconnected:
    """End only what runs here. Raises `NoSession` where no keeper lives."""
    words = keeper_client.ask(target, op="disconnect")
    if words is None:
        raise NoSession(f"nothing runs here for session `{target.name}` on `{target.host}`")
    _wait_gone(target)
    return _build(Disconnected, {**words, **asdict(target)})


def sessions() -> tuple[SessionStatus, ...]:
    """Every session known here, live where its keeper answers. Starts nothing and uses no SSH."""
    memories = saved.load_all(must_read=True)
    if len(memories) < 2:
        return tuple(map(_glance, memories))
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(len(memories)) as pool:  # one that does not answer holds up no other
        return tuple(pool.map(_glance, memories))


@_naming
def sessions_on(
    target: Target, *, ask: Ask | None = None, tell: Tell | None = None, timeout: float = 60.0
) -> tuple[SessionStatus, ...]:
    """Every session on `target.host`, asked over one SSH command, with the servers farlab did not start."""
    from . import remote_commands

    for_target(target).check()
    return remote_commands.sessions_on(target, ask=ask, tell=tell, timeout=timeout)


@_naming
def status(target: Target) -> SessionStatus:
    """One session in full. Raises `NoSession` where nothing of that name is known here."""
    return _status(target, saved.load(target), keeper_client.ask(target, op="status", kernels=True))


def follow_status(target: Target) -> Iterator[SessionStatus]:
    """The status now and after each change, until the keeper ends."""
    with fill_hints(target):
        keeper_client.glance(target)
    channel, words = control_client.find(target), None
    if channel is not None:
        with closing(channel):
            channel.send(op="follow")
            while heard := channel.receive():
                words = heard
                yield _session_status(target, words["status"])
    if words is None:  # no keeper, or one that was about to end
        yield status(target)


@_naming
def open_url(target: Target) -> str:
    """A one-time local address without the token that leads a browser into the session."""
    words = keeper_client.ask(target, op="open")
    if words is None:
        message = f"nothing runs here for session `{target.name}` on `{target.host}`"
        raise NoSession(message, hint="`{farlab connect HOST}` brings it here")
    return str(words["open_url"])


def logs(
    target: Target, *, follow: bool = False, keeper: bool = False, lines: int = 200, ask: Ask | None = None
) -> Iterator[str]:
    """The server's log (or the keeper's), line by line, without newline."""
    from . import remote_commands

    with fill_hints(target):
        for_target(target).check()
        if keeper:
            yield from remote_commands.keeper_log(target, follow=follow, lines=lines)
        else:
            yield from remote_commands.server_log(target, follow=follow, lines=lines, ask=ask)


@_naming
def attach_command(target: Target) -> list[str]:
    """The argv that enters the tmux session behind `target` in this terminal. Raises `Usage` where it has none."""
    words: Words = {}
    with suppress(KeeperSilent):  # tmux is there without it
        words = (keeper_client.glance(target) or {}).get("status") or {}
    if words.get("launcher") not in (None, "", "tmux"):
        hint = "`{farlab logs HOST -f}` shows what its server says"
        raise Usage(f"session `{target.name}` on `{target.host}` runs without tmux ({words['launcher']})", hint=hint)
    # zsh would look for a program `=farlab-…`
    argv = for_target(target).attach_argv(f"exec tmux attach-session -t '=farlab-{target.name}'")
    if argv is None:
        raise Usage(f"`{target.host}` gives no terminal", hint="")
    return argv


# ---------------------------------------------------------------------------------------------------------


def _converse(
    channel: ControlClient, ask: Ask | None, tell: Tell | None, wish: SessionOptions, target: Target
) -> Words | None:
    """Follow a keeper until it has a result. The clock stands while a person is asked.

    None where it ended without a word of why: it was about to end when we came, or was killed.
    """
    unlocked = {key: os.environ[key] for key in CREDENTIALS if key in os.environ}
    left, stage = wish.timeout, "connecting"
    channel.send(op="connect", wish=asdict(wish), may_ask=ask is not None, environment=unlocked)
    while True:
        began = time.monotonic()
        try:
            words = channel.receive(max(0.0, left))
        except TimeoutError:
            message = f"`{target.host}` was not connected within {wish.timeout:g} s; it was at: {stage}"
            hint = f"`{command(target, 'connect', '--timeout', f'{5 * wish.timeout:g}')}` waits longer"
            raise TimedOut(message, hint=hint) from None
        left -= time.monotonic() - began
        if words is None:
            return None
        if "error" in words:
            raise from_json(words["error"])
        if "result" in words:
            return words
        if "question" in words:
            question = words["question"]
            answer = ask(Question(prompt=question["prompt"], kind=QuestionKind(question["kind"]))) if ask else None
            channel.send(id=question["id"], answer=answer)
        elif "progress" in words:
            stage = words["progress"]["text"]
            if tell:
                tell(Progress(**words["progress"]))


def _running_kernels(target: Target) -> tuple[Kernel, ...] | None:
    """What runs in the session; None where its keeper cannot tell, or there is none."""
    words = keeper_client.ask(target, op="kernels") or {}
    return None if words.get("kernels") is None else tuple(_build(Kernel, each) for each in words["kernels"])


def _is_confirmed(kernels: tuple[Kernel, ...], confirm: Confirm | None, target: Target, *, idle_too: bool) -> bool:
    """Whether somebody was asked about kernels, and said yes. Raises Interrupted for a no."""
    lost = tuple(kernel for kernel in kernels if idle_too or kernel.state == "busy")
    if lost and confirm and not confirm(lost):
        raise Interrupted(f"session `{target.name}` on `{target.host}` goes on", hint="")
    return bool(lost and confirm)


def _forget(target: Target) -> None:
    """End the keeper, if one lives, and forget the session."""
    with suppress(FarlabError):
        keeper_client.ask(target, op="disconnect")
    _wait_gone(target)
    saved.delete(target)


def _wait_gone(target: Target) -> None:
    end = time.monotonic() + 10.0
    while time.monotonic() < end:
        channel = control_client.find(target)
        if channel is None:
            return
        channel.close()
        time.sleep(0.01)


@_naming
def _status(target: Target, memory: saved.SavedSession | None, words: Words | None) -> SessionStatus:
    if words and "status" in words:
        return _session_status(target, words["status"])
    if memory is None:
        raise NoSession(f"no session `{target.name}` on `{target.host}` is known here")
    return _unkept(memory)


def _glance(memory: saved.SavedSession) -> SessionStatus:
    """What can be told of a session at once, whatever its keeper does."""
    try:
        return _status(memory.target, memory, keeper_client.glance(memory.target, keeper_client.GLANCE))
    except KeeperSilent as silent:
        return replace(_unkept(memory), reason=KEEPER_SILENT, keeper_pid=silent.pid)
    except FarlabError as error:
        return replace(_unkept(memory), reason=error.message)


def _unkept(memory: saved.SavedSession) -> SessionStatus:
    return _session_status(memory.target, {"state": State.NO_KEEPER, "port": memory.port})


def _session_status(target: Target, words: dict[str, Any]) -> SessionStatus:
    """A keeper's words; an older keeper does not say how its host is found."""
    return _build(SessionStatus, {**words, **asdict(target)})


def _build(cls: type[_T], words: dict[str, Any]) -> _T:
    """A result from a keeper's words; a newer keeper may say more than this version knows."""
    known = {each.name for each in fields(cls)}  # type: ignore[arg-type]  # every result is a dataclass
    values = {key: value for key, value in words.items() if key in known}
    if isinstance(values.get("kernels"), list):
        values["kernels"] = tuple(_build(Kernel, each) for each in values["kernels"])
    if "notes" in values:
        values["notes"] = tuple(values["notes"])
    if "state" in values and cls is SessionStatus:
        values["state"] = State(values["state"])
    return cls(**values)
