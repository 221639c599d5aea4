"""This very machine in place of the bed, for tests whose subject is neither `ssh` nor a host: needs no root, no sshd.

A home of its own, and every host is a stub program (`stub_ssh`), reached by `transport/command` in place of `ssh`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect

from bed.laptop import Ran
from farlab.transport.choose import COMMAND


class Local:
    """What a test of `Laptop` needs, without one."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self._host = directory / "host"
        for each in (self.home, directory / "run"):
            each.mkdir(mode=0o700)
        kept = {name: os.environ[name] for name in ("FARLAB_TEST",) if name in os.environ}
        self.env = {
            "HOME": str(self.home), "XDG_RUNTIME_DIR": f"{directory}/run", "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8", "TERM": "xterm", COMMAND: json.dumps([str(self._host)]), **kept,
        }  # fmt: skip

    def write_stub(self, name: str, script: str) -> None:
        """Make every host this program, which is given the command for the login shell."""
        self._host.write_text(script)
        self._host.chmod(0o755)

    def farlab_argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "farlab", *words]

    def run(self, *argv: str, timeout: float = 60.0) -> Ran:
        began = time.monotonic()
        ran = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=self.env,
            cwd=self.home,
            start_new_session=True,
        )
        return Ran(argv=argv, code=ran.returncode, out=ran.stdout, err=ran.stderr, seconds=time.monotonic() - began)

    def farlab(self, *words: str, timeout: float = 60.0, env: dict[str, str] | None = None, tty: bool = False) -> Ran:
        argv = self.farlab_argv(*words)
        if not tty:
            return self.run(*argv, timeout=timeout)
        began = time.monotonic()
        terminal = pexpect.spawn(argv[0], argv[1:], timeout=timeout, env=self.env, cwd=self.home, encoding="utf-8")
        terminal.expect(pexpect.EOF)
        terminal.close()
        shown = terminal.before or ""
        return Ran(argv=tuple(argv), code=terminal.exitstatus or 0, out=shown, err="", seconds=time.monotonic() - began)
