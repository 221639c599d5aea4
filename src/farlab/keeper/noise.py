"""What is said of programs that print into a link. Pure."""

from __future__ import annotations

import re

_PLAIN = re.compile(rb"[A-Za-z0-9 ,.:;!?()%/_-]{4,60}")
"""Of what was printed: no backtick or quote, which could look like something to type."""


def words(host: str, sample: bytes) -> str:
    """What the person is told, with a taste of what was printed, where it is text."""
    found = _PLAIN.search(sample)
    taste = f' ("{found[0].decode().strip()}")' if found else ""
    return (
        f"a start-up file on `{host}`, such as `~/.bashrc`, starts a background program that prints into the "
        f"connection{taste}. Nothing is lost, but it costs time: append `>/dev/null 2>&1` to that line"
    )
