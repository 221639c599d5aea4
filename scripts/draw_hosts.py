#!/usr/bin/env python3
"""Write `docs/hosts.md`, the hosts and accounts that are tried, from the tests that try them.

    .venv/bin/python scripts/draw_hosts.py

A test holds that the page is in step.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/hosts.md"
TESTS = (
    "login_shells",
    "session_pythons",
    "environments",
    "known_environments",
    "session_config",
    "kernel_kinds",
    "nodes",
)
HEAD = """# Hosts and accounts

What each run of `scripts/test` tries, on a real `sshd` with real shells. `scripts/draw_hosts.py` writes this page from
the tests; a line that does not hold fails the run.

## Accounts

Each is a file in `tests/accounts/` with the start-up files of a user. [Add yours](../tests/README.md). "starts" means:
what `jupyter lab`, typed after `ssh HOST`, would start, `farlab connect HOST` starts.

| account | farlab |
|---|---|
"""


def accounts() -> str:
    """A row for each file of `tests/accounts/`."""
    rows = []
    for path in sorted((ROOT / "tests/accounts").glob("*.toml")):
        said = tomllib.loads(path.read_text("utf-8"))
        error = (
            f"[`{said['error']}`](errors.md#{said['error']}), with what the start-up file says"
            if "error" in said
            else ""
        )
        note = f'starts, and notes: "{said["note"]} …"' if said.get("note") else ""
        words = [f"--dir {said['dir']}"] if "dir" in said else []
        words += [f"--setup {line}" for line in said.get("setup", ())]
        options = f" (`{' '.join(words)}`)" if words else ""
        rows.append(f"| {said['what']}{options} | {error or note or 'starts'} |\n")
    return "".join(rows)


def tested(name: str) -> str:
    """What the tests of one file hold."""
    tree = ast.parse((ROOT / f"tests/test_{name}.py").read_text("utf-8"))
    title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    lines = "".join(f"- {each.removeprefix('test_').replace('_', ' ')}\n" for each in found)
    return f"\n## `tests/test_{name}.py`\n\n{title}:\n\n{lines}"


def drawn() -> str:
    """The whole page."""
    return HEAD + accounts() + "".join(map(tested, TESTS))


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
