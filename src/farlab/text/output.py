"""Prints results and errors, as text or as JSON. Only this package prints; `progress` shows what a command waits for.

Rules: data goes to stdout, all else to stderr. With `--json` stdout holds exactly one document, `{"farlab": 1, …}`.
Text from a host is cleaned of control characters before it is printed; JSON escapes them instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import TextIO

from ..errors import Declined, FarlabError
from ..model import SessionStatus
from ..sanitize import clean, clean_line, clean_value
from .json_document import document, payload
from .messages import change_text, error_text, text
from .results import Lines, Script, Sessions
from .wrapping import wrapped


def show(result: object, *, as_json: bool = False) -> None:
    """Print what a command returned: notes to stderr, the rest to stdout."""
    if as_json:
        print_out(document(payload(result)))
        return
    for note in getattr(result, "notes", ()):
        print_err(wrapped(f"note: {clean_line(note)}", width_of(sys.stderr)))
    if isinstance(result, Lines):
        for line in result.lines:
            print_out(clean(line).rstrip("\n"))
    elif isinstance(result, Script):
        print_out(result.value)
    elif isinstance(result, Sessions) and result.sessions:
        from .table import table

        print_out(table(clean_value(result.sessions), width=width_of(sys.stdout), color=has_color(sys.stdout)))
    elif shown := text(clean_value(result)):
        print_out(wrapped(shown, width_of(sys.stdout)))


def follow(changes: Iterable[SessionStatus], *, as_json: bool = False) -> None:
    """Print a status and then each change of it: a line of text, or a document, for each."""
    for number, status in enumerate(changes):
        if as_json or not number:
            show(status, as_json=as_json)
        else:
            print_out(change_text(clean_value(status), time.strftime("%H:%M:%S")))


def fail(error: FarlabError, *, as_json: bool = False) -> None:
    """Print an error: text to stderr, JSON to stdout."""
    if as_json:
        print_out(document({"error": error.as_json()}, ok=False))
    else:
        print_err(error_text(_clean_error(error), color=has_color(sys.stderr), width=width_of(sys.stderr)))


def _clean_error(error: FarlabError) -> FarlabError:
    kind = Declined if isinstance(error, Declined) else FarlabError
    return kind(clean_line(error.message), detail=clean(error.detail), hint=clean_line(error.hint))


def print_out(line: str) -> None:
    """A line to stdout."""
    write(sys.stdout, line + "\n")


def print_err(line: str) -> None:
    """A line to stderr."""
    write(sys.stderr, line + "\n")


def write(stream: TextIO | None, text: str) -> None:
    """Write and flush. What cannot be written on stderr, on a full disk, is no reason to fail."""
    if stream is None:  # Python's own value for a descriptor that was closed before it started
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if stream is not sys.stderr or isinstance(error, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def has_color(stream: TextIO | None) -> bool:
    """Whether to print in colour: on a terminal, unless `NO_COLOR` is set (no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return wanted and stream is not None and stream.isatty()


def width_of(stream: TextIO | None) -> int | None:
    """The columns of a terminal; None if `stream` is none."""
    if stream is None:
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None
