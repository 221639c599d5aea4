"""What is taken out of texts that came from elsewhere: whatever a terminal obeys, and whatever a reader cannot see."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.sanitize import clean, clean_line, shortened

OPENERS = [
    "\x9d", "\x90", "\x98", "\x9b", "\x9e", "\x9f", "\x1b", "\x1b]", "\x1b[", "\x1bP", "\x1bX", "\x1b^", "\x1b_",
    "\x9d0;", "\x90q", "\x9b0", "\x9b ", "\x1b[0;", "\x1b ", "\x1b(", "\x9d\x07", "\x90\x07", "\x9d\x1b", "\r",
    "\ud800", "\u200d", "\ufe0f", "\U000e0041", "\u202e", "a\u0301",
]  # fmt: skip
"""Each begins something, or is taken out."""
BODIES = ["", "0", ";", " ", "a", "\u00e9", "\x07"]
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b\u180e\u200b\u200c\u200d\u200e\u202e\u2028\u2060\u2064\u2066\u2800"
    "\u3164\ufe00\ufe0f\ufeff\uffa0\ufff0\ufff9\ufffb\U00013441\U00016fe4\U0001bca0\U0001d159\U0001d173\U0001d17a"
    "\U000e0001\U000e0020\U000e007f\U000e0100\U000e01ef"
)


@pytest.mark.parametrize(
    ("dirty", "washed"),
    [
        ("plain text, é, 日本, 🙂", "plain text, é, 日本, 🙂"),
        ("a\x1b[31;1mred\x1b[0m", "ared"),
        ("a\x1b]0;title\x07b\x1b]52;c;AAAA\x1b\\c", "abc"),
        ("a\x1bPq#0\x1b\\b\x1b_x\x1b\\c", "abc"),
        ("a\x1b(Bb\x1bcc\x1b7d", "abcd"),
        ("a\x9b31mb\x9d0;t\x9cc", "abc"),
        ("unfinished \x1b]0;title", "unfinished 0;title"),
        ("unfinished \x1b[31", "unfinished 31"),
        ("a\x00\x07\x08\x7f\x85\x90b", "ab"),
        ("rm\u202e\u2066\u200f\u061cfr", "rmfr"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("one\r\ntwo\rthree\tfour\n", "one\ntwo\nthree\tfour\n"),
        ("caf\udce9", "caf\ufffd"),
    ],
)
def test_what_moves_a_terminal_is_taken_out(dirty: str, washed: str) -> None:
    assert clean(dirty) == washed


@pytest.mark.parametrize("opener", OPENERS, ids=ascii)
def test_fifty_thousand_characters_are_washed_in_little_time_whatever_they_open(opener: str) -> None:
    for body in BODIES:
        began = time.process_time()
        clean((opener + body) * (50_000 // len(opener + body)))
        clean(opener + body * 50_000)
        assert time.process_time() - began < 5  # some hundredths; where each opener is a new start, minutes


@pytest.mark.parametrize("char", UNSEEN, ids=lambda char: f"U+{ord(char):04X}")
def test_what_a_reader_cannot_see_is_gone(char: str) -> None:
    assert clean(f"rm{char}x") == "rmx"


@pytest.mark.parametrize("text", ["é", "日本", "🙂", "ελληνικά", "हिन्दी", "العربية", "a\u0301", "█░", "→", "½", "“”"])
def test_what_users_write_stays(text: str) -> None:
    assert clean(text) == text


def test_an_emoji_of_several_parts_comes_apart() -> None:
    assert clean("👩\u200d🔬") == "👩🔬"


def test_what_is_no_character_is_shown_as_such() -> None:
    assert clean("caf\udce9 \uffff \U0010ffff \ue000") == "caf\ufffd \ufffd \ufffd \ufffd"
    assert clean("a\u00a0b\u3000c\u2003d") == "a b c d"


@given(st.text(max_size=80) | st.text(st.sampled_from("\x1b\x9b\x9d\x90]P[0;m\x07\\ a\n\t\r\u202e\u200d"), max_size=40))
def test_of_any_text_only_what_can_be_seen_is_left(text: str) -> None:
    washed = clean(text)
    assert all(char.isprintable() or char in "\n\t" for char in washed)
    assert not set(washed) & set(UNSEEN)
    assert not [char for char in washed if unicodedata.category(char) in ("Cc", "Cf", "Cs") and char not in "\n\t"]
    assert clean(washed) == washed
    assert not set(clean_line(text)) & set("\n\t")


def test_what_is_too_long_says_so() -> None:
    assert shortened("abcd", 4) == "abcd"
    assert shortened("abcde", 4) == "abc…"
