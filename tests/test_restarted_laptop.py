"""A laptop that was shut down: its keepers are gone, its tabs are not. The next command connects them again."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

import steps
from bed import Host, Laptop, wait_for
from keeper_files import known, state
from test_faults_laptop import dialled

pytestmark = pytest.mark.usefixtures("small_jupyter")


def shut_down(laptop: Laptop) -> None:
    """Its keepers are killed, and what they wrote is of another boot."""
    for keeper in steps.keepers(laptop):
        steps.kill(keeper)
    wait_for("the end of ssh", lambda: not dialled(laptop), timeout=60)
    for file in state(laptop).glob("*.json"):
        record = json.loads(file.read_text())
        if record["connected_in"]:
            record["connected_in"] = record["connected_in"].partition(" ")[0] + " another-boot"
        file.write_text(json.dumps(record))


@pytest.mark.parametrize("words", [("list",), ("status", "alice"), ("connect", "zoe", "--no-browser")])
def test_the_next_command_connects_again_what_was_connected(laptop: Laptop, words: tuple[str, ...]) -> None:
    first = steps.connect(laptop, "alice")
    shut_down(laptop)
    steps.done(laptop, *words, "--json")
    wait_for("the session", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=60)
    assert steps.answers(laptop, first)
    assert known(steps.connect(laptop, "alice")) == known(first)
    for host in {"alice", *words} & {"alice", "zoe"}:
        steps.terminate(laptop, host)


def test_what_a_user_disconnected_stays_so(laptop: Laptop) -> None:
    first = steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    shut_down(laptop)
    [row] = steps.done(laptop, "list", "--json").json["sessions"]
    assert row["state"] == "no-keeper"
    assert not steps.keepers(laptop)
    assert row["url"] == first["url"].partition("?")[0]  # the bookmark's
    assert row["dir"] == "/home/alice"
    steps.terminate(laptop, "alice")


def test_a_keeper_that_was_killed_in_this_boot_is_not_started(laptop: Laptop) -> None:
    steps.connect(laptop, "alice")
    [keeper] = steps.keepers(laptop)
    steps.kill(keeper)
    assert steps.status(laptop, "alice")["state"] == "no-keeper"
    assert not steps.keepers(laptop)
    steps.connect(laptop, "alice")
    steps.terminate(laptop, "alice")


def test_a_session_that_is_gone_is_not_started_again(laptop: Laptop, new_laptop: Callable[..., Laptop]) -> None:
    """Only a user starts one."""
    steps.connect(laptop, "alice")
    shut_down(laptop)
    other = new_laptop()
    steps.terminate(other, "alice")
    steps.done(laptop, "list")
    wait_for("its end", lambda: steps.status(laptop, "alice")["state"] == "ended", timeout=60)
    assert steps.done(other, "list", "alice", "--json").json["sessions"] == []
    steps.done(laptop, "terminate", "alice", "--yes")


def test_a_login_that_needs_its_user_waits_for_them(laptop: Laptop, host: Host) -> None:
    child = laptop.spawn_farlab("connect", "pia", "--no-browser")
    child.expect("password:", timeout=60)
    child.sendline("letmein")
    child.expect("to stop it", timeout=60)
    child.close()
    shut_down(laptop)
    steps.done(laptop, "list")
    wait_for("a refusal", lambda: steps.status(laptop, "pia")["state"] == "blocked", timeout=60)
    child = laptop.spawn_farlab("terminate", "pia")
    child.expect("password:", timeout=60)
    child.sendline("letmein")
    child.expect("terminated", timeout=60)
    child.close()
