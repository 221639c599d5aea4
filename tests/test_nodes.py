"""Machines that share a home, as a cluster's nodes do: each has its own sessions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import steps
from bed import Bed, Laptop, processes, wait_for
from keeper_files import known
from test_faults_laptop import dialled


@pytest.fixture(autouse=True)
def small(bed: Bed) -> Iterator[None]:
    """`alice` is on login, `node1` and `node2` are alice on those; all share the home."""
    with bed.login.small_jupyter(), bed.node1.small_jupyter():
        yield
        bed.restore()


def lead(laptop: Laptop, host: str) -> None:
    """From now on the alias `cluster` leads to that host."""
    config = laptop.home / ".ssh/config"
    text = config.read_text().partition("Host cluster\n")[0]
    way = "  ProxyJump bastion\n" if host == "node1" else ""
    config.write_text(f"{text}Host cluster\n  HostName {host}\n{way}  HostKeyAlias {host}\n")


def test_each_machine_has_a_session_of_the_same_name(laptop: Laptop, bed: Bed) -> None:
    first, second = steps.connect(laptop, "alice"), steps.connect(laptop, "node1")
    assert (first["node"], second["node"], second["reused"]) == ("login", "node1", False)
    assert any("`main` also runs on `login`" in note for note in second["notes"])
    assert first["token"] != second["token"]
    assert steps.answers(laptop, first)
    assert steps.answers(laptop, second)
    for host in ("alice", "node1"):
        rows = steps.done(laptop, "list", host, "--json").json["sessions"]
        assert {row["node"] for row in rows} == {"login", "node1"}
        told = steps.done(laptop, "list", host).out
        assert ("on node1" if host == "alice" else "on login") in told, told
    assert known(steps.connect(laptop, "node1")) == known(second)
    steps.terminate(laptop, "alice")
    assert steps.answers(laptop, second)
    assert steps.connect(laptop, "node1")["reused"] is True
    again = steps.connect(laptop, "alice")
    assert again["reused"] is False
    steps.terminate(laptop, "node1")
    assert steps.answers(laptop, again)
    steps.terminate(laptop, "alice")
    assert not (bed.login.home("alice") / ".local/state/farlab").exists()


def test_what_another_machine_has_is_ended_there_alone(laptop: Laptop, bed: Bed) -> None:
    """Nobody here knows which machine the session is on; the one here has none."""
    first = steps.connect(laptop, "alice")
    for words in (("terminate", "node1", "--yes"), ("logs", "node1")):
        refused = laptop.farlab(*words, "--json")
        assert (refused.code, refused.json["error"]["code"]) == (7, "elsewhere"), refused
        assert "runs on node `login`" in refused.json["error"]["message"]
    assert steps.answers(laptop, first)
    steps.terminate(laptop, "alice")


def test_a_name_that_leads_to_another_machine_says_so_and_comes_back(laptop: Laptop, bed: Bed) -> None:
    """A cluster's name leads to one of its login nodes, today to this one. No second session is started unasked."""
    lead(laptop, "login")
    first = steps.connect(laptop, "cluster")
    other = steps.connect(laptop, "node1")
    lead(laptop, "node1")
    [link] = [each for each in dialled(laptop) if "cluster" in each.argv]
    assert processes.end(link.pid, link.started)
    wait_for("the word", lambda: "runs on node `login`" in steps.status(laptop, "cluster")["reason"], timeout=60)
    assert steps.status(laptop, "cluster")["state"] == "down"
    refused = laptop.farlab("connect", "cluster", "--no-browser", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (7, "elsewhere"), refused
    refused = laptop.farlab("terminate", "cluster", "--yes", "--json")
    assert (refused.code, refused.json["error"]["code"]) == (7, "elsewhere"), refused
    assert steps.answers(laptop, other)
    lead(laptop, "login")
    wait_for("its return", lambda: steps.status(laptop, "cluster")["state"] == "up", timeout=60)
    assert known(steps.connect(laptop, "cluster")) == known(first)
    steps.terminate(laptop, "cluster")
    steps.terminate(laptop, "node1")


def test_a_session_that_has_gone_is_not_taken_for_its_namesake(laptop: Laptop, bed: Bed) -> None:
    lead(laptop, "login")
    steps.connect(laptop, "cluster")
    other = steps.connect(laptop, "node1")
    steps.done(laptop, "disconnect", "cluster")
    assert laptop.farlab("terminate", "alice", "--yes").code == 0
    lead(laptop, "node1")
    steps.done(laptop, "terminate", "cluster", "--yes")
    assert steps.answers(laptop, other)
    steps.terminate(laptop, "node1")
