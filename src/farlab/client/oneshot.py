"""One command to a host's agent over a link of its own, without a keeper.

Rule: the link runs in a thread of its own; all that concerns the user happens in the thread that reads the answers.
There Ctrl-C arrives, and there alone a terminal's echo can be switched with every signal in mind.
"""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from .. import paths
from ..errors import Interrupted, TimedOut
from ..keeper import control_client, control_connection, control_socket
from ..keeper.control_messages import question_of
from ..model import SAID, OnProgress, Progress, Prompt, Question, Target
from ..protocol import agent, commands
from ..protocol.askpass import Ask
from ..protocol.records import Record
from ..transport import background
from ..transport.agent_frames import MAX_FRAME
from ..transport.choose import for_target
from ..transport.link import Link, with_link
from ..transport.process import LinkSpec, dial

Request = commands.Stop | commands.ListSessions | commands.ListEnvironments | commands.Logs
_LAST = (commands.Done, commands.Stopped, commands.Sessions, commands.Environments)
"""What ends an answer."""
Reply = Callable[[Record], None]
_SLOW_LOGIN = "does `{ssh HOST true}` end? `{ssh -v HOST}` shows what it waits for"
_SLOW_HOST = (
    "login works, so the host or your home directory there may be slow: `{ssh HOST 'uptime; time ls ~'}` shows which"
)
_DETAIL_LINES = 40
_MAX_FRAMES = {"logs": 8 << 20, "list": 1 << 20, "envs": 1 << 20, "stop": 1 << 20}
"""Bytes of the largest frame of an answer: a log is sent whole, and a list says of each session what it is."""


def run_remote_command(
    target: Target, request: Request, *, ask: Prompt | None, tell: OnProgress | None, timeout: float
) -> Iterator[tuple[Record, Reply]]:
    """What the host's agent answers to `request`, frame by frame, each with the way to reply to it.

    `timeout` in seconds, without those in which the user is asked. Left early, it ends the link.
    """
    with closing(_RemoteCall(target, request, may_ask=ask is not None, timeout=timeout)) as call:
        for event in call.events():
            if isinstance(event, str):
                if tell:
                    tell(Progress(stage=SAID, text=event))
                continue
            if isinstance(event, _Question):
                answer = ask(event.question) if ask else None
                if answer is None:  # ends the link at once, since each empty answer counts as a failed login
                    raise Interrupted(f"you did not answer the question of `{target.host}`", hint="")
                call.resume(event, answer)
                continue
            if tell and isinstance(event.frame, agent.Progress):
                tell(Progress(stage=event.frame.progress, text=event.frame.text))
            replies: list[Record] = []
            yield event.frame, replies.append
            call.resume(event, replies[-1] if replies else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Question:
    """The login asks the user something; `answered` waits for a str."""

    answered: asyncio.Future[Any]
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """The agent has answered; `answered` waits for the next request, or None."""

    answered: asyncio.Future[Any]
    frame: Record


_Step = _Question | _Frame
_Event = _Step | str
"""A text is what `ssh` says while nothing answers."""


class _PausableTimeout:
    """Cancels the task that enters `timer` after so many seconds, without those in which it is `paused`."""

    def __init__(self, seconds: float) -> None:
        self.timer = asyncio.timeout(seconds)
        self._left = seconds
        self._pauses = 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pauses may overlap: each jump host may ask."""
        now = asyncio.get_running_loop().time
        if not self._pauses:
            self._left = (self.timer.when() or now()) - now()
            self._reschedule(None)
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if not self._pauses:
                self._reschedule(now() + self._left)

    def _reschedule(self, when: float | None) -> None:
        with suppress(
            RuntimeError
        ):  # it has run out, or the call has ended: the question that is cancelled is the last
            self.timer.reschedule(when)


class _RemoteCall:
    """The thread with the link. It waits for the user's thread at each event, until that calls `resume`."""

    def __init__(self, target: Target, request: Request, *, may_ask: bool, timeout: float) -> None:
        self._target, self._request, self._may_ask, self._seconds = target, request, may_ask, timeout
        self._events: queue.SimpleQueue[_Event | BaseException | None] = queue.SimpleQueue()
        self._is_answered, self._said = False, list[str]()
        """Whether the agent has sent a frame: then the login works."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # in the user's thread ---------------------------------------------------------------------------------

    def events(self) -> Iterator[_Event]:
        """Until the call ends. Raises what it has ended with."""
        while (event := self._next()) is not None:
            if isinstance(event, BaseException):
                raise event
            yield event

    def _next(self) -> _Event | BaseException | None:
        """A Ctrl-C that comes just before the wait begins is noticed when it ends."""
        while True:
            with suppress(queue.Empty):
                return self._events.get(timeout=control_client.WAIT_SLICE)

    def resume(self, event: _Step, answer: object) -> None:
        """Go on after an event."""

        def give() -> None:
            if not event.answered.done():
                event.answered.set_result(answer)

        self._in_loop(give)

    def close(self) -> None:
        """End the call now, if it has not ended, and wait for that."""
        self._started.wait()
        if self._task is not None:
            self._in_loop(self._task.cancel)
        self._thread.join()

    def _in_loop(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the call has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)

    # in the link's thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # the top of this thread: whatever it is, the other one raises it
            self._events.put(error)
        else:
            self._events.put(None)
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._started.set()
        timeout = _PausableTimeout(self._seconds)
        async with self._ask_socket(timeout) as ask_socket:
            try:
                async with timeout.timer:
                    await self._exchange(ask_socket, timeout)
            except TimeoutError:
                hint = _SLOW_HOST if self._is_answered else _SLOW_LOGIN
                message = f"`{self._target.host}` did not answer within {self._seconds:g} s"
                raise TimedOut(message, detail="\n".join(self._said[-_DETAIL_LINES:]), hint=hint) from None

    async def _exchange(self, ask_socket: str | None, timeout: _PausableTimeout) -> None:
        """Send the request, hand over frame by frame, and send what the user's thread replies, to the last frame."""
        transport = for_target(self._target)
        seconds = max(self._seconds - 2.0, 1.0)
        await background.resolve(transport, anew=False, timeout=seconds, on_said=self._hear)
        process = dial(LinkSpec(transport=transport, ask_socket=ask_socket, patience=self._seconds - 2.0))

        async def exchange(link: Link) -> None:
            request: Record | None = self._request
            frame = Record()
            while not isinstance(frame, _LAST):
                if request is not None:
                    await link.request(request)
                frame = await link.receive()
                self._is_answered = True
                with timeout.paused() if isinstance(frame, commands.Confirm) else nullcontext():
                    request = await self._put(_Frame(answered=self._future(), frame=frame))
            await link.end()

        await with_link(process, exchange, self._hear, _MAX_FRAMES.get(self._request.op, MAX_FRAME))

    def _hear(self, line: str) -> None:
        self._said.append(line)
        self._events.put(line)

    def _future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()

    async def _put(self, event: _Step) -> Any:
        """Hand an event to the user's thread, and wait for what `resume` brings."""
        self._events.put(event)
        return await event.answered

    @asynccontextmanager
    async def _ask_socket(self, timeout: _PausableTimeout) -> AsyncIterator[str | None]:
        """A private socket on which askpass reaches the user; None where nobody is there."""
        if not self._may_ask:
            yield None
            return

        async def serve(connection: control_connection.ControlConnection) -> None:
            message = await connection.receive() or {}  # {}: a client that only looks whether somebody listens
            if message.get("op") == "ask":
                question = question_of(Ask.read_leniently(message))
                with timeout.paused():
                    connection.send(answer=await self._put(_Question(answered=self._future(), question=question)))

        directory = paths.runtime_directory()
        with paths.translate_write_errors(directory):
            path = paths.make_private(directory) / f"errand-{os.getpid()}-{secrets.token_hex(3)}.sock"
        server = await control_connection.serve(control_socket.listen(path), serve)
        try:
            yield str(path)
        finally:
            server.close()
            path.unlink(missing_ok=True)
            paths.tidy_runtime_directory()
