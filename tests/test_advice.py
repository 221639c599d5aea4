"""What farlab says to type is typed as it stands, and touches the session it was said of and no other."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import steps
import stub_ssh
from bed import Host, Laptop, wait_for
from bed.laptop import Ran

pytestmark = pytest.mark.usefixtures("small_jupyter")

ALIAS = "demo"


def file_for(laptop: Laptop, user: str, name: str) -> Path:
    """An `ssh_config` of its own in which one and the same alias leads to that user."""
    file = laptop.home / name
    text = (laptop.home / ".ssh/config").read_text()
    file.write_text(f"Host {ALIAS}\n  User {user}\n  HostName login\n  HostKeyAlias login\n{text}")
    return file


def typed(laptop: Laptop, command: str) -> Ran:
    """Type that very text in a shell; nothing asks."""
    yes = " --yes" if command.startswith("farlab terminate") else " --no-browser" if " connect " in command else ""
    ran = laptop.run("sh", "-c", command + yes, timeout=steps.PATIENCE)
    assert ran.code == 0, ran
    return ran


def advised(text: str, verb: str) -> str:
    """The command of that verb which a text advises."""
    [found] = re.findall(rf"`(farlab {verb} [^`]*)`", text)
    return found


def sessions(laptop: Laptop) -> dict[tuple[str, str], str]:
    """The state of each session known here, by file and name."""
    listed = steps.done(laptop, "list", "--json").json["sessions"]
    return {(Path(each["ssh_config"] or "").name, each["name"]): each["state"] for each in listed}


SECOND = (ALIAS, "--name", "second", "-F", "bob's file")
ALICE, BOB, BOBS_SECOND = ("alice's file", "main"), ("bob's file", "main"), ("bob's file", "second")


@pytest.fixture
def printed(laptop: Laptop) -> Iterator[dict[tuple[str, str], str]]:
    """Three sessions behind one alias, by two files; what was printed when each was connected."""
    for user in ("alice", "bob"):
        file_for(laptop, user, f"{user}'s file")
    said = {}
    for file, name in (ALICE, BOB, BOBS_SECOND):
        said[file, name] = steps.done(laptop, "connect", ALIAS, "--name", name, "-F", file, "--no-browser").out
    yield said
    for file, name in sessions(laptop):
        steps.terminate(laptop, ALIAS, "--name", name, "-F", file)


@pytest.mark.jupyter
def test_what_is_printed_is_typed_and_touches_its_own_session_alone(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host, printed: dict[tuple[str, str], str]
) -> None:
    assert sessions(laptop) == dict.fromkeys([ALICE, BOB, BOBS_SECOND], "up")
    see_the_file(laptop)
    come_back(laptop)
    have_another_beside_it(laptop, new_laptop())
    see_it_hang(laptop, host)
    typed(laptop, advised(printed[BOBS_SECOND], "terminate"))
    assert sessions(laptop) == dict.fromkeys([ALICE, BOB], "up")
    typed(laptop, advised(printed[BOB], "terminate"))
    assert sessions(laptop) == {ALICE: "up"}


def see_the_file(laptop: Laptop) -> None:
    """`status` and `list` show what belongs to a session's identity."""
    file = f"{laptop.home}/bob's file"
    assert f"ssh-config  {file}\n" in steps.done(laptop, "status", *SECOND).out
    assert steps.done(laptop, "list").out.count(file) == 2
    on_host = steps.done(laptop, "list", "--host", ALIAS, "-F", "bob's file", "--json").json["sessions"]
    assert {(each["name"], each["ssh_config"]) for each in on_host} == {("main", file), ("second", file)}


def come_back(laptop: Laptop) -> None:
    """`disconnect` and `open` say how to have this very session again."""
    pid = steps.status(laptop, *SECOND)["pid"]
    said = steps.done(laptop, "disconnect", *SECOND).out
    assert "is still running" in said
    typed(laptop, advised(said, "connect"))
    assert steps.status(laptop, *SECOND)["pid"] == pid


def have_another_beside_it(laptop: Laptop, other: Laptop) -> None:
    """Another directory is had under a name that is free here and, where a laptop cannot know it, on the host."""
    file = file_for(other, "bob", "cfg")
    [note] = steps.connect(laptop, *SECOND, "--dir", "/tmp")["notes"]
    typed(laptop, advised(note, "connect"))
    assert sessions(laptop) == dict.fromkeys([ALICE, BOB, BOBS_SECOND, ("bob's file", "tmp")], "up")
    assert steps.status(laptop, ALIAS, "--name", "tmp", "-F", "bob's file")["dir"] == "/tmp"
    [note] = steps.connect(other, ALIAS, "-F", file.name, "--dir", "/tmp")["notes"]
    assert shlex.split(advised(note, "connect"))[3:] == ["-F", str(file), "--name", "tmp-2", "--dir", "/tmp"]
    steps.done(other, "disconnect", ALIAS, "-F", file.name)
    steps.terminate(laptop, ALIAS, "--name", "tmp", "-F", "bob's file")


def see_it_hang(laptop: Laptop, host: Host) -> None:
    """A server that hangs is first waited for and looked at."""
    servers = [each for each in host.processes("bob") if "farlab.host.run_jupyter" in each.argv]
    [server] = [each for each in servers if any(word.endswith("/second") for word in each.argv)]
    with steps.frozen([server]):
        wait_for("the keeper to know", lambda: "does not answer" in steps.status(laptop, *SECOND)["reason"], timeout=60)
        hint = steps.refused(laptop, "connect", *SECOND)[1]["hint"]
    assert hint.index("wait") < hint.index("farlab logs") < hint.index("farlab terminate")
    assert "[I " in typed(laptop, advised(hint, "logs")).out
    for verb in ("logs", "terminate"):
        assert advised(hint, verb).endswith(f" --name second -F {shlex.quote(str(laptop.home / SECOND[-1]))}")


def test_in_an_outage_the_page_the_log_and_connect_are_about_that_very_session(laptop: Laptop, host: Host) -> None:
    """And a session that was seen is told apart from one that nobody knows of."""
    file = file_for(laptop, "alice", "cfg")
    words = (ALIAS, "--name", "second", "-F", "cfg")
    told = f"farlab connect {ALIAS} --name second -F {file}"
    connected = steps.connect(laptop, *words)
    with host.without_logins():
        host.ends_connections()
        wait_for("the outage", lambda: steps.status(laptop, *words)["state"] == "down")
        error = steps.refused(laptop, "connect", *words)[1]
        assert error["code"] == "unreachable"
        assert re.search(r"the session was last seen .* ago, and farlab keeps trying to reach it$", error["hint"])
        assert f"`ssh -v -F {file} {ALIAS}`" in error["hint"] or f"`ssh -F {file} -v {ALIAS}`" in error["hint"]
        assert f"<code>{told}</code>" in wait_for("the page", lambda: page_of(laptop, connected["port"]), timeout=60)
        never = steps.refused(laptop, "connect", ALIAS, "--name", "third", "-F", "cfg")[1]["hint"]
        assert "was heard" not in never
    wait_for("the end of the outage", lambda: steps.status(laptop, *words)["state"] == "up", timeout=60)
    (laptop.home / ".ssh/id_ed25519").rename(laptop.home / "key")
    steps.kill(next(each for each in steps.links(laptop) if "-T" in each.argv))
    wait_for("the need of a user", lambda: steps.status(laptop, *words)["state"] == "blocked", timeout=60)
    assert f"run `{told}` in a terminal" in steps.done(laptop, "logs", *words, "--keeper").out
    assert f"`{told}`" in steps.done(laptop, "status", *words).out
    (laptop.home / "key").rename(laptop.home / ".ssh/id_ed25519")
    steps.terminate(laptop, *words)


def page_of(laptop: Laptop, port: int) -> str:
    shown = steps.page(laptop, port)
    return shown if "Cannot reach" in shown else ""


def test_a_session_that_nobody_reached_is_not_said_to_go_on(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "wait()")
    waiting = laptop.popen(*laptop.farlab_argv("connect", "alice", "--name", "second", "--no-browser"))
    wait_for("its keeper", lambda: steps.keepers(laptop) and known(laptop))
    said = steps.done(laptop, "disconnect", "alice", "--name", "second").out
    assert "still running" not in said
    assert "never reached session `second` on `alice` (to see whether it runs: `farlab list --host alice`)" in said
    assert waiting.wait(steps.PATIENCE) == 130
    steps.wait_until_nothing_runs(laptop)


def known(laptop: Laptop) -> bool:
    return laptop.farlab("status", "alice", "--name", "second").code == 0


def test_the_python_api_finds_a_session_by_its_file(laptop: Laptop, host: Host) -> None:
    source = f"""
import farlab
session = farlab.connect("{ALIAS}", name="second", ssh_config="cfg")
print(farlab.status("{ALIAS}", name="second", ssh_config="cfg").state)
try:
    farlab.status("{ALIAS}", name="second")
except farlab.FarlabError as error:
    print(error.slug)
print(farlab.disconnect("{ALIAS}", name="second", ssh_config="~/cfg").running)
print(farlab.terminate("{ALIAS}", name="second", ssh_config="cfg").was_running)
"""
    file_for(laptop, "alice", "cfg")
    ran = laptop.run(laptop.farlab_argv()[0], "-c", source, timeout=steps.PATIENCE)
    assert ran.out.split() == ["up", "no-session", "True", "True"], ran


@pytest.mark.parametrize("configured", ["FARLAB_NAME", "config.toml"])
def test_a_name_that_is_configured_is_not_left_out(configured: str, laptop: Laptop) -> None:
    """`farlab connect gpu1` means another session there than the one that is spoken of."""
    stub_ssh.write(laptop, "complain('x@h: Permission denied (publickey).'); sys.exit(255)")
    environment: dict[str, str] = {}
    if configured == "FARLAB_NAME":
        environment["FARLAB_NAME"] = "second"
    else:
        file = laptop.home / ".config/farlab/config.toml"
        file.parent.mkdir(parents=True)
        file.write_text('[host.alice]\nname = "second"\n')
    hints: Any = [
        steps.refused(laptop, "connect", "alice", *words, env=environment)[1]["hint"]
        for words in (("--name", "main"), (), ("--name", "third"))
    ]
    assert ["farlab connect alice --name main`" in hints[0], "farlab connect alice`" in hints[1]] == [True, True]
    assert "farlab connect alice --name third`" in hints[2]
    steps.wait_until_nothing_runs(laptop)
