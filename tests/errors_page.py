"""`docs/errors.md` as the tests read it: the section of each error, and the messages that a section shows.

A message on the page is printed by the code, word for word: a test provokes the error for real and calls
`assert_shown` with what it got. Names stand for names (`gpu1` on the page is `alice` in a test), numbers for numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

PAGE = (Path(__file__).parents[1] / "docs/errors.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
SHOWN = {slug: re.findall(r"``error: (.*?) ?``", section) for slug, section in SECTIONS.items()}


def assert_shown(message: str, slug: str, which: int = 0, *, names: Mapping[str, str] = MappingProxyType({})) -> None:
    """Fail unless `message` is the section's message number `which`, with names in the place of the page's."""
    expected = SHOWN[slug][which]
    for ours, here in {**names, "gpu1": names.get("gpu1", "alice")}.items():
        expected = expected.replace(ours, here)
    assert _numberless(message) == _numberless(expected), f"docs/errors.md shows {expected!r}, printed is {message!r}"


def _numberless(text: str) -> str:
    return re.sub(r"\d+(\.\d+)*", "0", text)
