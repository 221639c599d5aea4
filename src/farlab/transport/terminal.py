"""The terminal of a link's process: for what asks there and not through askpass, such as a `ProxyCommand` or getpass.

It is a pseudo-terminal of ours, so that it works for every link, outlives the user's own terminal, and cannot be left
without echo. Whole lines that are printed on it are passed on. What looks like a question (somebody reads, or the echo
is off, or a line is left unfinished) is put to the user as askpass does it, and the answer is typed on it.
"""

from __future__ import annotations

import asyncio
import os
import re
import termios
from collections.abc import Callable
from contextlib import closing, suppress

from ..protocol import json_lines
from ..protocol.askpass import Ask, Asked
from . import noise
from .said import Said

_MAX_KEPT = 16 << 10
_QUIET = 0.3
"""Seconds without another byte after which what stands there may be a question."""
_LOOKS = 1.0
"""Seconds between two looks whether somebody reads where nothing was printed."""
_UNSAID = "something waits for an answer on the terminal:"
_ASKS = re.compile(rb"[:?>\])] *$")
_READ = {"0", "63", "3"}
"""The number of read(2) in /proc/PID/syscall: x86-64, 64-bit ARM and RISC-V, 32 bits."""
_MAX_REPLY = 1 << 17


class LinkTerminal:
    """`master` and `slave` are its two ends, both ours; `leader` is the process that has it as its terminal."""

    def __init__(self, master: int, slave: int, leader: int, ask_socket: str) -> None:
        self._master, self._slave, self._leader, self._ask_socket = master, slave, leader, ask_socket
        self.said = Said()
        self.transcript = b""
        """The end of all that was printed."""
        self._line, self._echo = b"", b""
        self._changed = 0.0
        self._loop = asyncio.get_running_loop()
        self._looked = self._loop.time()
        os.set_blocking(master, False)
        self._loop.add_reader(master, self._read)

    async def ask_for_it(self, is_over: Callable[[], bool], last_line: Callable[[], str]) -> None:
        """Put questions to the user until it is over. A user who does not answer ends the link, by other ways.

        `last_line`: what was said last elsewhere, which is the question if nothing stands here (bash's `read -p`).
        """
        before = list[str]()
        while not is_over():
            await asyncio.sleep(_QUIET)
            if self._is_question(self._loop.time()):
                kind = "text" if self._has_echo() else "secret"
                before += self.said.take()
                here = noise.telling(self._line.decode("utf-8", "replace"))
                answer = await self._ask("\n".join([*before, *here]) or f"{last_line() or _UNSAID} ", kind)
                if answer is not None:
                    self._type(answer, has_echo=kind == "text")
                    before.clear()

    def close(self) -> None:
        """Hang up."""
        if self._master >= 0:
            self._loop.remove_reader(self._master)
            os.close(self._master)
            os.close(self._slave)
            self._master = -1

    def _read(self) -> None:
        with suppress(OSError):
            data = os.read(self._master, 1 << 14)
            shared = min(len(data), len(self._echo))
            if data[:shared] == self._echo[:shared]:
                data, self._echo = data[shared:], self._echo[shared:]
            self.transcript = (self.transcript + data)[-_MAX_KEPT:]
            lines, newline, self._line = (self._line + data).rpartition(b"\n")
            self._line = self._line[-_MAX_KEPT:]
            self.said.feed(lines + newline)
            self._changed = self._loop.time()

    def _has_echo(self) -> bool:
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def _is_question(self, now: float) -> bool:
        if self._changed:
            asks = not self._has_echo() or _ASKS.search(self._line) is not None
            return now - self._changed >= _QUIET and (asks or self._is_read())
        if now - self._looked < _LOOKS:  # that reads all of /proc
            return False
        self._looked = now
        return self._is_read()

    def _is_read(self) -> bool:
        """Whether a program reads from the terminal just now; False where the system does not tell."""
        names = {"/dev/tty", os.ttyname(self._slave)}
        return any(_reads(pid, names) for pid in _session(self._leader))

    async def _ask(self, prompt: str, kind: str) -> str | None:
        try:
            reader, writer = await asyncio.open_unix_connection(self._ask_socket, limit=_MAX_REPLY)
            with closing(writer):
                writer.write(json_lines.encoded(Ask(op="ask", prompt=prompt, kind=kind)))
                return Asked.read(json_lines.decoded(await reader.readline())).answer
        except (OSError, ValueError):  # the command that asked for the link has gone
            return None

    def _type(self, answer: str, *, has_echo: bool) -> None:
        typed = answer.encode("utf-8", "surrogateescape")
        self._line, self._changed = b"", 0.0
        self._echo = typed + b"\r\n" if has_echo else b"\r\n"
        with suppress(OSError):
            os.write(self._master, typed + b"\n")


def _session(leader: int) -> list[int]:
    """The processes of its session (proc(5)); none where there is no /proc."""
    found = []
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{int(name)}/stat", "rb") as file:
                session = file.read().rpartition(b") ")[2].split()[3]
            if int(session) == leader:
                found.append(int(name))
    return found


def _reads(pid: int, names: set[str]) -> bool:
    with suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            number, descriptor = file.read().split()[:2]
        return number in _READ and os.readlink(f"/proc/{pid}/fd/{int(descriptor, 16)}") in names
    return False
