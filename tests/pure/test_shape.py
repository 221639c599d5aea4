"""The shape every file must have, as far as the import linter and ruff cannot see it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src/farlab"
CORE = (
    *("model.py", "errors.py", "config.py", "text/messages.py", "sanitize.py", "advice.py"),
    *("keeper/states.py", "keeper/policy.py", "keeper/failure_detector.py"),
    *("transport/ssh/options.py", "transport/ssh/explain.py", "transport/ssh/rules.py"),
    *("mux/frames.py", "mux/streams.py", "mux/mux.py", "protocol/records.py"),
)
"""What must be there and pure. So must whatever else says of itself that it is."""
WORLD = {"os", "time", "socket", "subprocess", "asyncio", "select", "selectors", "threading"}
LONGEST_MODULE, LONGEST_FUNCTION = 400, 40
NOT_IN_3_6 = {
    "dataclasses",
    "contextvars",
    "importlib.resources",
    "importlib.metadata",
    "graphlib",
    "zoneinfo",
    "tomllib",
}
HOST_SIDE = ("host", "mux", "protocol")
"""Packages that run on the host."""

files = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(REPOSITORY)))
        for top in ("src", "tests", "bench", "scripts")
        for path in sorted((REPOSITORY / top).rglob("*.py"))
    ],
)


def imported(tree: ast.AST) -> Iterator[str]:
    """Every absolute module name that is imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def too_long(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                yield f"{node.name} ({lines} lines)"


@files
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE
    assert list(too_long(ast.parse(text))) == []


def says_it_is_pure(path: Path) -> bool:
    words = ast.get_docstring(ast.parse(path.read_text())) or ""
    return re.search(r"\bpure\b", words, re.IGNORECASE) is not None


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(SOURCE)))
        for path in sorted({SOURCE / name for name in CORE} | set(filter(says_it_is_pure, SOURCE.rglob("*.py"))))
    ],
)
def test_the_pure_core_imports_nothing_that_touches_the_world(path: Path) -> None:
    touched = {module.partition(".")[0] for module in imported(ast.parse(path.read_text()))} & WORLD
    assert touched == set()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=str(path.relative_to(SOURCE)))
        for package in HOST_SIDE
        for path in sorted((SOURCE / package).rglob("*.py"))
    ],
)
def test_what_runs_on_the_host_is_python_3_6(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    modules = set(imported(tree))
    assert modules & NOT_IN_3_6 == set()
    assert "annotations" not in {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }


def test_no_two_files_of_tests_have_one_name() -> None:
    """pytest imports them by their names alone, and a whole run would leave out the second one."""
    names = Counter(path.name for path in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [name for name, times in names.items() if times > 1] == []


@files
def test_no_program_is_run_through_a_shell(path: Path) -> None:
    shells = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "shell"
        if isinstance(node.value, ast.Constant) and node.value.value is True
    ]
    assert shells == []
