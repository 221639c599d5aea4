"""The Pythons of this machine: a name, `3.N`, and where it is, from the oldest that hosts may have."""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

OLDEST, NEWEST = 6, 14


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
