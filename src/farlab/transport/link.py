"""One link: one `ssh` with pipes that runs the agent on the host, from its start to its end.

Everything that comes from the host is bounded and checked; what rc files print before our marker is noise, kept
only to explain a failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import zlib
from contextlib import suppress
from typing import IO, Any, cast

from ..errors import FarlabError, LinkLost, ShellFailed
from ..mux.pipes import LinkPipes
from ..sanitize import shortened
from . import bootstrap
from .host_messages import failure
from .process import SshProcess
from .ssh import explain

MOST_NOISE = 1 << 20
"""Bytes of rc files' talk before a host is taken not to be ours."""
MOST_FRAME = 64 << 10
"""Bytes of one frame, unless whoever asks expects more."""
MOST_REPEATS = 10
"""Times that a host may ask for a request again."""
_KEPT_STDERR = 64 << 10
_MOST_WORDS = 400
_PATIENCE = 2.0
_ASTRAY = "a start-up file of your login shell sends the standard output of commands elsewhere"
_QUIET = "`{ssh HOST true}` should print next to nothing and end: what start-up files print there is in the way"

Words = dict[str, Any]


class Link:
    """One `ssh HOST BOOTSTRAP`. Say `request`, read `frame` by frame, then either `release` it or `end` it."""

    def __init__(self, dialed: SshProcess, most_frame: int = MOST_FRAME) -> None:
        self.way, self.process, self.id = dialed.way, dialed.process, dialed.nonce
        self._sock, self._most_frame = dialed.sock, most_frame
        self._mark = f"\n{dialed.nonce}:".encode()
        self._serial, self._request, self._repeats = 0, b"", 0
        self._buffer = b""
        self._noise = b""
        self._stderr = b""
        self._loop = asyncio.get_running_loop()
        self._pipe = cast("IO[bytes]", self.process.stderr)
        os.set_blocking(self._pipe.fileno(), False)
        self._loop.add_reader(self._pipe.fileno(), self._read_stderr)

    async def request(self, words: Words, brought: bytes = b"") -> None:
        """Send one request, and bytes that it brings along; with the first one the agent that is to answer it."""
        agent = b"" if self._serial else bootstrap.agent()
        self._serial += 1
        body = json.dumps({**words, "serial": self._serial, "agent": len(agent)}).encode() + b"\n" + agent + brought
        # start-up files may read a few lines of their standard input
        self._request = b"\n\n\n" + self._mark + b"%08x%08x" % (len(body), zlib.crc32(body)) + body
        await self._send()

    async def _send(self) -> None:
        with suppress(OSError):  # its end is seen, and explained, by whoever reads
            await self._loop.sock_sendall(self._sock, self._request)

    async def frame(self) -> Words:
        """The agent's next words. Raises the error that it reports, or what the end of `ssh` means."""
        while True:
            while (found := self._cut()) is None:
                data = await self._receive()
                if not data:
                    raise await self.explained()
                self._buffer += data
            if isinstance(found.get("error"), dict):
                raise self._error(found["error"])
            if found.get("need") != "request":
                return found
            self._repeats += 1
            if self._repeats > MOST_REPEATS:
                raise self._spoilt()
            await self._send()  # a start-up file has read of it

    def release(self) -> tuple[LinkPipes, bytes]:
        """Hand over the descriptors, and what came behind the last frame: the line begins."""
        rest, self._buffer = self._buffer, b""
        descriptor = self._sock.detach()
        return LinkPipes(descriptor, descriptor), rest

    async def end(self) -> None:
        """End the `ssh` (a child of ours) and wait for it.

        One that carried the line is given time to deliver the last words; one that is still logging in is not:
        each question that it goes on asking counts as a failed login.
        """
        was_released = self._sock.fileno() < 0
        self._close()
        if was_released and await self._has_ended(_PATIENCE):
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._signal(number)
            if await self._has_ended(_PATIENCE):
                return

    @property
    def last_words(self) -> str:
        """The last line that `ssh` has printed so far."""
        if not self._pipe.closed:
            self._read_stderr()
        lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
        return shortened(lines[-1].strip(), _MOST_WORDS) if lines else ""

    async def explained(self) -> FarlabError:
        """What the end of the `ssh` means."""
        await self._has_ended(_PATIENCE)
        if not self._pipe.closed:
            self._read_stderr()
        if self._mark in self._stderr:
            return ShellFailed(_ASTRAY)
        said = (self._stderr + b"\n" + self._noise + self._buffer[-_KEPT_STDERR:]).decode("utf-8", "replace")
        may_ask = self.way.ask_socket is not None
        return explain.explain(said, self.process.poll(), host=self.way.target.host, may_ask=may_ask)

    # -----------------------------------------------------------------------------------------------------

    async def _receive(self) -> bytes:
        try:
            return await self._loop.sock_recv(self._sock, 1 << 16)
        except OSError:
            return b""

    def _cut(self) -> Words | None:
        """The next frame in the buffer, or None while it is incomplete."""
        at = self._buffer.find(self._mark)
        if at < 0:
            if len(self._buffer) > MOST_NOISE:
                message = f"`{self.way.target.host}` prints without end instead of answering"
                raise LinkLost(message, detail=self._buffer[-500:].decode("utf-8", "replace"), hint=_QUIET)
            return None
        head = at + len(self._mark)
        if len(self._buffer) < head + 16:
            return None
        try:
            size, check = int(self._buffer[head : head + 8], 16), int(self._buffer[head + 8 : head + 16], 16)
        except ValueError:
            size, check = -1, 0
        if not 0 <= size <= self._most_frame:
            raise self._spoilt()
        end = head + 16 + size
        if len(self._buffer) < end:
            return None
        self._noise = (self._noise + self._buffer[:at])[-_KEPT_STDERR:]
        body, self._buffer = self._buffer[head + 16 : end], self._buffer[end:]
        if zlib.crc32(body) != check:
            raise self._spoilt()
        try:
            words = json.loads(body)
        except (ValueError, RecursionError):
            words = None
        if not isinstance(words, dict):
            raise self._spoilt()
        return words

    def _spoilt(self) -> LinkLost:
        """The error for what no agent says, or what was printed into what one said."""
        return LinkLost(f"`{self.way.target.host}` answers what no agent of ours says")

    def _error(self, words: object) -> FarlabError:
        return failure(words, self.way.target.host)

    def _read_stderr(self) -> None:
        try:
            data = os.read(self._pipe.fileno(), 1 << 14)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._stderr = (self._stderr + data)[-_KEPT_STDERR:]
        if self._mark in self._stderr:  # no answer will ever come where answers are waited for
            self._signal(signal.SIGTERM)
        if not data:
            self._close_stderr()

    def _close_stderr(self) -> None:
        if not self._pipe.closed:
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()

    def _close(self) -> None:
        self._close_stderr()
        self._sock.close()

    async def _has_ended(self, patience: float) -> bool:
        end = self._loop.time() + patience
        while not self._is_reaped():
            if self._loop.time() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    def _is_reaped(self) -> bool:
        """Whether `ssh` has ended. What it ran to reach a jump host, which waits for a dead network, ends with it.

        As long as nobody has waited for the `ssh`, its number, and so its group's, is nobody else's.
        """
        is_over = self.process.returncode is None and _is_over(self.process.pid)
        if is_over:
            self._signal(signal.SIGTERM)
        return self.process.poll() is not None

    def _signal(self, number: int) -> None:
        """Signal the `ssh` and all that it runs: its group is its own."""
        if self.process.returncode is None:
            with suppress(OSError):  # it ends just now
                os.killpg(self.process.pid, number)


def _is_over(pid: int) -> bool:
    """Whether a child of ours has ended and waits to be waited for; False where the system does not tell."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # whoever started us ignores SIGCHLD: then nobody is ever waited for
        return False
