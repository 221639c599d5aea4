"""The line on stderr that shows what a command is waiting for."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from ..model import SAID, Progress
from ..sanitize import clean_line
from .messages import progress_text
from .output import width_of, write

FIRST_WORD = 0.3
"""Seconds after which a terminal shows something."""
_LONGEST_START = 60.0
"""Seconds; a process that is older did not start for this command."""


class ProgressLine:
    """Shows on stderr what a command is waiting for.

    On a terminal: one line, drawn `FIRST_WORD` after this process started (or `began`, monotonic), wiped at the end.
    It says `first` until there is more to say. In a pipe, or with `verbose`: one plain line per stage.
    """

    def __init__(
        self,
        who: str,
        *,
        verbose: bool = False,
        stream: TextIO | None = None,
        began: float | None = None,
        first: str = "",
    ) -> None:
        self._who = clean_line(who)
        self._stream = sys.stderr if stream is None else stream
        self._is_live = (
            not verbose
            and self._stream is not None
            and self._stream.isatty()
            and os.environ.get("TERM", "dumb") != "dumb"
        )
        self._began = process_start() if began is None else began
        self._stage: tuple[str, float] | None = (first, self._began) if first and self._is_live else None
        self._drawn = ""
        self._is_paused = False
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        if self._stage:
            self._start()

    def report(self, progress: Progress) -> None:
        """The command now waits for this; the same text again is not a new stage. What `ssh` says stands above it."""
        if progress.stage == SAID:
            with self._lock:
                self._wipe()
                write(self._stream, f"  | {clean_line(progress.text)}\n")
            return
        is_new = self.stage(clean_line(progress.text), time.monotonic())
        if is_new and not self._is_live:
            write(self._stream, f"{self._who}: {clean_line(progress.text)}\n")
        elif is_new and self._thread is None:
            self._start()

    def stage(self, what: str, now: float) -> bool:
        """The command waits for `what` since `now` (monotonic). False if it did so before."""
        with self._lock:
            if self._stage is not None and self._stage[0] == what:
                return False
            self._stage = (what, now)
            return True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wipe the line, and keep it away during a question."""
        with self._lock:
            self._is_paused = True
            self._wipe()
        try:
            yield
        finally:
            self._is_paused = False

    def close(self) -> None:
        """Wipe the line for good."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()
        self._wipe()

    def draw(self, now: float) -> None:
        """Draw the line as it is at `now` (monotonic)."""
        with self._lock:
            if self._stage is not None and not self._is_paused and now - self._began >= FIRST_WORD:
                what, since = self._stage
                line = progress_text(self._who, what, now - since, width_of(self._stream))
                if line != self._drawn:
                    write(self._stream, f"\r\x1b[K{line}")
                self._drawn = line

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._draw_until_done, daemon=True)
        self._thread.start()

    def _draw_until_done(self) -> None:
        pause = max(self._began + FIRST_WORD - time.monotonic(), 0.0)
        while not self._done.wait(pause):
            self.draw(time.monotonic())
            pause = 0.25

    def _wipe(self) -> None:
        if self._drawn:
            write(self._stream, "\r\x1b[K")
            self._drawn = ""


def process_start() -> float:
    """When this process started, monotonic: what Python and imports took counts, too. Now, where no system tells."""
    now = time.monotonic()
    try:
        ticks = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[19])  # proc_pid_stat(5): starttime
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return now
    return now - age if 0 <= age < _LONGEST_START else now
