"""One errand: asks a host's agent over one `ssh`, in a thread of its own.

Rule: what concerns the person happens in the thread that reads the answers. There Ctrl-C arrives, and there alone a
terminal's echo can be switched with every signal in mind.
"""

from __future__ import annotations

import asyncio
import os
import queue
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from .. import paths
from ..errors import Interrupted, TimedOut
from ..keeper import control_client, control_connection, control_socket
from ..keeper.control_messages import question_of
from ..model import OnProgress, Progress, Prompt, Question, Target
from ..protocol import agent, commands
from ..protocol.askpass import Ask
from ..protocol.records import Record
from ..transport.agent_frames import MAX_FRAME
from ..transport.choose import for_target
from ..transport.link import Link
from ..transport.process import LinkSpec, dial

Request = commands.Stop | commands.ListSessions | commands.Logs
Reply = Callable[[Record], None]
_SLOW_LOGIN = "does `{ssh HOST true}` end? `{ssh -v HOST}` shows what it waits for"
_SLOW_HOST = (
    "login works, so the host or your home directory there may be slow: `{ssh HOST 'uptime; time ls ~'}` shows which"
)
_MOST_FRAMES = {"logs": 8 << 20, "list": 1 << 20, "stop": 1 << 20}
"""Bytes of the largest frame of an answer: a log is sent whole, and a list says of each session what it is."""


def frames(
    target: Target, request: Request, *, ask: Prompt | None, tell: OnProgress | None, timeout: float
) -> Iterator[tuple[Record, Reply]]:
    """What the host's agent answers to `request`, frame by frame, each with the way to reply to it.

    `timeout` in seconds, without those in which a person is asked. Left early, it ends the `ssh`.
    """
    talk = _Talk(target, request, may_ask=ask is not None, timeout=timeout)
    talk.start()
    try:
        while (wanted := talk.next()) is not None:
            if isinstance(wanted, BaseException):
                raise wanted
            if wanted.question is not None:
                answer = ask(wanted.question) if ask else None
                if answer is None:  # ends the `ssh` at once, since each empty answer counts as a failed login
                    raise Interrupted(f"you did not answer the question of `{target.host}`", hint="")
                talk.go_on(wanted, answer)
                continue
            if tell and isinstance(wanted.frame, agent.Progress):
                tell(Progress(stage=wanted.frame.progress, text=wanted.frame.text))
            replies: list[Record] = []
            yield wanted.frame, replies.append
            talk.go_on(wanted, replies[-1] if replies else None)
    finally:
        talk.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the talk wants of the person's thread: an answer to a question, or a frame to be read."""

    answer: asyncio.Future[Any]
    frame: Record
    question: Question | None = None


class _Clock:
    """Ends a wait after `timeout` seconds, not counting those in which a person is asked."""

    def __init__(self, timeout: float) -> None:
        self._left, self._since = timeout, time.monotonic()
        self._asking = 0

    def pause(self) -> None:
        if not self._asking:
            self._left -= time.monotonic() - self._since
        self._asking += 1

    def go_on(self) -> None:
        self._since = time.monotonic()
        self._asking -= 1

    async def run_out(self) -> None:
        """Returns when the time is over."""
        while self._asking or time.monotonic() - self._since < self._left:
            await asyncio.sleep(0.1)


class _Talk:
    """The errand's thread. What it wants of the other comes out of `wanted`; then its error, or None at its end."""

    def __init__(self, target: Target, request: Request, *, may_ask: bool, timeout: float) -> None:
        self.wanted: queue.SimpleQueue[_Wanted | BaseException | None] = queue.SimpleQueue()
        self._target, self._request, self._may_ask, self._timeout = target, request, may_ask, timeout
        self._clock = _Clock(timeout)
        self._is_answered = False
        """Whether the agent has said a word: then the login works."""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._begun = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None

    def start(self) -> None:
        self._thread.start()

    def next(self) -> _Wanted | BaseException | None:
        """What is wanted next. A Ctrl-C that comes just before the wait begins is noticed when it ends."""
        while True:
            with suppress(queue.Empty):
                return self.wanted.get(timeout=control_client.WAIT_SLICE)

    def go_on(self, wanted: _Wanted, answer: object) -> None:
        """The person's thread has done what was wanted."""

        def give() -> None:
            if not wanted.answer.done():
                wanted.answer.set_result(answer)

        self._call(give)

    def end(self) -> None:
        """End it now, if it has not ended, and wait for that."""
        self._begun.wait()
        if self._task is not None:
            self._call(self._task.cancel)
        self._thread.join()

    def _call(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: it has ended
            if self._loop is not None:
                self._loop.call_soon_threadsafe(what)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:  # the top of this thread: whatever it is, the other one raises it
            self.wanted.put(error)
        else:
            self.wanted.put(None)
        finally:
            self._begun.set()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._begun.set()
        async with self._asking() as ask_socket:
            talking = asyncio.create_task(self._talk(ask_socket))
            running_out = asyncio.create_task(self._clock.run_out())
            try:
                await asyncio.wait({talking, running_out}, return_when=asyncio.FIRST_COMPLETED)
                if not talking.done():
                    hint = _SLOW_HOST if self._is_answered else _SLOW_LOGIN
                    raise TimedOut(f"`{self._target.host}` did not answer within {self._timeout:g} s", hint=hint)
                talking.result()
            finally:
                for task in (talking, running_out):
                    task.cancel()
                await asyncio.gather(talking, running_out, return_exceptions=True)

    async def _talk(self, ask_socket: str | None) -> None:
        transport = for_target(self._target)
        await asyncio.to_thread(transport.resolve)
        dialed = dial(LinkSpec(transport=transport, ask_socket=ask_socket))
        link = Link(dialed, _MOST_FRAMES.get(self._request.op, MAX_FRAME))
        try:
            await link.request(self._request)
            while True:
                frame = await link.receive()
                self._is_answered = True
                reply = await self._want(frame)
                if reply is not None:
                    await link.request(reply)
                if isinstance(frame, commands.Done | commands.Stopped | commands.Sessions):
                    return
        finally:
            await link.end()

    async def _want(self, frame: Record, question: Question | None = None) -> Any:
        """Have the other thread do something; however long that takes, where it is a person who is asked."""
        wanted = _Wanted(answer=asyncio.get_running_loop().create_future(), frame=frame, question=question)
        is_person = question is not None or isinstance(frame, commands.Confirm)
        if is_person:
            self._clock.pause()
        try:
            self.wanted.put(wanted)
            return await wanted.answer
        finally:
            if is_person:
                self._clock.go_on()

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[str | None]:
        """A private socket on which askpass reaches the person; None where nobody is there."""
        if not self._may_ask:
            yield None
            return
        directory = paths.runtime_directory()
        with paths.translate_write_errors(directory):
            path = paths.make_private(directory) / f"errand-{os.getpid()}-{secrets.token_hex(3)}.sock"
        server = await control_connection.serve(control_socket.listen(path), self._put)
        try:
            yield str(path)
        finally:
            server.close()
            path.unlink(missing_ok=True)
            paths.tidy_runtime_directory()

    async def _put(self, peer: control_connection.ControlConnection) -> None:
        """Put one question of askpass to the person; whoever only looks whether somebody listens has none."""
        message = await peer.receive() or {}
        if message.get("op") == "ask":
            peer.send(answer=await self._want(Record(), question_of(Ask.read_leniently(message))))
