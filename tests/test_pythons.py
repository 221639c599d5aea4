"""What is shipped to hosts works under every Python from 3.6 on that this machine has."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
SOURCE = TESTS.parent / "src/farlab"
OLDEST, NEWEST = 6, 14
SECONDS = os.environ.get("FARLAB_SOAK", "1")


def version_of(python: Path) -> str | None:
    """`3.N` of a Python that runs, None for what does not."""
    asked = [python, "-Ic", "import sys; print('%d.%d' % sys.version_info[:2])"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return None
    return found.stdout.strip() if found.returncode == 0 else None


def candidates() -> list[Path]:
    """The running Python, then those on PATH, then those of pyenv."""
    names = [f"python3.{minor}" for minor in range(OLDEST, NEWEST + 1)] + ["python3"]
    paths = [
        sys.executable,
        *(shutil.which(name) for name in names),
        *(shutil.which(f"/usr/bin/{name}") for name in names),
    ]
    roots = {Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))}
    if shutil.which("pyenv"):
        asked = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False)
        roots.add(Path(asked.stdout.strip() or "."))
    return [Path(path) for path in paths if path] + [
        Path(path)
        for root in roots
        for path in glob.glob(f"{root}/versions/*/bin/python")  # nothing where we may not look
    ]


def pythons() -> dict[str, Path]:
    """One Python of each version that is here."""
    found: dict[str, Path] = {}
    for python in candidates():
        version = version_of(python)
        if version and re.fullmatch(r"3\.\d+", version) and int(version[2:]) >= OLDEST:
            found.setdefault(version, python)
    return dict(sorted(found.items(), key=lambda item: int(item[0][2:])))


PYTHONS = pythons()


def test_the_running_python_is_among_those_that_were_found() -> None:
    assert "{}.{}".format(*sys.version_info) in PYTHONS


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_the_line_holds_and_all_that_is_shipped_compiles(python: Path) -> None:
    check = [python, "-IS", TESTS / "host_selfcheck.py", SOURCE, TESTS, SECONDS]
    ran = subprocess.run(check, capture_output=True, text=True, timeout=100, check=False)
    assert ran.stderr == ""
    assert ran.returncode == 0
    assert re.fullmatch(r"\d+ modules, [1-9]\d* worlds, [1-9]\d* hostile inputs\n", ran.stdout)


@pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS.keys())
def test_the_line_imports_nothing_that_a_host_need_not_load(python: Path) -> None:
    """`typing` alone costs a fifth of what the rest does."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[2]); from host_selfcheck import prepare; prepare(*sys.argv[1:3]);"
        "import farlab.mux.mux; print([n for n in ('typing', 'asyncio', 'dataclasses') if n in sys.modules])"
    )
    ran = subprocess.run([python, "-ISc", code, SOURCE, TESTS], capture_output=True, text=True, check=False)
    assert (ran.stderr, ran.stdout) == ("", "[]\n")
