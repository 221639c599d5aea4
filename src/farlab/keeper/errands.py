"""Questions to a host that need no line and no keeper: one `ssh` from this very process, which asks the person."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from .. import paths, store
from ..errors import Interrupted, NoSession, TimedOut
from ..model import Kernel, Progress, Question, QuestionKind, SessionStatus, State, Target
from . import control, peers
from .dial import Way, dial, resolve
from .link import Link

Ask = Callable[[Question], str | None]
Tell = Callable[[Progress], None]
Words = dict[str, Any]


class Clock:
    """Ends a wait after `timeout` seconds, not counting those in which a person is asked."""

    def __init__(self, timeout: float) -> None:
        self._left, self._since = timeout, time.monotonic()
        self._asking = 0

    def pause(self) -> None:
        self._left -= time.monotonic() - self._since
        self._asking += 1

    def go_on(self) -> None:
        self._since = time.monotonic()
        self._asking -= 1

    async def run_out(self) -> None:
        """Returns when the time is over."""
        while self._asking or time.monotonic() - self._since < self._left:
            await asyncio.sleep(0.1)


@asynccontextmanager
async def _asking(ask: Ask | None, clock: Clock) -> AsyncIterator[str | None]:
    """A private socket on which askpass reaches the person; None where nobody is there."""
    if ask is None:
        yield None
        return

    async def put(peer: peers.Peer) -> None:
        words = await peer.hear() or {}
        clock.pause()
        try:
            question = Question(prompt=str(words.get("prompt", "")), kind=QuestionKind(words.get("kind", "secret")))
            answer = await asyncio.to_thread(ask, question)
        finally:
            clock.go_on()
        if answer is None:
            peer.say(cancel=True)
        else:
            peer.say(answer=answer)

    path = paths.make_private(paths.runtime_directory()) / f"errand-{os.getpid()}-{secrets.token_hex(3)}.sock"
    server = await peers.serve(control.listen(path), put)
    try:
        yield str(path)
    finally:
        server.close()
        path.unlink(missing_ok=True)
        paths.remove_if_empty(path.parent)


async def _errand(
    target: Target,
    words: Words,
    on_frame: Callable[[Words], Words | None],
    *,
    ask: Ask | None,
    tell: Tell | None,
    timeout: float,
) -> None:
    """Ask the host's agent, and give each of its answers to `on_frame`, whose words are sent back."""
    clock = Clock(timeout)
    async with _asking(ask, clock) as ask_socket:
        talking = asyncio.create_task(_talk(target, words, on_frame, ask_socket, tell))
        running_out = asyncio.create_task(clock.run_out())
        try:
            await asyncio.wait({talking, running_out}, return_when=asyncio.FIRST_COMPLETED)
            if not talking.done():
                raise TimedOut(f"`{target.host}` did not answer within {timeout:g} s")
            talking.result()
        finally:
            for task in (talking, running_out):
                task.cancel()
            await asyncio.gather(talking, running_out, return_exceptions=True)


async def _talk(
    target: Target, words: Words, on_frame: Callable[[Words], Words | None], ask_socket: str | None, tell: Tell | None
) -> None:
    resolved = await asyncio.to_thread(resolve, target)
    link = Link(dial(Way(target=target, resolved=resolved, ask_socket=ask_socket)))
    try:
        await link.request({**words, "name": target.name})
        while True:
            frame = await link.frame()
            if tell and "progress" in frame:
                tell(Progress(stage=str(frame["progress"]), text=str(frame.get("text", ""))))
            reply = on_frame(frame)
            if reply is not None:
                await link.request(reply)
            if frame.get("done") or "stopped" in frame or "sessions" in frame:
                return
    finally:
        await link.end()


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

    def on_frame(frame: Words) -> Words | None:
        nonlocal count
        if "confirm" in frame:
            busy = tuple(kernel for kernel in map(_kernel, frame["confirm"]) if kernel.state == "busy")
            if confirm and not confirm(busy):
                raise Interrupted(f"session `{target.name}` on `{target.host}` goes on", hint="")
            return {"yes": True}
        count = int(frame.get("kernels") or 0)
        return None

    words = {"op": "stop", "yes": confirm is None}
    asyncio.run(_errand(target, words, on_frame, ask=ask, tell=tell, timeout=timeout))
    return count


def sessions_on(target: Target, *, ask: Ask | None, tell: Tell | None, timeout: float) -> tuple[SessionStatus, ...]:
    """Every session of ours on the host, and the servers that farlab did not start."""
    found: list[SessionStatus] = []

    def on_frame(frame: Words) -> None:
        for each in frame.get("sessions") or ():
            found.append(_session(target.host, each))
        for each in frame.get("foreign") or ():
            found.append(_foreign(target.host, each))

    asyncio.run(_errand(target, {"op": "list"}, on_frame, ask=ask, tell=tell, timeout=timeout))
    return tuple(found)


def server_log(target: Target, *, follow: bool, lines: int, ask: Ask | None) -> Iterator[str]:
    """The server's log, over one `ssh`."""
    import queue
    import threading

    found: queue.Queue[list[str] | BaseException | None] = queue.Queue()

    def on_frame(frame: Words) -> None:
        if isinstance(frame.get("lines"), list):
            found.put([str(line) for line in frame["lines"]])

    def run() -> None:
        words = {"op": "logs", "lines": lines, "follow": follow}
        timeout = 365 * 86400.0 if follow else 60.0
        try:
            asyncio.run(_errand(target, words, on_frame, ask=ask, tell=None, timeout=timeout))
            found.put(None)
        except BaseException as error:
            found.put(error)

    threading.Thread(target=run, daemon=True).start()
    while (item := found.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield from item


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


def _kernel(words: Words) -> Kernel:
    return Kernel(**{key: str(words.get(key) or "") for key in ("id", "name", "state", "notebook", "last_activity")})


def _session(host: str, words: Words) -> SessionStatus:
    state = {"alive": State.UP, "up": State.UP, "starting": State.STARTING, "ended": State.ENDED}
    kernels = words.get("kernels")
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
        kernels=tuple(map(_kernel, kernels)) if isinstance(kernels, list) else None,
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
