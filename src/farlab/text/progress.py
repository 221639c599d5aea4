"""The line on stderr that shows what a command is waiting for."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from ..model import SAID, Progress
from ..sanitize import clean_line
from .messages import progress_text
from .output import width_of, write


class ProgressLine:
    """Shows on stderr what a command is waiting for.

    On a terminal: one line, redrawn from the first second on and wiped at the end.
    In a pipe, or with `verbose`: one plain line per stage.
    """

    def __init__(
        self, who: str, *, verbose: bool = False, stream: TextIO | None = None, began: float | None = None
    ) -> None:
        self._who = clean_line(who)
        self._stream = sys.stderr if stream is None else stream
        self._is_live = (
            not verbose
            and self._stream is not None
            and self._stream.isatty()
            and os.environ.get("TERM", "dumb") != "dumb"
        )
        self._began = time.monotonic() if began is None else began
        self._stage: tuple[str, float] | None = None
        self._drawn = ""
        self._is_paused = False
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

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
            self._thread = threading.Thread(target=self._draw_until_done, daemon=True)
            self._thread.start()

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
            if self._stage is not None and not self._is_paused and now - self._began >= 1.0:
                what, since = self._stage
                line = progress_text(self._who, what, now - since, width_of(self._stream))
                if line != self._drawn:
                    write(self._stream, f"\r\x1b[K{line}")
                self._drawn = line

    def _draw_until_done(self) -> None:
        while not self._done.wait(0.25):
            self.draw(time.monotonic())

    def _wipe(self) -> None:
        if self._drawn:
            write(self._stream, "\r\x1b[K")
            self._drawn = ""
