"""One link: one process, an `ssh` with pipes, that runs the agent on the host, from its start to its end."""

from __future__ import annotations

import asyncio
import os
import signal
import zlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from ..errors import FarlabError, ShellFailed
from ..mux.pipes import LinkPipes
from ..protocol import agent, commands, json_lines
from ..protocol.records import InvalidMessage, Record
from . import bootstrap, noise
from .agent_frames import MAX_FRAME, AgentFrames, mark
from .from_host import failure
from .process import LinkProcess, LinkSpec, dial
from .said import SAID_AFTER, SAID_INTERVAL, Said
from .terminal import LinkTerminal

MAX_REPEATS = 10
"""Times that a host may ask for a request again."""
_MAX_STDERR = 64 << 10
_UNANSWERED_AFTER = 5.0
"""Seconds for the network to accept the connection, before more than the usual patience is worth nothing."""
_END_TIMEOUT = 2.0
FRAMES = (
    *(agent.Error, agent.Need, agent.Progress, agent.Joined),
    *(commands.Sessions, commands.Environments, commands.Confirm, commands.Stopped, commands.Lines, commands.Done),
)
"""What an agent sends; a frame is of the kind whose first key it has."""
_REDIRECTED = "a start-up file of your login shell redirects the standard output of commands"

Message = dict[str, Any]
_T = TypeVar("_T")


async def with_link(
    process: LinkProcess,
    exchange: Callable[[Link], Awaitable[_T]],
    on_said: Callable[[str], None],
    max_frame: int = MAX_FRAME,
) -> _T:
    """What `exchange` makes of a link over `process`, which is ended where that raises.

    Long patience is for a host that takes the connection and is slow: one that does not even answer is tried once
    more with the usual one, at its next address too. One that takes our command apart is given one that has no parts.
    """
    link = Link(process, max_frame)
    try:
        with link.passing_on(on_said):
            return await exchange(link)
    except FarlabError:
        await link.end()
        if not link.was_unanswered and not link.was_split:
            raise
    except BaseException:
        await link.end()
        raise
    spec = replace(process.spec, patience=None) if link.was_unanswered else process.spec
    return await with_link(dial(spec), exchange, on_said, max_frame)


class Link:
    """Send a `request`, `receive` frame by frame, then either `release` the link to the mux or `end` it."""

    def __init__(self, process: LinkProcess, max_frame: int = MAX_FRAME) -> None:
        self._process = process
        self._frames = AgentFrames(process.nonce, process.spec.transport.host, max_frame)
        self._stderr = _Stderr(process)
        self._terminal = _terminal_of(process)
        self._request, self._serial, self._repeats = b"", 0, 0
        self._loop = asyncio.get_running_loop()
        self._output = Said()
        self._is_answered = self.was_unanswered = False
        """Whether the agent has answered; whether the link was ended because the host's network did not."""

    @property
    def spec(self) -> LinkSpec:
        """How it was made."""
        return self._process.spec

    @property
    def was_split(self) -> bool:
        """Whether it ended since the host takes commands apart, which it was not known to do."""
        return self.spec.transport.splits_words and not self._process.is_plain

    async def request(self, message: Record, attached: bytes = b"") -> None:
        """Send one request, and bytes that go with it; with the first one the agent that is to answer it."""
        if self._process.is_plain and not self._serial:
            self._request = bootstrap.script(self._process.nonce).encode() + b"\n"
            await self._send()
            await self.receive()  # the loader's first word: sh may have read ahead
        program = b"" if self._serial else bootstrap.agent(str(vars(message).get("op")))
        self._serial += 1
        line = json_lines.encoded({**vars(message), "serial": self._serial, "agent": len(program)})
        body = line + program + attached
        # start-up files may read a few lines of their standard input
        self._request = b"\n\n\n" + mark(self._process.nonce) + b"%08x%08x" % (len(body), zlib.crc32(body)) + body
        await self._send()

    async def _send(self) -> None:
        with suppress(OSError):  # its end is seen, and explained, by the reader
            await self._loop.sock_sendall(self._process.sock, self._request)

    async def receive(self) -> Record:
        """The agent's next frame: one of `FRAMES`, or a bare record where it is none that we know.

        Raises the error that it reports, or what the end of the process means.
        """
        while True:
            while (frame := self._next_frame()) is None:
                data = await self._read()
                if not data:
                    raise await self.explained()
                self._frames.feed(data)
                if not self._is_answered:
                    self._output.feed(data)
            record = self._read_frame(frame)
            if isinstance(record, agent.Error):
                raise failure(record.error, self.spec.transport.host)
            if not isinstance(record, agent.Need) or record.need != "request":
                return record
            self._repeats += 1
            if self._repeats > MAX_REPEATS:
                raise self._frames.garbled()
            await self._send()  # a start-up file has read of it

    def _next_frame(self) -> Message | None:
        frame = self._frames.next()
        self._is_answered = self._is_answered or frame is not None or self._frames.has_begun
        return frame

    def _read_frame(self, frame: Message) -> Record:
        kind = next((kind for kind in FRAMES if next(iter(kind.fields())) in frame), Record)
        try:
            return kind.read(frame)
        except InvalidMessage:
            raise self._frames.garbled() from None

    async def _read(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._process.sock, 1 << 16)
        except OSError:
            return b""

    @contextmanager
    def passing_on(self, on_said: Callable[[str], None]) -> Iterator[None]:
        """Inside, call `on_said` for each line that is said while the agent does not answer."""
        tasks = [self._loop.create_task(self._pass_on(on_said))]
        if self._terminal:
            asking = self._terminal.ask_for_it(lambda: self._is_answered, lambda: self.last_line)
            tasks.append(self._loop.create_task(asking))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _pass_on(self, on_said: Callable[[str], None]) -> None:
        began = self._loop.time()
        await asyncio.sleep(SAID_AFTER)
        while not self._is_answered:
            lines = self._terminal.said.take() if self._terminal else []
            for line in (*lines, *self._stderr.said.take(), *self._output.take()):
                on_said(line)
            is_late = self._loop.time() > began + _UNANSWERED_AFTER
            if is_late and self.spec.patience and not self.was_unanswered and self._process.is_unanswered():
                self.was_unanswered = True
                self._process.signal(signal.SIGTERM)
            await asyncio.sleep(SAID_INTERVAL)

    def release(self) -> tuple[LinkPipes, bytes]:
        """Hand over the descriptors, and what came behind the last frame: the mux begins."""
        descriptor = self._process.sock.detach()
        return LinkPipes(descriptor, descriptor), self._frames.take_rest()

    async def end(self) -> None:
        """End the process (a child of ours) and wait for it.

        One that carried the mux is given time to deliver the last bytes; one that is still logging in is not:
        each question that it goes on asking counts as a failed login.
        """
        was_released = self._process.sock.fileno() < 0
        self._stderr.close()
        self._process.sock.close()
        try:
            if was_released and await self._has_ended(_END_TIMEOUT):
                return
            for number in (signal.SIGTERM, signal.SIGKILL):
                self._process.signal(number)
                if await self._has_ended(_END_TIMEOUT):
                    return
        finally:
            if self._terminal:  # not before: that ends what runs on it, with the last bytes undelivered
                self._terminal.close()

    async def _has_ended(self, timeout: float) -> bool:
        end = self._loop.time() + timeout
        while not self._process.has_ended():
            if self._loop.time() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    @property
    def last_line(self) -> str:
        """The last line that the process has said so far on its standard error, apart from noise."""
        return noise.last_line(self._stderr.read().decode("utf-8", "replace"))

    async def explained(self) -> FarlabError:
        """What the end of the process means."""
        await self._has_ended(_END_TIMEOUT)
        stderr = (self._terminal.transcript + b"\n" if self._terminal else b"") + self._stderr.read()
        if mark(self._process.nonce) in stderr:
            return ShellFailed(_REDIRECTED)
        output = (stderr + b"\n" + self._frames.noise).decode("utf-8", "replace")
        status = self._process.process.poll()
        return self.spec.transport.explain(output, status, may_ask=self.spec.may_ask)


def _terminal_of(process: LinkProcess) -> LinkTerminal | None:
    ask_socket = process.spec.ask_socket
    if process.terminal is None or ask_socket is None:
        return None
    return LinkTerminal(*process.terminal, process.process.pid, ask_socket)


class _Stderr:
    """The end of what a process prints on its standard error, which is read all along."""

    def __init__(self, process: LinkProcess) -> None:
        self._process, self._pipe = process, process.stderr
        self._tail = b""
        self.said = Said()
        self._loop = asyncio.get_running_loop()
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read)

    def read(self) -> bytes:
        """What there is of it by now."""
        if not self._pipe.closed:
            self._read()
        return self._tail

    def close(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _read(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), 1 << 14)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._tail = (self._tail + data)[-_MAX_STDERR:]
        self.said.feed(data)
        if mark(self._process.nonce) in self._tail:  # no answer will ever come where answers are waited for
            self._process.signal(signal.SIGTERM)
        if not data:
            self.close()
