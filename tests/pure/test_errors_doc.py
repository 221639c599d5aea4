"""`docs/errors.md` has one section for each error, no more and no less, and says what a person needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from farlab.errors import FarlabError, every_error

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))


def test_every_error_has_its_section_in_the_order_of_the_table() -> None:
    assert list(SECTIONS) == [error.slug for error in every_error()]
    assert PAGE.count("\n## ") == len(SECTIONS)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.slug)
def test_a_section_says_status_when_looks_and_what_to_do(error: type[FarlabError]) -> None:
    section = SECTIONS[error.slug]
    assert re.findall(r"Exit status (\d+)", section) == [str(error.exit_status)]
    for part in ("\n- **When**: ", "\n- **Looks like**: ", "\n- **What to do**: "):
        assert section.count(part) == 1


def test_the_table_lists_every_exit_status() -> None:
    listed = {int(status) for status in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert listed == {0} | {error.exit_status for error in every_error()}


def test_no_message_is_shouted() -> None:
    for line in re.findall(r"\*\*Looks like\*\*: ``(error: .*?) ?``", PAGE):
        assert not line.endswith((".", "!"))
