"""Accounts as people have them: what `jupyter lab`, typed after `ssh HOST`, would start, `farlab connect HOST` starts.

Each file of `tests/accounts/` is one: the user whose shell it is, start-up files, options. Add yours.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for
from bed.base_image import SMALL_JUPYTER
from bed.processes import Process
from bed.users import USERS

ACCOUNTS = sorted((Path(__file__).parent / "accounts").glob("*.toml"))
ASKED = ["exec-zsh", "prompt-hook", "tty-s"]
SHELLS = ("bash", "rbash", "zsh", "fish", "ksh", "ksh93", "tcsh", "csh", "dash", "sh")
pytestmark = pytest.mark.usefixtures("small_jupyter")


@pytest.fixture(params=ACCOUNTS, ids=lambda path: path.stem)
def account(request: pytest.FixtureRequest, host: Host, bed: Bed) -> Iterator[dict[str, Any]]:
    """What the file says, laid out in the home of its user, on a host whose usual PATH has no Jupyter."""
    said = tomllib.loads(request.param.read_text())
    bed.fresh_home(said["user"])
    for name, text in said["files"].items():
        write(said["user"], host.home(said["user"]), name, text.replace("@LAB@", str(SMALL_JUPYTER)))
    if "before" in said:
        assert host.run(said["user"], ["sh", "-c", said["before"]]).returncode == 0
    with host.hide("jupyter*"):
        yield said
    if "after" in said:
        assert host.run(said["user"], ["sh", "-c", said["after"]]).returncode == 0
    bed.fresh_home(said["user"])


def test_what_works_in_a_terminal_works(account: dict[str, Any], laptop: Laptop, host: Host) -> None:
    user = account["user"]
    home = host.home(user)
    options = ["--dir", account["dir"]] if "dir" in account else []
    if "error" in account:
        _, error = steps.refused_connect(laptop, user, "--timeout", "8")
        assert (error["code"], account["detail"] in error["detail"]) == (account["error"], True), error
        assert host.run(user, ["sh", "-c", account.get("check", "true")]).returncode == 0
        return
    connected = steps.connect(
        laptop, user, *options, *(word for line in account.get("setup", ()) for word in ("--setup", line))
    )
    environ = host.run("root", ["cat", f"/proc/{connected['pid']}/environ"]).stdout.split("\0")
    names = {each.partition("=")[0]: each.partition("=")[2] for each in environ}
    assert not {"SSH_TTY", "TMUX", "FARLAB_LAUNCH_RUNTIME"} & set(names)
    assert names.get("HISTFILE") != "/dev/null"
    if "note" in account:
        notes = [note for note in connected["notes"] if "login node" in note]
        assert [account["note"] in note for note in notes] == ([True] if account["note"] else []), connected["notes"]
    assert connected["launcher"] == account.get("launcher", "tmux")
    assert terminal_of(host, connected["pid"]) == 0
    steps.terminate(laptop, user)
    kept = [each for each in home.rglob("*") if each.is_file() and ".local/state/farlab" not in str(each)]
    assert [each for each in kept if b"/launch" in each.read_bytes()] == []
    wait_for("the end", lambda: not [each for each in host.processes(user) if each.name in SHELLS or is_ours(each)])


@pytest.mark.parametrize("account", [path for path in ACCOUNTS if path.stem in ASKED], ids=ASKED, indirect=True)
def test_envs_finds_what_connect_finds(account: dict[str, Any], laptop: Laptop, host: Host) -> None:
    before = {it.key for it in host.processes(account["user"])}
    words = ["--dir", account["dir"]] if "dir" in account else []
    found = steps.done(laptop, "envs", account["user"], "--json", *words).json["environments"]
    assert [(each["path"], each["why"]) for each in found if each["used"]] == [
        (str(SMALL_JUPYTER), "your login shell finds it")
    ]
    wait_for("the end", lambda: not [it for it in host.processes(account["user"]) if it.key not in before])


def is_ours(process: Process) -> bool:
    return "farlab" in str(process.argv)


def terminal_of(host: Host, pid: int) -> int:
    """The number of the terminal that controls a process; 0: none (proc(5), `tty_nr`)."""
    return int(host.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[4])


def write(user: str, home: Path, name: str, text: str) -> None:
    """A file of the user's, below the home."""
    path, uid = home / name, USERS[user].uid
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755 if text.startswith("#!") else 0o644)
    for each in (path, *path.relative_to(home).parents):
        os.chown(home / each, uid, uid)
