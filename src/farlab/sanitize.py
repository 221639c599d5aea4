"""Removes what could move a terminal or mislead a reader from texts that come from elsewhere. Pure.

Rule: a character goes or stays by what it is (Unicode's category, and whether it is visible), not by a list of attacks,
and the time is linear in the length, whatever the text. Joiners go too: an emoji of several parts comes apart, and
some Persian or Indic letters stand unjoined.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import TypeVar

T = TypeVar("T")

_SEQUENCE = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x80-\x9f]*+(?:\x07|\x1b\\|\x9c)"  # OSC, which can set titles and the clipboard
    r"|(?:\x1b[PX^_]|[\x90\x98\x9e\x9f])[^\x1b\x80-\x9f]*+(?:\x1b\\|\x9c)"  # DCS, SOS, PM, APC
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*+[0-~]"  # the short ones
)
"""ECMA-48, and what xterm makes of it. No sequence reaches over the beginning of another, and none is tried twice."""
_BLANK = (
    (0x034F, 0x034F),  # COMBINING GRAPHEME JOINER
    (0x115F, 0x1160),  # HANGUL fillers
    (0x17B4, 0x17B5),  # KHMER VOWEL INHERENT
    (0x180B, 0x180F),  # MONGOLIAN variation selectors
    (0x2800, 0x2800),  # BRAILLE PATTERN BLANK
    (0x3164, 0x3164),  # HANGUL FILLER
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # HALFWIDTH HANGUL FILLER
    (0xFFF0, 0xFFF8),  # not assigned, and ignored where nobody knows them
    (0x13441, 0x13442),  # EGYPTIAN HIEROGLYPH blanks
    (0x16FE4, 0x16FE4),  # KHITAN SMALL SCRIPT FILLER
    (0x1D159, 0x1D159),  # MUSICAL SYMBOL NULL NOTEHEAD
    (0xE0000, 0xE0FFF),  # tags, variation selectors, and the same
)
"""Unicode's Default_Ignorable_Code_Point (DerivedCoreProperties.txt) beyond category Cf, and glyphs that are empty."""
_GONE = frozenset({"Cc", "Cf", "Zl", "Zp"})
"""Categories that a terminal obeys or hides: controls, formats, line separators."""
_UNKNOWN = frozenset({"Cs", "Cn", "Co"})
"""Surrogates, unassigned, private use: replaced by U+FFFD."""


def clean(text: str) -> str:
    """`text` without control sequences and invisible characters. Newlines and tabs stay."""
    text = _SEQUENCE.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    return text.translate({ord(char): _instead_of(char) for char in set(text) if char not in "\n\t"})


def clean_line(text: str) -> str:
    """`clean`, and on one line."""
    return " ".join(clean(text).split("\n")).replace("\t", " ")


def shortened(text: str, most: int) -> str:
    """`text` cut to at most so many characters; then the last is `…`."""
    return text if len(text) <= most else text[: most - 1] + "…"


def clean_value(value: T) -> T:
    """`value` with `clean_line` applied to every text in it, however deep."""
    return _clean_value(value)  # type: ignore[return-value]  # same type out as in, which no checker can follow here


def _clean_value(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Enum):
        return clean_line(value)
    if isinstance(value, tuple):
        return tuple(_clean_value(item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _clean_value(getattr(value, field.name)) for field in fields(value)})
    return value


def _instead_of(char: str) -> str:
    category = unicodedata.category(char)
    if category in _GONE or any(low <= ord(char) <= high for low, high in _BLANK):
        return ""
    if category in _UNKNOWN:
        return "\ufffd"
    return " " if category == "Zs" else char
