"""The command line as a process: words in; status, stdout and stderr out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

Outcome = subprocess.CompletedProcess[str]


def run_farlab(home: Path, *words: str, **environ: str) -> Outcome:
    """Run `farlab WORDS`, without a terminal, in that home and an environment of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FARLAB_")}
    kept |= {"FARLAB_TEST": os.environ["FARLAB_TEST"], "HOME": str(home), "SHELL": "/bin/sh"}
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        kept.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "farlab", *words],
        env=kept | environ,
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        start_new_session=True,
        check=False,
    )
