"""Results, errors and waiting, as text or as JSON. The only module that prints.

Rules: data goes to stdout, all else to stderr. With `--json` stdout holds exactly one document, `{"farlab": 1, …}`.
What came from a host is washed of control characters before it is put into a text; JSON escapes them instead.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import singledispatch
from typing import Literal, TextIO

from ..errors import FarlabError
from ..model import Connected, Disconnected, Progress, SessionStatus, Terminated
from ..sanitize import clean, clean_line, clean_value
from .messages import change_text, error_text, progress_text, session_cells, text, without_token
from .results import Address, Command, Done, Lines, Opened, Script, Sessions

VERSION = 1
"""Of the JSON documents. Additions do not change it."""

# --- the streams -----------------------------------------------------------------------------------------------------


def show(result: object, *, as_json: bool = False) -> None:
    """Print what a verb returned: notes to stderr, the rest to stdout."""
    if as_json:
        out(document(payload(result)))
        return
    for note in getattr(result, "notes", ()):
        say(f"note: {clean_line(note)}")
    if isinstance(result, Lines):
        for line in result.lines:
            out(clean(line).rstrip("\n"))
    elif isinstance(result, Script):
        out(result.value)
    elif isinstance(result, Sessions) and result.sessions:
        out(table(clean_value(result.sessions), width=_width(sys.stdout), color=has_color(sys.stdout)))
    elif shown := text(clean_value(result)):
        out(shown)


def follow(changes: Iterable[SessionStatus], *, as_json: bool = False) -> None:
    """Print a status and then each change of it: a line of text, or a document, for each."""
    for number, status in enumerate(changes):
        if as_json or not number:
            show(status, as_json=as_json)
        else:
            out(change_text(clean_value(status), time.strftime("%H:%M:%S")))


def fail(error: FarlabError, *, as_json: bool = False) -> None:
    """Print an error: text to stderr, JSON to stdout."""
    if as_json:
        out(document({"error": error.as_json()}, ok=False))
    else:
        say(error_text(_washed_error(error), color=has_color(sys.stderr)))


def _washed_error(error: FarlabError) -> FarlabError:
    return FarlabError(clean_line(error.message), detail=clean(error.detail), hint=clean_line(error.hint))


def out(line: str) -> None:
    """A line to stdout."""
    _write(sys.stdout, line + "\n")


def say(line: str) -> None:
    """A line to stderr."""
    _write(sys.stderr, line + "\n")


def _write(stream: TextIO | None, text: str) -> None:
    if stream is not None:  # Python's own value for a descriptor that was closed before it started
        stream.write(text)
        stream.flush()


def has_color(stream: TextIO | None) -> bool:
    """Whether `stream` is a terminal that is wanted in colour. See no-color.org."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return wanted and stream is not None and stream.isatty()


HEADINGS = ("host", "session", "state", "for", "heard", "carried", "outages", "address", "ssh-config", "directory")
ROOMY = frozenset({"for", "heard", "carried", "outages"})
"""Columns that a narrow terminal leaves out."""
SELDOM = frozenset({"ssh-config"})
"""Columns that are there only where a session has something in them."""
_GAP = 2


def table(sessions: tuple[SessionStatus, ...], *, width: int | None = None, color: bool = False) -> str:
    """The sessions as a table.

    In `width` columns the directory gives way, then those of `ROOMY` stay away; the rest never does.
    """
    from io import StringIO

    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [session_cells(session) for session in sessions]
    columns = [(heading, [row[heading] for row in rows]) for heading in HEADINGS]
    columns = [(heading, cells) for heading, cells in columns if heading not in SELDOM or set(cells) != {"-"}]
    widest = {heading: max(map(cell_len, (heading, *cells))) for heading, cells in columns}
    widest["directory"] = len("directory")
    is_roomy = width is None or sum(widest.values()) + _GAP * (len(columns) - 1) <= width
    shown = [(heading, cells) for heading, cells in columns if is_roomy or heading not in ROOMY]
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for heading, _ in shown:
        grid.add_column(heading, min_width=widest[heading], no_wrap=heading != "directory")
    for cells in zip(*(cells for _, cells in shown), strict=True):
        grid.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    page = StringIO()
    colors: Literal["standard"] | None = "standard" if color else None
    least = sum(widest[heading] for heading, _ in shown) + _GAP * (len(shown) - 1)
    whole = least + max(cell_len(cell) for cell in shown[-1][1])
    room = max(width or whole, least)
    Console(file=page, width=room, force_terminal=color, color_system=colors).print(grid)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


# --- JSON ------------------------------------------------------------------------------------------------------------


def document(content: Mapping[str, object], *, ok: bool = True) -> str:
    """One JSON document on one line, all ASCII: nothing in it can move a terminal."""
    import json

    whole = {"farlab": VERSION, "ok": ok, **content}
    try:
        return json.dumps(whole, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(whole), allow_nan=False)


def _finite(value: object) -> object:
    """`value` with null for each number that JSON cannot say."""
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@singledispatch
def payload(result: object) -> Mapping[str, object]:
    """The keys that a result adds to its document."""
    raise TypeError(type(result).__name__)


@payload.register
def _(result: Connected) -> Mapping[str, object]:
    return _without(_renamed(asdict(result)), "open_url", "ssh_config")


@payload.register
def _(result: SessionStatus) -> Mapping[str, object]:
    return {**_renamed(asdict(result)), "url": without_token(result.url)}


@payload.register
def _(result: Sessions) -> Mapping[str, object]:
    return {"sessions": [payload(session) for session in result.sessions]}


@payload.register
def _(result: Lines) -> Mapping[str, object]:
    return {"lines": list(result.lines)}


@payload.register
def _(result: Script) -> Mapping[str, object]:
    return {result.key: result.value}


@payload.register(Address | Command | Opened | Terminated | Disconnected | Done)
def _(result: Address | Command | Opened | Terminated | Disconnected | Done) -> Mapping[str, object]:
    return asdict(result)


def _renamed(content: dict[str, object]) -> dict[str, object]:
    return {("dir" if key == "directory" else key): value for key, value in content.items()}


def _without(content: dict[str, object], *keys: str) -> dict[str, object]:
    return {name: value for name, value in content.items() if name not in keys}


# --- waiting ---------------------------------------------------------------------------------------------------------


class ProgressLine:
    """Shows on stderr what is being waited for.

    On a terminal one line that is drawn again and again, from the first second on, and wiped at the end.
    In a pipe, or with `verbose`, one plain line for each stage.
    """

    def __init__(
        self, who: str, *, verbose: bool = False, stream: TextIO | None = None, began: float | None = None
    ) -> None:
        self._who = clean_line(who)
        self._stream = sys.stderr if stream is None else stream
        self._is_live = not verbose and self._stream is not None and self._stream.isatty() and _can_move()
        self._began = time.monotonic() if began is None else began
        self._stage: tuple[str, float] | None = None
        self._drawn = ""
        self._is_paused = False
        self._lock = threading.RLock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def tell(self, progress: Progress) -> None:
        """What is being waited for now; the same words again begin no new stage."""
        is_new = self.stage(clean_line(progress.text), time.monotonic())
        if is_new and not self._is_live:
            _write(self._stream, f"{self._who}: {clean_line(progress.text)}\n")
        elif is_new and self._thread is None:
            self._thread = threading.Thread(target=self._draw_until_done, daemon=True)
            self._thread.start()

    def stage(self, what: str, now: float) -> bool:
        """`what` is waited for since `now` (monotonic); False if it was already."""
        with self._lock:
            if self._stage is not None and self._stage[0] == what:
                return False
            self._stage = (what, now)
            return True

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The line is wiped and stays away, for a question."""
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
                line = progress_text(self._who, what, now - since, _width(self._stream))
                if line != self._drawn:
                    _write(self._stream, f"\r\x1b[K{line}")
                self._drawn = line

    def _draw_until_done(self) -> None:
        while not self._done.wait(0.25):
            self.draw(time.monotonic())

    def _wipe(self) -> None:
        if self._drawn:
            _write(self._stream, "\r\x1b[K")
            self._drawn = ""


def _can_move() -> bool:
    return os.environ.get("TERM", "dumb") != "dumb"


def _width(stream: TextIO | None) -> int | None:
    """The columns of a terminal; None for what is none."""
    if stream is None:
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
