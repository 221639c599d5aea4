"""What the user's configuration makes of a host: one `ssh -G`, which connects to nothing and takes some 20 ms.

It is begun before it is needed, so that a keeper can load the rest of itself meanwhile. Rule: the process is waited
for, not the end of what it prints: a program of `Match exec` inherits its standard error, and may live for ever.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

from ...errors import FarlabError, TimedOut
from ...model import Target
from .. import programs
from . import options

TIMEOUT = 120.0
"""Seconds where nobody waits: what `Match exec` runs may be slow."""
_SLICE = 0.05
_MOST = 1 << 20
"""Bytes that are read of what it prints."""


class ConfigQuery:
    """An `ssh -G` on its way, in a process group of its own."""

    def __init__(self, target: Target, environ: Mapping[str, str]) -> None:
        """Raises where there is no `ssh`."""
        self._host = target.host
        argv = options.query_argv(target)
        self._out, self._told = b"", 0
        self._closing, self._is_closed = threading.Lock(), False
        try:
            self._err = _file()  # a pipe would end a program that keeps writing there
            self._process = programs.start(
                argv,
                environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._err,
                start_new_session=True,
            )
        except OSError as error:
            raise not_started(argv[0], error) from error
        assert self._process.stdout  # noqa: S101 - for mypy
        self._pipe = self._process.stdout
        os.set_blocking(self._pipe.fileno(), False)

    def has_ended(self, within: float) -> bool:
        """Whether it has, or does in so many seconds."""
        end = time.monotonic() + within
        poll = select.poll()
        poll.register(self._pipe, select.POLLIN)
        is_open = True
        while self._process.poll() is None:
            left = min(end - time.monotonic(), _SLICE)
            if left <= 0:
                return False
            if is_open and poll.poll(left * 1000):
                is_open = self._read()
            elif not is_open:
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(left)
        return True

    def answer(self, timeout: float) -> options.Resolved:
        """Wait for it. Raises what ssh's own words about the configuration mean, and TimedOut."""
        try:
            has_ended = self.has_ended(timeout)
            while has_ended and len(self._out) < _MOST and self._read():
                pass
            words = os.pread(self._err, _MOST, 0).decode("utf-8", "replace")
        finally:
            self.end()
        if not has_ended:
            raise _late(self._host, words, timeout)
        if self._process.returncode:
            from . import explain

            said = words if words.strip() else self._out.decode("utf-8", "replace")  # as some wrappers do
            raise explain.explain_query(said, self._process.returncode, self._host)
        return options.parse_resolved(self._out.decode("utf-8", "replace"), words)

    def new_words(self) -> bytes:
        """What it, and what it runs, have printed on standard error since the last call; from any thread."""
        with self._closing:
            words = b"" if self._is_closed else os.pread(self._err, _MOST, self._told)
        self._told += len(words)
        return words

    def end(self) -> None:
        """End it, if it has not ended, with what it runs."""
        if self._process.returncode is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1.0)
        self._pipe.close()
        with self._closing:
            self._is_closed = True
            os.close(self._err)

    def abandon(self) -> None:
        """Release those that wait for it."""
        if self._process.returncode is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _read(self) -> bool:
        """Read what there is; False where there is nothing, or the end."""
        try:
            data = os.read(self._pipe.fileno(), 1 << 16)
        except BlockingIOError:
            return False
        self._out = (self._out + data)[:_MOST]
        return bool(data)


def _file() -> int:
    """A file without a name. Raises OSError."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ssh-G")
    import tempfile

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _late(host: str, words: str, timeout: float) -> FarlabError:
    from . import explain

    hint = "a program in its configuration (`Match exec`) may hang: `{ssh -G -v HOST}` shows which"
    message = f"`ssh -G {host}` did not end within {timeout:.0f} s"
    return TimedOut(message, detail=explain.plain_end(words), hint=hint)


def not_started(program: str, error: OSError) -> FarlabError:
    """The error for an `ssh` that cannot be started. What explains it is loaded only where something is wrong."""
    from . import explain

    is_there = error.filename is not None and os.path.exists(error.filename)  # what its `#!` names is not
    return explain.no_program(program, error, is_there=is_there)
