"""What is packed for the host: it means what the sources mean, it fits, and any shell can read it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from farlab.host import ensure
from farlab.mux import frames
from farlab.transport import bootstrap

SOURCE = Path(bootstrap.__file__).parents[1]
PARTS = tuple(
    getattr(bootstrap, name) for name in ("LOADER", "AGENT", "ENSURE", "COMMANDS", "LOGS", "LISTING", "ANCHOR")
)
PACKED = sorted({name for part in PARTS for name in part})
FIRST_WINDOW = 10 * 1460
"""Bytes TCP sends before the first acknowledgement (RFC 6928)."""


def meaning(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not is_for_readers(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def is_for_readers(node: ast.AST) -> bool:
    """A docstring, or what mypy alone reads."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.Assign | ast.If) and ast.unparse(node).startswith(("MYPY =", "if MYPY:")))


@pytest.mark.parametrize("module", PACKED)
def test_a_packed_module_means_what_its_source_means(module: str) -> None:
    source = (SOURCE / f"{module.replace('.', '/')}.py").read_text()
    assert meaning(bootstrap.source_of(module)) == meaning(source)


def test_every_module_of_the_host_is_packed() -> None:
    paths = [
        path.relative_to(SOURCE).with_suffix("") for name in ("host", "mux") for path in (SOURCE / name).rglob("*.py")
    ]
    found = {".".join(path.parts) for path in paths}
    travelling = {name for name in PACKED if not name.startswith("protocol.")}
    assert {name for name in found if not name.endswith("__init__")} == {*travelling, "mux.loop"}  # for types alone


def test_the_command_line_fits_every_server_and_the_agent_with_it_the_first_window() -> None:
    """dropbear takes no string above 9,000 bytes."""
    command = len(bootstrap.command("0" * 16))
    assert command < 3000
    assert command + len(bootstrap.agent("ensure")) < 12_600 < FIRST_WINDOW
    assert command + len(bootstrap.agent("list")) < 13_600 < FIRST_WINDOW


def test_the_command_line_is_safe_in_every_login_shell() -> None:
    command = bootstrap.command("0" * 16)
    begin = "exec sh -c '"
    assert command.startswith(begin)
    assert command.endswith("'")
    assert not set("'!\\\n\r") & set(command[len(begin) : -1])


def test_the_agent_asks_for_the_mux_that_the_laptop_speaks() -> None:
    """It has no `frames` with it, which would tell."""
    assert ensure.MUX == frames.VERSION
