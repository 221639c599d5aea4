"""Answers whoever speaks to the keeper: the CLI, other commands of the person's, and `ssh` through askpass."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from .. import paths, saved
from ..advice import command
from ..durations import format_duration
from ..errors import FarlabError, Internal, Interrupted, NoSession, NotAnswering, from_json
from ..model import Connected, Kernel, SessionStatus, State
from ..protocol.records import InvalidMessage
from . import control_messages, notes
from .control_connection import ControlConnection, Words
from .keeper import Keeper
from .web.jupyter_api import JupyterApi
from .web.proxy import Proxy
from .web.site import LocalSite

_STOP_TIMEOUT = 30.0
_NO_TMUX = "the host has no usable tmux, so the session runs without it"
LOOK = 5.0
"""Seconds between two looks at the kernels for whoever follows."""
_PASSING = frozenset(
    {"at", "last_heard", "round_trip", "streams", "bytes_in", "bytes_out", "bytes_held", "longest_outage"}
)
"""Parts of a status that change all the time: no news for who follows."""


class ControlServer:
    """Serves one keeper. `over` is set when the keeper shall end; `end` says why, to whoever waits."""

    def __init__(self, keeper: Keeper, proxy: Proxy, site: LocalSite) -> None:
        self.over = asyncio.Event()
        self._why: FarlabError = Internal("the keeper ended")
        self._keeper, self._proxy, self._site = keeper, proxy, site
        self._notebook: str | None = None
        """The one that was asked for last."""
        self._rest = JupyterApi(keeper)
        self._askable: list[ControlConnection] = []
        self._watching = 0
        self._was_visited = False
        self._said_open: set[str] = set()
        self._answers: dict[int, tuple[ControlConnection, asyncio.Future[str | None]]] = {}
        self._numbers = itertools.count(1)

    def end(self, why: FarlabError) -> None:
        """The keeper shall end, for that reason."""
        self._why = why
        self.over.set()
        self._keeper.publish()

    async def farewell(self, timeout: float) -> None:
        """Wait until everybody who waits for a session has been told that it will not come, and why."""
        self._keeper.publish()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._watching:
                    await asyncio.sleep(0.01)

    def expect_somebody(self) -> None:
        """End where whoever started the keeper has gone before it said anything."""
        if not self._was_visited:
            self.over.set()

    async def serve(self, peer: ControlConnection) -> None:
        """One connection, from its first words to its end."""
        words = await peer.receive() or {}
        if self.over.is_set():
            return  # without a word: whoever came wants another keeper
        serve = {
            "connect": self._connect,
            "status": self._status,
            "follow": self._follow,
            "open": self._open,
            "kernels": self._kernels,
            "terminate": self._terminate,
            "disconnect": self._disconnect,
            "ask": self._ask,
        }.get(str(words.get("op")))
        if serve is None:
            peer.send(error=Internal("the keeper does not know this request").as_json())
            return
        try:
            await serve(peer, words)
        except InvalidMessage as wrong:
            peer.send(error=control_messages.refusal(wrong).as_json())
        except FarlabError as error:
            peer.send(error=error.as_json())

    # connect ---------------------------------------------------------------------------------------------

    async def _connect(self, peer: ControlConnection, words: Words) -> None:
        keeper, may_ask, wish = (
            self._keeper,
            control_messages.Connect.read(words).may_ask,
            control_messages.wish(words.get("wish")),
        )
        unlocked = control_messages.Unlocked.read(words.get("environment") or {}).values()
        self._watching += 1
        self._was_visited = True
        # the terminal of now, not the one that the keeper was started from
        os.environ.update({key: value for key, value in unlocked.items() if value})
        if may_ask:
            self._askable.append(peer)
        listening = asyncio.create_task(self._listen(peer))
        try:
            tried = keeper.failed_attempts
            keeper.connect(wish, may_ask=may_ask)
            await self._watch(peer, tried, listening, wish)
        finally:
            listening.cancel()
            self._watching -= 1
            if may_ask:
                self._askable.remove(peer)
                self._leave_unanswered(peer)
            if may_ask and not self._askable:
                keeper.user_left()
            if not self._watching and not keeper.was_up:
                self.over.set()  # nothing has begun, and nobody waits for it any more

    async def _watch(self, peer: ControlConnection, tried: int, listening: asyncio.Task[None], wish: Words) -> None:
        """Tell what happens until there is a result, an error, or nobody there."""
        keeper = self._keeper
        told: Words = {}
        while not listening.done():
            if self.over.is_set():
                raise self._why
            if keeper.state is State.UP:
                if keeper.trouble:
                    raise keeper.trouble
                peer.send(result=asdict(self._result(wish)))
                return
            if keeper.reason and (keeper.state in (State.BLOCKED, State.ENDED) or keeper.failed_attempts > tried):
                raise self._refusal(keeper.reason)
            if keeper.progress != told:
                told = keeper.progress
                peer.send(progress=told)
            changed = asyncio.create_task(keeper.changed.wait())
            await asyncio.wait({changed, listening}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()

    def _refusal(self, reason: FarlabError) -> FarlabError:
        """Why a connect fails now; and what becomes of a session that was seen, which is not what failed."""
        keeper, heard = self._keeper, self._keeper.last_heard
        if not keeper.was_up or keeper.state is State.ENDED or heard is None:
            return reason
        seen = f"the session was last seen {format_duration(round(max(time.time() - heard, 0.0)))} ago"
        goes_on = "farlab is waiting for you" if keeper.state is State.BLOCKED else "farlab keeps trying to reach it"
        words = {**reason.as_json(), "hint": "; ".join(filter(None, (reason.hint, seen))) + f", and {goes_on}"}
        return from_json(words)

    async def _listen(self, peer: ControlConnection) -> None:
        """The person's answers, until the person has gone."""
        while words := await peer.receive():
            said = control_messages.Answer.read_leniently(words)
            _, answer = self._answers.pop(said.id, (None, None))
            if answer is not None and not answer.done():
                answer.set_result(None if words.get("answer") is None else said.answer)

    def _leave_unanswered(self, person: ControlConnection) -> None:
        """The person has gone in the middle of a question."""
        for number, (whom, answer) in list(self._answers.items()):
            if whom is person:
                del self._answers[number]
                if not answer.done():
                    answer.set_result(None)

    async def _ask(self, peer: ControlConnection, words: Words) -> None:
        """`ssh` asks something: put it to the person who is attached."""
        keeper = self._keeper
        if not self._askable or not keeper.may_prompt:
            peer.send(cancel=True)
            return
        question = control_messages.Asked.read(words).question
        number, person = next(self._numbers), self._askable[-1]
        answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._answers[number] = person, answer
        person.send(question={"id": number, **asdict(question)})
        gone = asyncio.create_task(peer.receive())
        keeper.report_prompt(is_open=True)
        try:
            either: set[asyncio.Future[Any]] = {answer, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            keeper.report_prompt(is_open=False)
        given = answer.result() if answer.done() else None
        if given is None:
            peer.send(cancel=True)
            if not gone.done():
                keeper.decline()
        else:
            peer.send(answer=given)

    def _result(self, wish: Words) -> Connected:
        keeper, session = self._keeper, self._keeper.session
        self._notebook = wish.get("notebook")
        return Connected(
            host=keeper.target.host,
            name=keeper.target.name,
            ssh_config=keeper.target.ssh_config,
            node=session.node,
            app=session.app or "lab",
            url=self._site.url(self._notebook),
            address=f"http://127.0.0.1:{keeper.port}",
            port=keeper.port,
            token=session.token,
            reused=keeper.reused,
            launcher=session.launcher,
            transport=session.transport,
            pid=session.pid or 0,
            directory=session.directory,
            environment=session.environment,
            server=session.server,
            seconds=dict(keeper.seconds),
            notes=self._notes(wish),
            open_url=self._proxy.one_time_address(self._site.app_path(self._notebook)),
        )

    def _notes(self, wish: Words) -> tuple[str, ...]:
        """What the person should know: what was told meanwhile, and what a session that was there has not."""
        keeper, session, host = self._keeper, self._keeper.session, self._keeper.target.host
        found = list(keeper.take_notes())
        taken = {memory.name for memory in saved.load_all() if memory.host == host}
        found += notes.unmet(keeper.target, session, wish, limit=keeper.remote_buffer.limit, taken=taken)
        found += notes.open_kernels(set(session.open_kernels) - self._said_open)
        self._said_open |= set(session.open_kernels)
        if not keeper.reused:
            found += notes.cost_of_kept_output(session) if wish.get("keep_output") else []
            found += [_NO_TMUX] if session.launcher == "detached" else []
        if not keeper.local_state.is_saved:
            where = f"cannot write to `{paths.state_directory()}`, so `farlab list` does not show this session"
            found.append(f"{where}, and its port may change after a reboot")
        return tuple(found)

    # the rest --------------------------------------------------------------------------------------------

    async def _status(self, peer: ControlConnection, words: Words) -> None:
        kernels = await self._running_kernels() if control_messages.Status.read(words).kernels else None
        peer.send(status=asdict(self._described(kernels)))

    async def _follow(self, peer: ControlConnection, words: Words) -> None:
        gone = asyncio.create_task(peer.receive())
        told: Words = {}
        kernels: tuple[Kernel, ...] | None = None
        while not gone.done() and not self.over.is_set():
            changed = asyncio.create_task(self._keeper.changed.wait())
            asked = asyncio.create_task(self._running_kernels())
            await asyncio.wait({asked, changed, gone}, return_when=asyncio.FIRST_COMPLETED)  # it may hang just now
            answer = asked.result() if asked.done() else None
            if answer is not None or not self._is_answered:  # else it may have been slow
                kernels = answer
            asked.cancel()
            now = asdict(self._described(kernels))
            if (lasting := _lasting(now)) != told:
                told = lasting
                peer.send(status=now)
            await asyncio.wait({changed, gone}, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        gone.cancel()

    @property
    def _is_answered(self) -> bool:
        """Whether the server is worth a question: it is there, and does not hang."""
        return self._keeper.state is State.UP and self._keeper.session.answers

    async def _running_kernels(self) -> tuple[Kernel, ...] | None:
        return await self._rest.kernels() if self._is_answered else None

    def _described(self, kernels: tuple[Kernel, ...] | None) -> SessionStatus:
        keeper, session = self._keeper, self._keeper.session
        return SessionStatus(
            host=keeper.target.host,
            name=keeper.target.name,
            ssh_config=keeper.target.ssh_config,
            state=keeper.state,
            at=time.time(),
            since=keeper.since,
            port=keeper.port,
            url=self._site.url(),
            node=session.node,
            app=session.app,
            launcher=session.launcher,
            transport=session.transport,
            server=session.server,
            pid=session.pid,
            directory=session.directory,
            environment=session.environment,
            kernels=kernels,
            keeper_pid=os.getpid(),
            **keeper.status_facts(),
            reason=keeper.trouble.message if keeper.trouble else "",
        )

    async def _open(self, peer: ControlConnection, words: Words) -> None:
        keeper = self._keeper
        if not keeper.session.token:
            raise keeper.reason or NoSession(f"session `{keeper.target.name}` on `{keeper.target.host}` is not up")
        peer.send(open_url=self._proxy.one_time_address(self._site.app_path(self._notebook)))

    async def _kernels(self, peer: ControlConnection, words: Words) -> None:
        found = await self._running_kernels()
        peer.send(kernels=None if found is None else [asdict(kernel) for kernel in found])

    async def _terminate(self, peer: ControlConnection, words: Words) -> None:
        """End the session over the line. `{"down": true}` where there is none: the CLI goes by itself."""
        keeper = self._keeper
        if keeper.state is not State.UP:
            peer.send(down=True)
            return
        keeper.end_session()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT):
                while keeper.state is State.UP:
                    await keeper.changed.wait()
        if self._keeper.state is State.ENDED:
            keeper.local_state.remove()
            peer.send(terminated=True)
            self.end(self._meanwhile("terminate", "terminated the session"))
        else:
            peer.send(down=True)

    async def _disconnect(self, peer: ControlConnection, words: Words) -> None:
        peer.send(disconnected=True, port=self._keeper.port, running=self._is_running)
        self.end(self._meanwhile("disconnect", "disconnected it"))

    @property
    def _is_running(self) -> bool | None:
        """Whether the session goes on, as far as it was seen from here; None where it never was."""
        keeper = self._keeper
        if keeper.state is State.ENDED:
            return isinstance(keeper.reason, NotAnswering)
        return True if keeper.was_up or keeper.local_state.saved.is_known_alive else None

    def _meanwhile(self, verb: str, did: str) -> Interrupted:
        typed = command(self._keeper.target, verb)
        return Interrupted(
            f"`{typed}` {did} while this command was waiting", hint="`{farlab connect HOST}` connects again"
        )


def _lasting(status: Words) -> Words:
    """A status without what changes all the time."""
    kernels = status["kernels"]
    still = None if kernels is None else [{**kernel, "last_activity": ""} for kernel in kernels]
    return {**{key: value for key, value in status.items() if key not in _PASSING}, "kernels": still}
