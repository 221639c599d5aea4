"""Serves the keeper's control socket: the CLI and the Python API, and `ssh` through askpass.

A connection carries one request. Its handler ends when it has answered, or the client has gone.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import nullcontext, suppress
from dataclasses import asdict

from .. import paths, saved
from ..advice import command
from ..errors import Authentication, CannotAsk, FarlabError, Internal, Interrupted, NoSession, NotAnswering
from ..model import SAID, Connected, Kernel, SessionStatus, State
from ..protocol.records import InvalidMessage
from . import control_messages, notes, report
from .control_connection import ControlConnection, Words
from .keeper import Keeper
from .prompts import PromptBroker
from .server_log import server_log
from .web.jupyter_api import JupyterApi
from .web.proxy import Proxy
from .web.site import LocalSite

_STOP_TIMEOUT = 30.0
POLL_INTERVAL = 5.0
"""Seconds between two requests for the kernels while a client follows the status."""


class ControlServer:
    """Serves one keeper. `should_end` is set when the keeper has to end; clients that wait learn why.

    `is_wanted`: the keeper goes on even if no client comes.
    """

    def __init__(
        self, keeper: Keeper, proxy: Proxy, site: LocalSite, jupyter: JupyterApi, *, is_wanted: bool = False
    ) -> None:
        self.should_end = asyncio.Event()
        self._why: FarlabError = Internal("the keeper ended")
        self._keeper, self._proxy, self._site = keeper, proxy, site
        self._jupyter = jupyter
        self._prompts = PromptBroker(keeper)
        self._notebook: str | None = None
        """The one that was asked for last."""
        self._waiting = 0
        """How many clients wait for the session."""
        self._was_used = is_wanted
        self._reported_open: set[str] = set()
        """The kinds of kernels of which a client was told that others can read what they send."""

    def end(self, why: FarlabError) -> None:
        """Have the keeper end, for that reason."""
        self._why = why
        self.should_end.set()
        self._keeper.publish()

    async def wait_for_clients(self, timeout: float) -> None:
        """Wait until every client that waits for the session has been told why it will not come."""
        self._keeper.publish()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._waiting:
                    await asyncio.sleep(0.01)

    async def watch_kernels(self) -> None:
        """Know which kernels run, for as long as the keeper lives."""
        await self._jupyter.watch()

    def end_if_unused(self) -> None:
        """End where the client that started the keeper has gone before it sent anything."""
        if not self._was_used:
            self.should_end.set()

    async def serve(self, client: ControlConnection) -> None:
        """Serve one connection."""
        message = await client.receive() or {}
        if self.should_end.is_set():
            return  # without an answer: the client starts another keeper
        handle = {
            "connect": self._connect,
            "status": self._status,
            "follow": self._follow,
            "open": self._open,
            "kernels": self._kernels,
            "logs": self._logs,
            "terminate": self._terminate,
            "disconnect": self._disconnect,
            "ask": self._prompts.ask,
        }.get(str(message.get("op")))
        if handle is None:
            client.send(error=Internal("unknown request").as_json())
            return
        try:
            await handle(client, message)
        except InvalidMessage as error:
            client.send(error=control_messages.refusal(error).as_json())
        except FarlabError as error:
            client.send(error=error.as_json())

    # connect ---------------------------------------------------------------------------------------------

    async def _connect(self, client: ControlConnection, message: Words) -> None:
        keeper, may_ask = self._keeper, control_messages.Connect.read(message).may_ask
        options = control_messages.wish(message.get("wish"))
        environment = control_messages.Connect.read(message).environment
        self._waiting += 1
        has_failed = not self._was_used and self._has_failed_for_all
        self._was_used = True
        if environment:  # of the terminal where the user is now, not of the one that started the keeper
            self._keeper.adopt(environment)
        answers = asyncio.create_task(self._prompts.receive_answers(client))
        try:
            with self._prompts.attached(client) if may_ask else nullcontext():
                tried = 0 if has_failed else keeper.failed_attempts
                if not has_failed:
                    keeper.connect(options, may_ask=may_ask)
                await self._await_session(client, tried, answers, options)
        finally:
            answers.cancel()
            self._waiting -= 1
            if not self._waiting and not keeper.was_up:
                self.should_end.set()  # nothing has begun, and nobody waits for it any more

    @property
    def _has_failed_for_all(self) -> bool:
        """Whether the keeper's first attempt has failed, and not for want of the user who comes just now."""
        reason = self._keeper.reason
        return reason is not None and not isinstance(reason, Authentication | CannotAsk | Interrupted)

    async def _await_session(
        self, client: ControlConnection, tried: int, gone: asyncio.Task[None], options: Words
    ) -> None:
        """Report progress until there is a result, an error, or nobody there."""
        keeper = self._keeper
        reported: Words = {}
        said: list[str] = []
        count = 0
        while not gone.done():
            if self.should_end.is_set():
                raise self._why
            if keeper.state is State.UP:
                if keeper.trouble:
                    raise keeper.trouble
                missing = await self._choose_notebook(options)
                client.send(result=asdict(self._result(options, missing)))
                return
            if keeper.reason and (keeper.state in (State.BLOCKED, State.ENDED) or keeper.failed_attempts > tried):
                raise self._refusal(keeper.reason)
            if keeper.facts.progress != reported:
                reported = keeper.facts.progress
                client.send(progress=reported)
            if keeper.said is not said:
                said, count = keeper.said, 0
            for line in said[count:]:
                client.send(progress={"stage": SAID, "text": line})
            count = len(said)
            changed = asyncio.create_task(keeper.changed.wait())
            await asyncio.wait({changed, gone}, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()

    def _refusal(self, reason: FarlabError) -> FarlabError:
        """Why a connect fails now."""
        keeper, heard = self._keeper, self._keeper.last_heard
        if not keeper.was_up or keeper.state is State.ENDED or heard is None:
            return reason
        return report.still_there(reason, keeper.state, time.time() - heard)

    async def _choose_notebook(self, options: Words) -> list[str]:
        """Find the one that is asked for; a note where it cannot be opened."""
        wanted, self._notebook = options.get("notebook"), None
        if not wanted:
            return []
        self._notebook, is_below = await self._jupyter.place_of(wanted)
        session = self._keeper.session
        return [] if self._notebook else [notes.no_notebook(self._keeper.target, session, wanted, is_below=is_below)]

    def _result(self, options: Words, missing: list[str]) -> Connected:
        keeper = self._keeper
        return report.connected(
            keeper.target,
            keeper.session,
            url=self._site.url(self._notebook),
            address=f"http://127.0.0.1:{keeper.port}",
            port=keeper.port,
            reused=keeper.facts.reused,
            seconds=dict(keeper.facts.seconds),
            notes=(*missing, *self._notes(options)),
            open_url=self._open_url(),
        )

    def _notes(self, options: Words) -> tuple[str, ...]:
        """What the user should know: what happened meanwhile, and which options a running session does not have."""
        keeper, session, host = self._keeper, self._keeper.session, self._keeper.target.host
        found = list(keeper.take_notes())
        taken = {known.name for known in saved.load_all() if known.host == host}
        found += notes.unmet(keeper.target, session, options, limit=keeper.facts.remote_buffer.limit, taken=taken)
        found += notes.open_kernels(set(session.open_kernels) - self._reported_open)
        self._reported_open |= set(session.open_kernels)
        if not keeper.facts.reused:
            found += notes.of_new_session(session, options)
        if not keeper.local_state.is_saved:
            found.append(notes.not_saved(paths.state_directory()))
        return tuple(found)

    # the other requests ----------------------------------------------------------------------------------

    async def _status(self, client: ControlConnection, message: Words) -> None:
        kernels = await self._jupyter.kernels() if control_messages.AskStatus.read(message).kernels else None
        client.send(status=asdict(self._session_status(kernels)))

    async def _follow(self, client: ControlConnection, message: Words) -> None:
        gone = asyncio.create_task(client.receive())
        sent: Words = {}
        kernels: tuple[Kernel, ...] | None = None
        while not gone.done() and not self.should_end.is_set():
            changed = asyncio.create_task(self._keeper.changed.wait())
            asked = asyncio.create_task(self._jupyter.kernels())
            await asyncio.wait({asked, changed, gone}, return_when=asyncio.FIRST_COMPLETED)  # it may hang just now
            answer = asked.result() if asked.done() else None
            if answer is not None or not self._jupyter.is_responsive:  # else it may have been slow
                kernels = answer
            asked.cancel()
            status = asdict(self._session_status(kernels))
            if (lasting := report.lasting(status)) != sent:
                sent = lasting
                client.send(status=status)
            await asyncio.wait({changed, gone}, timeout=POLL_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
        gone.cancel()

    def _session_status(self, kernels: tuple[Kernel, ...] | None) -> SessionStatus:
        keeper = self._keeper
        return report.status(
            keeper.target,
            keeper.session,
            state=keeper.state,
            at=time.time(),
            since=keeper.since,
            port=keeper.port,
            url=self._site.url(),
            kernels=kernels,
            last_kernels=self._jupyter.last_kernels,
            last_kernels_at=self._jupyter.last_kernels_at,
            started=keeper.facts.started,
            keeper_pid=os.getpid(),
            reason=report.reason(keeper.trouble, keeper.said, keeper.next_attempt),
            **keeper.status_facts(),
        )

    async def _open(self, client: ControlConnection, message: Words) -> None:
        keeper = self._keeper
        if not keeper.session.token:
            raise keeper.reason or NoSession(f"session `{keeper.target.name}` on `{keeper.target.host}` is not up")
        client.send(open_url=self._open_url())

    def _open_url(self) -> str:
        return self._proxy.one_time_address(self._site.app_path(self._notebook))

    async def _kernels(self, client: ControlConnection, message: Words) -> None:
        found = await self._jupyter.kernels()
        client.send(kernels=None if found is None else [asdict(kernel) for kernel in found])

    async def _logs(self, client: ControlConnection, message: Words) -> None:
        """The server's log, over the link that stands. `{"down": true}`: the CLI makes a link of its own."""
        asked = control_messages.AskLogs.read(message)
        if self._keeper.state is not State.UP:
            client.send(down=True)
            return

        async def tell() -> None:
            async for lines in server_log(self._keeper.open_stream, asked.lines, follow=asked.follow):
                client.send(lines=lines)
                await client.drain()

        telling, gone = asyncio.create_task(tell()), asyncio.create_task(client.receive())
        try:
            await asyncio.wait({telling, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, gone):
                task.cancel()
        if telling.done():
            try:
                telling.result()
            except OSError:
                client.send(down=True)

    async def _terminate(self, client: ControlConnection, message: Words) -> None:
        """End the session over the mux. The answer is `{"down": true}` without a link: the CLI makes one of its own."""
        keeper = self._keeper
        if keeper.state is not State.UP:
            client.send(down=True)
            return
        keeper.end_session()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIMEOUT):
                while keeper.state is State.UP:
                    await keeper.changed.wait()
        if self._keeper.state is State.ENDED:
            keeper.local_state.remove()
            client.send(terminated=True)
            self.end(self._interrupted("terminate", "terminated the session"))
        else:
            client.send(down=True)

    async def _disconnect(self, client: ControlConnection, message: Words) -> None:
        self._keeper.local_state.save_disconnected()
        client.send(disconnected=True, port=self._keeper.port, running=self._is_running)
        self.end(self._interrupted("disconnect", "disconnected it"))

    @property
    def _is_running(self) -> bool | None:
        """Whether the session goes on, as far as this keeper knows; None where it never reached it."""
        keeper = self._keeper
        if keeper.state is State.ENDED:
            return isinstance(keeper.reason, NotAnswering)
        return True if keeper.was_up or keeper.local_state.saved.is_known_alive else None

    def _interrupted(self, verb: str, did: str) -> Interrupted:
        typed = command(self._keeper.target, verb)
        message = f"`{typed}` {did} while this command was waiting"
        return Interrupted(message, hint="`{farlab connect HOST}` connects again")
