"""The pages are in step with the code: what they name is there, what is there they name, and links lead somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src/farlab"
ARCHITECTURE = (REPOSITORY / "docs/architecture.md").read_text("utf-8")
MODULES = sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py"))
PAGES = sorted(
    path for place in ("*.md", "docs/**/*.md", "bench/*.md", "tests/*.md") for path in REPOSITORY.glob(place)
)
CITED = re.compile(r"`([a-z_]+)\.([A-Za-z_]+(?:\.[a-z_]+)?)`")
NOT_CODE = {"farlab.host", "config.toml", "record.json", "anchor.sock", "server.sock"}
pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(REPOSITORY)) for page in PAGES])


def defined(tree: ast.Module) -> Iterator[str]:
    """What a module defines: names, and methods as `Class.method`."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            members = (each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
            yield from (f"{node.name}.{each.name}" for each in members)


def names_of(stem: str) -> set[str]:
    """What the modules of that name define; a package is its `__init__`."""
    paths = [*SOURCE.rglob(f"{stem}.py"), *SOURCE.glob(f"{stem}/__init__.py")]
    return {name for path in paths for name in defined(ast.parse(path.read_text("utf-8")))}


def without_code(page: Path) -> str:
    """A page's text without blocks of code, in which a bracket is not a link."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_the_architecture_names_every_module_in_its_room() -> None:
    rows = re.findall(r"^\| `(farlab|[a-z/]+)/` \| (.*) \|$", ARCHITECTURE, re.MULTILINE)
    named = {name.replace("farlab", "."): set(re.findall(r"`(\w+\.py)`", row)) for name, row in rows}
    rooms: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        if path.read_text("utf-8"):
            rooms.setdefault(str(path.parent.relative_to(SOURCE)), set()).add(path.name)
    assert named == rooms


def test_every_module_that_the_architecture_names_is_there() -> None:
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)`", ARCHITECTURE))
    assert named - set(MODULES) == set()


def test_every_function_that_the_architecture_names_is_there() -> None:
    cited = {found.groups() for found in CITED.finditer(ARCHITECTURE) if found[0].strip("`") not in NOT_CODE}
    cited = {(stem, name) for stem, name in cited if name != "py"}
    assert len(cited) > 5
    assert {f"{stem}.{name}" for stem, name in cited if name not in names_of(stem)} == set()


def script(name: str) -> Any:
    """A module of `scripts/`."""
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / f"scripts/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_states_are_drawn_from_their_table() -> None:
    assert script("draw_states").drawn(ARCHITECTURE) == ARCHITECTURE, "run scripts/draw_states.py"


def test_the_hosts_are_those_that_are_tried() -> None:
    page = (REPOSITORY / "docs/hosts.md").read_text("utf-8")
    assert script("draw_hosts").drawn() == page, "run scripts/draw_hosts.py"


@pages
def test_a_page_is_in_plain_current_english(page: Path) -> None:
    prose = re.sub(r"``.*?``|`[^`]*`", "", without_code(page))
    assert re.findall(r"unless given|[wW]hoever|befall|goes on|cannot be had|every verb|the person\b", prose) == []


@pages
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path), target


def test_the_readme_links_every_page() -> None:
    linked = set(re.findall(r"\]\(([^)\s#]+)\)", without_code(REPOSITORY / "README.md")))
    wanted = {str(page.relative_to(REPOSITORY)) for page in PAGES if page.parent == REPOSITORY / "docs"}
    assert wanted - linked == set()


def test_the_index_of_decisions_lists_each() -> None:
    directory = REPOSITORY / "docs/decisions"
    linked = set(re.findall(r"\]\((\w[\w-]*\.md)\)", (directory / "README.md").read_text("utf-8")))
    assert linked == {path.name for path in directory.glob("*.md")} - {"README.md"}


def test_the_changelog_tells_of_this_version() -> None:
    version = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
    assert version in (REPOSITORY / "CHANGELOG.md").read_text("utf-8")


def test_what_the_readme_shows_of_python_compiles() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "README.md").read_text("utf-8"), re.M | re.S)
    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")


def test_what_the_pages_show_of_the_configuration_is_accepted() -> None:
    from farlab.config import parse

    for page in ("README.md", "docs/configuration.md"):
        blocks = re.findall(r"^```toml\n(.*?)^```", (REPOSITORY / page).read_text("utf-8"), re.M | re.S)
        assert blocks
        for block in blocks:
            parse(block, page)


def test_every_situation_of_a_laptop_names_its_test_or_says_that_it_has_none() -> None:
    page = (REPOSITORY / "docs/reliability.md").read_text("utf-8")
    [table] = re.findall(r"^\| situation \|.*\n\|[-|]+\n((?:\|.*\n)+)", page, re.MULTILINE)
    rows = [line.strip("|").split(" | ") for line in table.splitlines()]
    assert len(rows) > 30
    assert [row for row in rows if len(row) != 4 or not re.search(r"`test_\w+\.py|by hand", row[3])] == []


def test_every_test_that_a_page_cites_is_there() -> None:
    for page in PAGES:
        for file, name in re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", page.read_text("utf-8")):
            found = [*(REPOSITORY / "tests").rglob(file)]
            assert found, f"{page.name}: {file}"
            assert not name or f"def {name}(" in found[0].read_text("utf-8"), f"{page.name}: {file}::{name}"
