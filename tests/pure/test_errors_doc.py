"""`docs/errors.md` has one section for each error, no more and no less, and says what a person needs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from farlab.errors import FarlabError, every_error

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
SOURCE = Path(__file__).parents[2] / "src/farlab"
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


# the messages are those that the code prints ---------------------------------------------------------------

SHOWN = {slug: re.findall(r"\*\*Looks like\*\*: ``error: (.*?) ?``", section) for slug, section in SECTIONS.items()}
LEAST = 10
"""Letters that a template must have of its own: else it would stand for anything."""


def templates(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Every text in a file with its places open, as a pattern, and the errors that its function or call names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        is_rule = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_rule"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_rule:
            named = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            said = {each.value for each in ast.walk(node) if isinstance(each, ast.Constant)}
            slugs = {error.slug for error in every_error() if error.__name__ in named or error.slug in said}
            yield from ((pattern, slugs) for pattern in map(pattern_of, ast.walk(node)) if pattern)


def pattern_of(node: ast.AST) -> str:
    """What a text or an f-string can become, with `%s`, `{name}` and the places of an f-string open; "" for others."""
    if isinstance(node, ast.JoinedStr):
        parts = [each.value if isinstance(each, ast.Constant) else "\0" for each in node.values]
    else:
        parts = [node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""]
    text = re.sub(r"\{\w+\}|%[sdg]", "\0", "".join(map(str, parts)))
    own = len(re.findall(r"[a-z]", text))
    return re.escape(text).replace(re.escape("\0"), ".+") if own >= LEAST or text == "interrupted" else ""


PRINTED = [each for path in sorted(SOURCE.rglob("*.py")) for each in templates(path)]


@pytest.mark.parametrize("slug", SECTIONS)
def test_what_an_error_looks_like_is_what_the_code_prints(slug: str) -> None:
    """The template stands where an error of that name is made; what comes from a host has the host before it."""
    for message in SHOWN[slug]:
        plain = re.sub(r"^\w+: ", "", message)
        assert any(slug in slugs and re.fullmatch(pattern, plain) for pattern, slugs in PRINTED), message


def test_every_error_that_the_code_makes_is_shown() -> None:
    made = {
        slug
        for path in SOURCE.rglob("*.py")
        if path.name != "errors.py"
        for _, slugs in templates(path)
        for slug in slugs
    }
    assert {slug for slug, messages in SHOWN.items() if messages} == made
