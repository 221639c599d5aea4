"""Questions to a host that need no line and no keeper: one `ssh` from this very process, which asks the person."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from .. import store
from ..errors import Interrupted, NoSession
from ..model import Kernel, SessionStatus, State, Target
from . import errand
from .errand import Ask, Tell, Words


def terminate(
    target: Target,
    *,
    confirm: Callable[[tuple[Kernel, ...]], bool] | None,
    ask: Ask | None,
    tell: Tell | None,
    timeout: float,
) -> int:
    """End the session by one `ssh`. Returns how many kernels it had. Raises NoSession, Interrupted."""
    count = 0
    words = {"op": "stop", "yes": confirm is None}
    for frame, reply in errand.frames(target, words, ask=ask, tell=tell, timeout=timeout):
        if "confirm" in frame:
            busy = tuple(kernel for kernel in _kernels(frame["confirm"]) or () if kernel.state == "busy")
            if confirm and not confirm(busy):
                raise Interrupted(f"session `{target.name}` on `{target.host}` goes on", hint="")
            reply({"yes": True})
        elif isinstance(frame.get("kernels"), int):
            count = frame["kernels"]
    return count


def sessions_on(target: Target, *, ask: Ask | None, tell: Tell | None, timeout: float) -> tuple[SessionStatus, ...]:
    """Every session of ours on the host, and the servers that farlab did not start."""
    found: list[SessionStatus] = []
    for frame, _ in errand.frames(target, {"op": "list"}, ask=ask, tell=tell, timeout=timeout):
        found += [_session(target.host, each) for each in _listed(frame.get("sessions"))]
        found += [_foreign(target.host, each) for each in _listed(frame.get("foreign"))]
    return tuple(found)


def server_log(target: Target, *, follow: bool, lines: int, ask: Ask | None) -> Iterator[str]:
    """The server's log, over one `ssh`."""
    words = {"op": "logs", "lines": lines, "follow": follow}
    timeout = 365 * 86400.0 if follow else 60.0
    for frame, _ in errand.frames(target, words, ask=ask, tell=None, timeout=timeout):
        if isinstance(frame.get("lines"), list):
            yield from map(str, frame["lines"])


def keeper_log(target: Target, *, follow: bool, lines: int) -> Iterator[str]:
    """The keeper's own log, from this machine. Raises NoSession where there is none."""
    try:
        file = store.log_path(target).open(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        raise NoSession(f"session `{target.name}` on `{target.host}` has no log here") from None
    with file:
        yield from file.read().splitlines()[-lines:]
        while follow:
            line = file.readline()
            if line:
                yield line.rstrip("\n")
            else:
                time.sleep(0.3)


def _listed(value: object) -> list[Words]:
    """The dicts of a list that a host sent, whatever it sent."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _kernels(value: object) -> tuple[Kernel, ...] | None:
    return tuple(map(_kernel, _listed(value))) if isinstance(value, list) else None


def _kernel(words: Words) -> Kernel:
    return Kernel(**{key: str(words.get(key) or "") for key in ("id", "name", "state", "notebook", "last_activity")})


def _session(host: str, words: Words) -> SessionStatus:
    state = {"alive": State.UP, "up": State.UP, "starting": State.STARTING, "ended": State.ENDED}
    told = str(words.get("state"))
    return SessionStatus(
        host=host,
        name=str(words.get("name")),
        state=state.get(told, State.DOWN),
        node=str(words.get("node") or ""),
        app=str(words.get("app") or ""),
        launcher=str(words.get("launcher") or ""),
        transport=str(words.get("transport") or ""),
        server=str(words.get("server") or ""),
        pid=words["pid"] if isinstance(words.get("pid"), int) else None,
        directory=str(words.get("directory") or ""),
        environment=str(words.get("environment") or ""),
        kernels=_kernels(words.get("kernels")),
        reason=str(words.get("reason") or "") if told in state else f"{told} {words.get('reason') or ''}".strip(),
    )


def _foreign(host: str, words: Words) -> SessionStatus:
    return SessionStatus(
        host=host,
        name="",
        state=State.UP,
        pid=words["pid"] if isinstance(words.get("pid"), int) else None,
        port=words["port"] if isinstance(words.get("port"), int) else None,
        directory=str(words.get("directory") or ""),
        server=f"Jupyter Server {words.get('server') or ''}".strip(),
        foreign=True,
    )
