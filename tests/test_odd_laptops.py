"""Oddities of a laptop: a full disk, Python that warns, a directory not to be written, an `ssh` that is a script."""

from __future__ import annotations

import pytest

import keeper_files
import steps
from bed import Laptop

pytestmark = pytest.mark.usefixtures("small_jupyter")

WRAPPER = 'echo "$*" >>~/wrapped\nexec /usr/bin/ssh "$@"\n'


def test_everything_works_where_python_warns_and_a_wrapper_without_an_interpreter_is_ssh(laptop: Laptop) -> None:
    laptop.write_stub("ssh", WRAPPER)
    env = {"PYTHONDEVMODE": "1", "PYTHONWARNINGS": "error"}
    for words in (("connect", "alice", "--no-browser"), ("list",), ("status", "alice"), ("terminate", "alice", "-y")):
        ran = laptop.farlab(*words, env=env, timeout=steps.PATIENCE)
        assert ran.code == 0, ran
        assert "Warning" not in ran.err + ran.out, ran
        assert "Exception" not in ran.err, ran
        if words[0] == "connect":
            log = next(keeper_files.state(laptop).glob("*.log")).read_text()
            assert "Warning" not in log, log
            assert "Traceback" not in log, log
    assert "-G" in (laptop.home / "wrapped").read_text()


def test_what_a_wrapper_says_is_told_wherever_it_says_it(laptop: Laptop) -> None:
    for stream in (1, 2):
        laptop.write_stub("ssh", f"#!/bin/sh\necho 'the VPN is down: run vpn-up' >&{stream}\nexit 1\n")
        _, error = steps.refused(laptop, "list", "--host", "alice")
        assert error["message"].endswith("before any login: the VPN is down: run vpn-up"), error


def test_an_ssh_whose_interpreter_is_missing_is_not_passed_over(laptop: Laptop) -> None:
    program = laptop.write_stub("ssh", "#!/nonexistent/python3\n")
    _, error = steps.refused(laptop, "connect", "alice", "--no-browser")
    assert error["message"] == f"`{program}` on this machine cannot be started", error
    _, error = steps.refused(laptop, "list", "--host", "alice")
    assert error["message"] == f"`{program}` on this machine cannot be started", error


def test_a_full_disk_and_a_runtime_directory_that_is_not_writable_are_told_or_passed_by(laptop: Laptop) -> None:
    run = laptop.home / "run"
    laptop.run("sh", "-c", f"mkdir -m 500 {run}")
    env = {"XDG_RUNTIME_DIR": str(run)}
    for words in ("connect alice --no-browser --json", "list", "list --json", "status alice", "--version", "--help"):
        ran = laptop.run("sh", "-c", f"farlab {words} >/dev/full", env=env, timeout=steps.PATIENCE)
        assert ran.code == 1, ran
        assert ran.err.endswith("error: cannot write to the standard output: No space left on device\n"), ran
        assert "Traceback" not in ran.err, ran
        assert "bug" not in ran.err, ran
    ran = laptop.run("sh", "-c", "farlab connect alice --no-browser --json 2>/dev/full", env=env)
    assert ran.code == 0, ran
    assert not list(run.iterdir())
    steps.terminate(laptop, "alice")
    laptop.run("chmod", "700", str(run))
