"""Breaks lines at spaces, for a terminal that would break them anywhere. Pure.

Rule: what stands in backticks is not broken, so that a command can be copied as it stands, and another program's own
words (`  | …`) are left alone.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"(\s*)((?:`[^`]*`|\S)+)")
_FOREIGN = "  | "


def wrapped(text: str, width: int | None) -> str:
    """`text` with no line longer than `width`, if its words allow; None: as it is."""
    return text if width is None else "\n".join(_wrapped(line, width) for line in text.split("\n"))


def _wrapped(line: str, width: int) -> str:
    if len(line) <= width or line.startswith(_FOREIGN):
        return line
    lines, indent = [""], " " * _indent(line)
    for space, word in _WORD.findall(line):
        if lines[-1].strip() and len(lines[-1]) + len(space) + len(word) > width:
            lines.append(indent + word)
        else:
            lines[-1] += space + word
    return "\n".join(lines)


def _indent(line: str) -> int:
    """Where the line goes on: below the second column of two, else below its beginning."""
    found = re.match(r"( *)(\S+ ?\S+ {2,}|\S+ {2,})?", line)
    assert found is not None  # noqa: S101 - it matches anything
    return found.end() if found[2] else len(found[1])
