"""What is shipped to hosts works under every Python from 3.6 on that this machine has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from farlab.transport import bootstrap
from pythons import PYTHONS

TESTS = Path(__file__).resolve().parent
SOURCE = TESTS.parent / "src/farlab"
OLDEST, NEWEST = 6, 14
SECONDS = os.environ.get("FARLAB_SOAK", "1")


def test_the_running_python_is_among_those_that_were_found() -> None:
    assert "{}.{}".format(*sys.version_info) in PYTHONS


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_the_mux_holds_and_all_that_is_shipped_compiles(python: Path) -> None:
    check = [python, "-IS", TESTS / "host_selfcheck.py", SOURCE, TESTS, SECONDS]
    ran = subprocess.run(check, capture_output=True, text=True, timeout=100, check=False)
    assert ran.stderr == ""
    assert ran.returncode == 0
    assert re.fullmatch(r"\d+ modules, [1-9]\d* worlds, [1-9]\d* hostile inputs\n", ran.stdout)


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_the_mux_imports_nothing_that_a_host_need_not_load(python: Path) -> None:
    """`typing` alone costs a fifth of what the rest does."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from host_selfcheck import prepare; prepare(*sys.argv[1:3]);"
        "import farlab.mux.mux; print([n for n in ('typing', 'asyncio', 'dataclasses') if n in sys.modules])"
    )
    ran = subprocess.run([python, "-ISc", code, SOURCE, TESTS], capture_output=True, text=True, check=False)
    assert (ran.stderr, ran.stdout) == ("", "[]\n")


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_a_python_without_parts_of_its_library_is_passed_over(python: Path) -> None:
    for hide, status in (("", 0), ("sys.path.clear(); ", 1)):
        code = "import sys; " + hide + bootstrap.CHECK
        assert subprocess.run([python, "-ISc", code, *bootstrap.NEEDED.split()], check=False).returncode == status
