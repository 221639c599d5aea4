"""Words that are no commands, hosts that nobody knows, no host at all: what was meant is done, or named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from cli_process import run_farlab
from farlab import saved
from farlab.model import Target

UNDERSTOOD = [
    (("help",), 0, "stop the session on the host"),
    (("help", "logs"), 0, "Print the log of the server"),
    (("version",), 0, "farlab 0.1.0"),
    (("ls",), 0, "fit"),
    (("ps",), 0, "gpu1"),
    (("gpu2",), 4, "`gpu2`"),  # a host of ssh_config: connects
    (("start", "gpu2"), 4, "`gpu2`"),
    (("run", "gpu2"), 4, "`gpu2`"),
    (("up", "gpu2"), 4, "`gpu2`"),
    (("ada@gpu2",), 4, "`ssh -G ada@gpu2`"),
    (("ada@gpv2",), 4, "did you mean `farlab connect ada@gpu2`?"),
    (("list", "gpu2"), 4, "`gpu2`"),
    (("kill", "gpu2"), 4, "`gpu2`"),
    (("rm", "gpu2"), 4, "`gpu2`"),
    (("down", "gpu2"), 4, "`gpu2`"),
    (("end", "gpu2"), 4, "`gpu2`"),
    (("conect", "gpu1"), 2, "hint: did you mean `farlab connect gpu1`?\n"),
    (("kil", "gpu1", "--yes"), 2, "did you mean `farlab terminate gpu1 --yes`?"),
    (("gpv2",), 2, "did you mean `farlab connect gpu2`?"),
    (("connect", "gpv2"), 4, "did you mean `farlab connect gpu2`?"),
    (("list", "gpv2"), 4, "did you mean `farlab list gpu2`?"),
    (("terminate", "gpv2", "--name", "x"), 4, "did you mean `farlab terminate gpu2 --name x`?"),
    (("terminate", "fit"), 4, "`fit` is a session on `gpu1`: `farlab terminate gpu1 --name fit`"),
    (("status", "fit"), 3, "`fit` is a session on `gpu1`: `farlab status gpu1 --name fit`"),
    (("status", "gpu1"), 3, "`fit` is a session on `gpu1`: `farlab status gpu1 --name fit`"),
    (("status",), 0, "session `fit` on `gpu1`: not connected"),
    (("disconnect",), 3, "session `fit` on `gpu1` is not connected"),
    (("status", "--name", "other"), 3, "no session `other` on `gpu1` is known"),
    (("connect", "--timeout", "20"), 4, "`gpu1`"),
]


@pytest.mark.parametrize(("words", "code", "said"), UNDERSTOOD, ids=[" ".join(words) for words, *_ in UNDERSTOOD])
def test_what_was_meant_is_done_or_named(tmp_path: Path, words: tuple[str, ...], code: int, said: str) -> None:
    """With one session known here, and two hosts in `ssh_config` whose names nobody resolves."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "config").write_text("Host gpu1 gpu2\n")
    remember(tmp_path, Target(host="gpu1", name="fit"))
    outcome = run_farlab(tmp_path, *words)
    assert outcome.returncode == code, outcome
    assert said in outcome.stdout + outcome.stderr, outcome


@pytest.mark.parametrize("verb", ["terminate", "logs", "connect", "status"])
def test_a_host_of_another_ssh_config_is_named_with_its_file(tmp_path: Path, verb: str) -> None:
    """As of Vagrant, where each machine is `default` in a file of its own."""
    (tmp_path / "a").write_text("Host default\n")
    remember(tmp_path, Target(host="default", ssh_config=str(tmp_path / "a")))
    outcome = run_farlab(tmp_path, verb, "default")
    assert outcome.returncode in (3, 4), outcome
    assert f"`main` is a session on `default`: `farlab {verb} default -F {tmp_path}/a`" in outcome.stderr, outcome


def test_of_several_sessions_none_is_the_default(tmp_path: Path) -> None:
    for name in ("main", "fit"):
        remember(tmp_path, Target(host="gpu1", name=name))
    outcome = run_farlab(tmp_path, "terminate")
    assert outcome.returncode == 2
    assert "give one, as after `ssh` (`gpu1` …)" in outcome.stderr


@pytest.mark.parametrize("words", ["connect", "terminate", "list", "logs"])
def test_a_terminal_sees_the_first_word_while_nothing_answers(tmp_path: Path, words: str) -> None:
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir(parents=True)
    ssh.write_text("#!/bin/sh\ncase $* in *-G*) echo hostname gpu1;; *) exec sleep 60;; esac\n")
    ssh.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": f"{ssh.parent}:{os.environ['PATH']}", "TERM": "xterm"}
    environ["FARLAB_TEST"] = os.environ["FARLAB_TEST"]
    child = pexpect.spawn(sys.executable, ["-m", "farlab", words, "gpu1"], env=environ, timeout=20)
    child.expect_exact("gpu1: connecting …".encode())
    child.sendintr()
    child.expect(pexpect.EOF)
    child.wait()  # `close` would end it by a signal
    assert child.exitstatus == 130, (child.signalstatus, child.before)


def remember(home: Path, target: Target) -> None:
    """Have a session known in that home, without a keeper."""
    directory = home / ".local/state/farlab/@keepers"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = directory / f"{saved.key_of(target)}.json"
    file.touch(0o600)
    remembered = {"host": target.host, "name": target.name, "port": 8899, "ssh_config": target.ssh_config}
    file.write_text(json.dumps(remembered))


def test_ctrl_c_while_a_module_makes_dataclasses_ends_with_130(tmp_path: Path) -> None:
    """CPython remembers that it came while a text was executed, and would end `python -m` by the signal."""
    (tmp_path / "interrupted.py").write_text(
        "import sys; from farlab import cli; from farlab.text import output\n"
        "cli.Farlab.make_context = lambda *args, **kwargs: exec('raise KeyboardInterrupt')\n"
        "cli.main(['list'])  # whatever is imported for the first time makes it forget that\n"
        "sys.exit(cli.main(['list']))"
    )
    argv = [sys.executable, "-m", "interrupted"]
    ran = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (130, 2 * "error: interrupted\n")
