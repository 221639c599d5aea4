"""A session as the user's own login shell gives it: directory, environment, tmux; for every kind of shell."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from address import Address, session
from bed import USERS, Host, Laptop

TALKATIVE = ("alice", "bob", "zoe", "finn", "dan", "tess", "sam", "tim", "cora", "rita", "lena", "reed")
"""People whose rc files print, change directory, take a second, read standard input, become tmux."""
NOT_THE_SHELLS = re.compile(
    r"_|SHLVL|OLDPWD|PWD|LS_COLORS|SSH_.*|TERM|TERM_PROGRAM.*|COLUMNS|LINES"  # of the place, not of the user
    r"|JPY_.*|JUPYTER_RUNTIME_DIR|PYDEVD_.*|CLICOLOR.*|FORCE_COLOR|.*PAGER|MPLBACKEND"  # Jupyter's and the kernel's own
)


def environment(address: Address) -> dict[str, str]:
    """What a kernel's process was started with."""
    with address.kernel() as kernel:
        printed = kernel.run("print(open('/proc/self/environ').read())")
    return dict(line.split("=", 1) for line in printed.strip().split("\0") if "=" in line)


def users(environment: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not NOT_THE_SHELLS.fullmatch(name)}


def own_login(laptop: Laptop, user: str) -> dict[str, str]:
    """The environment that this user's interactive login shell gives to a program, asked without farlab."""
    shell = USERS[user].shell
    inner = "python3 -I -S -c 'import os,json; print(chr(1) + json.dumps(dict(os.environ)) + chr(1))'"
    become = f"import os; os.execv({shell!r}, [{'-' + shell.rpartition('/')[2]!r}, '-i', '-c', {inner!r}])"
    # TMUX: what it says where rc files see that a tmux is there already
    words = shlex.join(["env", "TMUX=x,0,0", "python3", "-I", "-S", "-c", become])
    ran = laptop.ssh(user, "sh -c " + shlex.quote(words + " </dev/null"))
    found = json.loads(ran.out.split("\1")[1])
    found.pop("TMUX")
    return dict(found)


@pytest.mark.parametrize("user", TALKATIVE)
def test_whatever_the_login_shell_does_the_session_runs_in_tmux_in_the_home_with_its_environment(
    laptop: Laptop, host: Host, user: str
) -> None:
    with session(laptop, user) as address:
        connected = address.connected
        assert (connected["launcher"], connected["transport"]) == ("tmux", "unix")
        assert connected["dir"] == USERS[user].home_path
        assert connected["app"] == "lab"
        assert re.match(r"farlab-main: 1 windows", host.run(user, ["tmux", "ls"]).stdout)
        shown = host.run(user, ["tmux", "capture-pane", "-p", "-t", "farlab-main"]).stdout
        assert "farlab session `main`" in shown
        assert "JupyterLab 4" in shown
        assert users(environment(address)) == users(own_login(laptop, user))
    assert host.run(user, ["tmux", "ls"]).returncode


def test_two_sessions_of_one_host_are_independent(laptop: Laptop, host: Host) -> None:
    long_name = "a-name-of-32-characters-which-is"
    with session(laptop, "alice", "--name", long_name) as first:
        with session(laptop, "alice") as second:
            assert first.connected["pid"] != second.connected["pid"]
            assert first.token != second.token
            assert first.port != second.port
            listed = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
            assert {(each["name"], each["state"]) for each in listed} == {("main", "up"), (long_name, "up")}
        with first.kernel() as kernel:
            assert kernel.run("print(6 * 7)") == "42\n"
