"""One link: one `ssh` with pipes that runs the agent on the host, from its start to its end.

Everything that comes from the host is bounded and checked; what rc files print before our marker is noise, kept
only to explain a failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..errors import FarlabError, Internal, LinkLost, from_json
from ..model import Target
from ..remote import bootstrap
from ..ssh import askpass, explain, options

MOST_NOISE = 1 << 20
"""Bytes of rc files' talk before a host is taken not to be ours."""
MOST_FRAME = 8 << 20
_KEPT_STDERR = 64 << 10
_PATIENCE = 2.0
_WIDE = 1 << 20

Words = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How links to a target are made: what `ssh -G` says, and where `ssh` may put its questions."""

    target: Target
    resolved: options.Resolved
    ask_socket: str | None = None
    """Path of the socket that answers askpass; None: nobody is there to answer."""
    around_master: bool = False


async def resolve(target: Target) -> options.Resolved:
    """Ask `ssh -G`. Raises what ssh's own words about the configuration mean."""
    argv = options.query_argv(target)
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise explain.no_program(argv[0]) from error
    loop = asyncio.get_running_loop()
    out, err = await loop.run_in_executor(None, process.communicate)
    if process.returncode:
        raise explain.explain(err.decode("utf-8", "replace"), process.returncode, host=target.host, may_ask=False)
    return options.parse_resolved(out.decode("utf-8", "replace"))


class Link:
    """One `ssh HOST BOOTSTRAP`. Say `request`, read `frame` by frame, then either `release` it or `end` it."""

    def __init__(self, way: Way, process: subprocess.Popen[bytes], sock: socket.socket, nonce: str) -> None:
        self.way = way
        self.process = process
        self.id = nonce
        self._sock = sock
        self._mark = f"\n{nonce}:".encode()
        self._buffer = b""
        self._noise = b""
        self._stderr = b""
        self._loop = asyncio.get_running_loop()
        assert process.stderr is not None  # noqa: S101 - it was asked for
        os.set_blocking(process.stderr.fileno(), False)
        self._loop.add_reader(process.stderr.fileno(), self._read_stderr)

    @classmethod
    def start(cls, way: Way) -> Link:
        """Start the `ssh`. Raises where there is none."""
        nonce = secrets.token_hex(8)
        argv = options.link_argv(
            way.target,
            bootstrap.command(nonce),
            resolved=way.resolved,
            may_ask=way.ask_socket is not None,
            around_master=way.around_master,
        )
        ours, theirs = socket.socketpair()  # carries more at a time than a pipe
        for sock in (ours, theirs):
            for kind in (socket.SO_SNDBUF, socket.SO_RCVBUF):
                sock.setsockopt(socket.SOL_SOCKET, kind, _WIDE)
        ours.setblocking(False)
        try:
            env = _environment(way, nonce)
            process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=env,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise explain.no_program(argv[0]) from error
        finally:
            theirs.close()
        return cls(way, process, ours, nonce)

    async def request(self, words: Words, bundle: bytes = b"") -> None:
        """Send one request; `bundle` follows it at once."""
        body = json.dumps({**words, "bundle": len(bundle)} if bundle else words).encode()
        with suppress(OSError):  # its end is seen, and explained, by whoever reads
            await self._loop.sock_sendall(self._sock, len(body).to_bytes(4, "big") + body + bundle)

    async def frame(self) -> Words:
        """The agent's next words. Raises the error that it reports, or what the end of `ssh` means."""
        while (found := self._cut()) is None:
            data = await self._receive()
            if not data:
                raise await self.explained()
            self._buffer += data
        if isinstance(found.get("error"), dict):
            raise self._error(found["error"])
        return found

    def release(self) -> tuple[int, bytes]:
        """Hand over the descriptor, and what came behind the last frame: the line begins."""
        rest, self._buffer = self._buffer, b""
        return self._sock.detach(), rest

    async def end(self) -> None:
        """End the `ssh` (its own process, still ours by definition of a child) and wait for it."""
        self._close()
        for stop in (self.process.terminate, self.process.kill):
            if await self._has_ended(_PATIENCE):
                return
            stop()
        await self._has_ended(_PATIENCE)

    async def explained(self) -> FarlabError:
        """What the end of the `ssh` means."""
        await self._has_ended(_PATIENCE)
        if self.process.stderr is not None and not self.process.stderr.closed:
            self._read_stderr()
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
                raise LinkLost(message, detail=self._buffer[-500:].decode("utf-8", "replace"))
            return None
        head = at + len(self._mark)
        if len(self._buffer) < head + 8:
            return None
        try:
            size = int(self._buffer[head : head + 8], 16)
        except ValueError:
            size = MOST_FRAME + 1
        if size > MOST_FRAME:
            raise LinkLost(f"`{self.way.target.host}` answers what no agent of ours says")
        end = head + 8 + size
        if len(self._buffer) < end:
            return None
        self._noise = (self._noise + self._buffer[:at])[-_KEPT_STDERR:]
        body, self._buffer = self._buffer[head + 8 : end], self._buffer[end:]
        try:
            words = json.loads(body)
        except (ValueError, RecursionError):
            words = None
        if not isinstance(words, dict):
            raise LinkLost(f"`{self.way.target.host}` answers what no agent of ours says")
        return words

    def _error(self, words: object) -> FarlabError:
        host = self.way.target.host
        error = from_json(words if isinstance(words, dict) else {})
        error.message = f"{host}: {error.message}"
        error.hint = error.hint.replace("HOST", host)
        return error

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None  # noqa: S101 - it was asked for
        try:
            data = os.read(self.process.stderr.fileno(), 1 << 14)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._stderr = (self._stderr + data)[-_KEPT_STDERR:]
        if not data:
            self._close_stderr()

    def _close_stderr(self) -> None:
        if self.process.stderr is not None and not self.process.stderr.closed:
            self._loop.remove_reader(self.process.stderr.fileno())
            self.process.stderr.close()

    def _close(self) -> None:
        self._close_stderr()
        self._sock.close()

    async def _has_ended(self, patience: float) -> bool:
        end = self._loop.time() + patience
        while self.process.poll() is None:
            if self._loop.time() > end:
                return False
            await asyncio.sleep(0.01)
        return True


def _environment(way: Way, nonce: str) -> dict[str, str]:
    if way.ask_socket is None:
        return askpass.silent_environment(os.environ)
    program = askpass.find_program()
    if program is None:
        try:
            program = askpass.write_program(os.path.dirname(way.ask_socket))
        except OSError as error:
            raise Internal("no place for the program that asks for ssh", detail=str(error)) from error
    return askpass.environment(os.environ, way.ask_socket, nonce, program)
