"""What people do without farlab, each as its user would, none slowed: by hand, by the recipe, and a plain `ssh -L`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from host import HERE, Host
from reach import free_port, until_answers

QUIET = subprocess.DEVNULL


def by_hand(host: Host, alias: str) -> float:
    """Seconds until the address answers: one `ssh -L` that runs `jupyter lab`. Ends it afterwards."""
    local, remote = free_port(), free_port()
    command = f"bash -lic 'jupyter lab --no-browser --port={remote}'"
    argv = host.ssh(alias, "-L", f"127.0.0.1:{local}:127.0.0.1:{remote}", command=command)
    start = time.perf_counter()
    process = subprocess.Popen(argv, stdin=QUIET, stdout=QUIET, stderr=QUIET, env=host.local_env())
    try:
        until_answers(local)
        return time.perf_counter() - start
    finally:
        host.sweep()
        process.terminate()
        process.wait()


def by_recipe(host: Host, alias: str) -> float:
    """Seconds until the address answers: paramiko, port finder, tmux, `ssh -N -L`. Ends it afterwards."""
    port = host.aliases[alias]
    argv = [sys.executable, str(HERE / "recipe.py"), str(port), host.user, str(host.key), str(host.config), alias]
    start = time.perf_counter()
    done = subprocess.Popen(argv, stdin=QUIET, stdout=subprocess.PIPE, env=host.local_env())
    assert done.stdout is not None
    local, tunnel = (int(word) for word in done.stdout.readline().split())
    try:
        until_answers(local)
        return time.perf_counter() - start
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(tunnel, signal.SIGTERM)
        done.communicate()
        host.sweep()


@contextlib.contextmanager
def forward(host: Host, alias: str, socket: Path, *, path: str = "/api") -> Iterator[int]:
    """A plain `ssh -N -L PORT:SOCKET`, the port of which answers."""
    port = free_port()
    argv = host.ssh(alias, "-N", "-L", f"127.0.0.1:{port}:{socket}")
    with subprocess.Popen(argv, stdin=QUIET, stdout=QUIET, stderr=QUIET, env=host.local_env()) as process:
        try:
            until_answers(port, path=path)
            yield port
        finally:
            process.terminate()
