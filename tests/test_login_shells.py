"""The line that a login shell is given to run our program: whatever the paths are called, it is read alike."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from farlab.host.shell_command import plain, step
from local import Local

SHELLS = [
    name for name in ("sh", "bash", "zsh", "dash", "fish", "tcsh", "csh", "ksh", "mksh", "ash") if shutil.which(name)
]
AWKWARD = ["a b$(touch x)", r"CORP\ann", "it's", 'say "hi"', "a;touch x", "a&b|c>d", "!!", "~", "*", "{a,b}", "é", "#x"]


def run(shell: str, words: list[str], cwd: Path, env: dict[str, str]) -> None:
    executable = shutil.which(shell)
    assert executable is not None
    named = ["-" + shell, *words]
    done = subprocess.run(
        named, executable=executable, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=60
    )
    assert done.returncode == 0, (named, done)


@pytest.mark.parametrize("interactive", [[], ["-i"]], ids=["plain", "interactive"])
@pytest.mark.parametrize("shell", SHELLS)
def test_every_login_shell_runs_the_launcher_with_paths_of_any_name(
    tmp_path: Path, shell: str, interactive: list[str]
) -> None:
    for number, name in enumerate(AWKWARD):
        home = tmp_path / str(number)
        python, runtime, said = home / name / "python", home / name / "run time", home / "said"
        runtime.mkdir(parents=True)
        python.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >>"$SAID"\n')
        python.chmod(0o755)
        env = {"PATH": os.defpath, "HOME": str(home), "SAID": str(said), "FARLAB_LAUNCH_PYTHON": plain(str(python))}
        env["FARLAB_LAUNCH_RUNTIME"] = plain(str(runtime))
        line = " && ".join((step("setup"), "exec " + step("launch")))
        run(shell, [*interactive, "-c", line], home, env)
        words = ["-I", "-S", f"{runtime}/farlab-anchor", "farlab.host.login_shell", "STEP", str(runtime)]
        expected = "".join(f"{word}\n" for word in words)
        assert said.read_text() == expected.replace("STEP", "setup") + expected.replace("STEP", "launch")
        made = {path.name for path in home.rglob("*")}
        assert "x" not in made, name


@pytest.mark.parametrize("shell", [name for name in SHELLS if name not in ("zsh", "fish", "tcsh", "csh")])
def test_a_host_that_takes_commands_apart_is_given_one_without_parts(tmp_path: Path, shell: str) -> None:
    """As an unquoted `ForceCommand $SSH_ORIGINAL_COMMAND` does in shells that split words."""
    local = Local(tmp_path)
    local.write_stub("ssh", f"#!{shutil.which(shell)}\n$1\n")
    ran = local.farlab("list", "--host", "box", "--json")
    assert (ran.code, ran.json["sessions"]) == (0, []), ran
