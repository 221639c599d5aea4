"""The line comes back as soon as it can: knocks, a changed network, keys; and no more logins than it takes."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

PATIENCE = 60.0


@pytest.fixture
def connected(laptop: Laptop, host: Host) -> Iterator[Any]:
    """A session of alice's that knows where to knock; it is gone after the test."""
    connected = steps.connect(laptop, "alice")
    wait_for("a heartbeat", lambda: steps.status(laptop, "alice")["round_trip"], timeout=PATIENCE)
    yield connected
    laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)


def keeper_log(laptop: Laptop) -> str:
    return laptop.farlab("logs", "alice", "--keeper").out


def wait_until_up(laptop: Laptop, outages: int, *words: str) -> Any:
    """The status when it is up again after so many outages."""

    def found() -> Any:
        told = steps.status(laptop, *(words or ("alice",)))
        return told if (told["state"], told["outages"]) == ("up", outages) else None

    return wait_for(f"up after outage {outages}", found, timeout=PATIENCE)


def test_a_few_seconds_without_a_network_are_believed_before_eight_of_silence(
    laptop: Laptop, bed: Bed, connected: Any
) -> None:
    """Silence alone would be believed after 8 s; lost knocks and the first that is answered say it earlier."""
    bed.wan.blackhole("on")
    wait_for("a knock", lambda: has_knocked(laptop), timeout=PATIENCE)
    bed.wan.blackhole("off")
    wait_until_up(laptop, 1)
    found = re.search(r"`alice` for ([\d.]+) s", keeper_log(laptop))
    assert found
    assert float(found[1]) < 8, keeper_log(laptop)
    assert "opening a second connection" in keeper_log(laptop)
    assert "nothing lost" in keeper_log(laptop)


def has_knocked(laptop: Laptop) -> bool:
    """Whether somebody waits for the answer to a knock."""
    return bool(laptop.run("ss", "-Htn", "state", "syn-sent").out)


def test_after_a_long_time_without_a_network_it_comes_back_by_itself(laptop: Laptop, bed: Bed, connected: Any) -> None:
    bed.wan.blackhole("on")
    steps.kill(steps.links(laptop)[0])
    wait_for("a failed try", lambda: "retrying" in keeper_log(laptop), timeout=PATIENCE)
    wait_for("another try", lambda: steps.links(laptop), timeout=PATIENCE)
    bed.wan.blackhole("off")
    assert steps.answers(laptop, connected)  # how soon, `bench/outage.py` measures
    assert wait_until_up(laptop, 1)


def test_a_network_that_has_become_slow_is_given_the_time_that_a_login_takes(
    laptop: Laptop, bed: Bed, connected: Any
) -> None:
    """A knock that is answered late is no network that has come back: the login under way is left alone."""
    bed.wan.delay(150)
    for link in steps.links(laptop):
        steps.kill(link)
    wait_until_up(laptop, 1)
    assert "failed" not in keeper_log(laptop)


def test_a_new_address_of_this_machine_is_noticed_when_it_changes(laptop: Laptop, bed: Bed, connected: Any) -> None:
    bed.roam("10.80.0.3")
    assert steps.answers(laptop, connected)
    wait_until_up(laptop, 1)
    told = keeper_log(laptop)
    assert "the network of this machine changed" in told
    assert not re.search(r"`alice` for [\d.]+ s", told)  # it was not the silence


def test_changes_that_do_not_concern_the_way_to_the_host_are_nothing(laptop: Laptop, bed: Bed, connected: Any) -> None:
    [link] = steps.links(laptop)
    for number in range(5):
        for verb in ("add", "del"):
            laptop.run("ip", "address", verb, f"10.99.0.{number + 1}/32", "dev", "lo", user="root")
    heard = steps.status(laptop, "alice")["last_heard"]
    wait_for("heartbeats", lambda: steps.status(laptop, "alice")["last_heard"] > heard + 3, timeout=PATIENCE)
    assert steps.links(laptop) == [link]
    assert "network" not in keeper_log(laptop)


def test_a_wireless_network_that_was_off_for_a_moment_is_told_and_costs_nothing(
    laptop: Laptop, bed: Bed, connected: Any
) -> None:
    bed.wifi(on=False)
    wait_for("the loss", lambda: "the network of this machine is down" in keeper_log(laptop), timeout=PATIENCE)
    bed.wifi(on=True)
    assert steps.answers(laptop, connected)
    assert "the network of this machine changed" in wait_for(
        "the word", lambda: "changed" in keeper_log(laptop) and keeper_log(laptop)
    )


def test_a_host_that_takes_connections_and_refuses_logins_is_not_stormed(
    laptop: Laptop, host: Host, bed: Bed, connected: Any
) -> None:
    """A probe that is answered hastens one try; the next ones are the back-off's, and there are no more probes."""
    with host.without_logins():
        began, before = time.monotonic(), steps.arrivals(host)
        steps.kill(steps.links(laptop)[0])
        # the tries are 0, 1, 4, 12 s after the end
        wait_for("the fourth try", lambda: steps.arrivals(host) > before + 3, timeout=PATIENCE)
        assert time.monotonic() - began > 5
    assert steps.answers(laptop, connected)
    assert wait_until_up(laptop, 1)


def test_a_frozen_host_is_not_asked_for_a_second_link_by_those_who_had_to_be_asked(
    laptop: Laptop, host: Host, bed: Bed
) -> None:
    """Nobody is there to type: one refused try, and then the first link is waited for."""
    child = laptop.spawn_farlab("connect", "pia", "--no-browser")
    child.expect("password:", timeout=PATIENCE)
    child.sendline("letmein")
    child.expect("to stop it", timeout=PATIENCE)
    child.close()
    wait_for("a heartbeat", lambda: steps.status(laptop, "pia")["round_trip"], timeout=PATIENCE)
    [link] = steps.links(laptop)
    for _ in range(2):
        os.kill(link.pid, signal.SIGSTOP)
        wait_for("silence", lambda: steps.status(laptop, "pia")["state"] == "silent", timeout=PATIENCE)
        wait_for("no other try", lambda: steps.links(laptop) == [link], timeout=PATIENCE)
        os.kill(link.pid, signal.SIGCONT)
        wait_for("up", lambda: steps.status(laptop, "pia")["state"] == "up", timeout=PATIENCE)
    told = laptop.farlab("logs", "pia", "--keeper").out
    assert told.count("opening a second connection") == 1
    assert told.count("a second connection needs you") == 1
    assert steps.links(laptop) == [link]
    steps.terminate(laptop, "pia")


@pytest.fixture
def keys(laptop: Laptop) -> Iterator[dict[str, str]]:
    """The laptop's key lies where only `ssh-add` knows it; the environment that leads to an agent without it."""
    hidden = laptop.home / "key"
    (laptop.home / ".ssh/id_ed25519").rename(hidden)
    with an_agent(laptop, "agent") as found:
        yield found


@contextmanager
def an_agent(laptop: Laptop, name: str) -> Iterator[dict[str, str]]:
    path = laptop.home / name
    agent = laptop.popen("ssh-agent", "-D", "-a", str(path))
    try:
        wait_for("the agent", path.exists)
        yield {"SSH_AUTH_SOCK": str(path)}
    finally:
        agent.terminate()
        agent.wait()


def add_key(laptop: Laptop, env: dict[str, str]) -> None:
    added = laptop.run("ssh-add", "-q", str(laptop.home / "key"), env=env)
    assert added.code == 0, added


def test_keys_that_the_agent_has_again_lead_out_of_blocked(laptop: Laptop, host: Host, keys: dict[str, str]) -> None:
    add_key(laptop, keys)
    connected = steps.connect(laptop, "alice", env=keys)
    assert laptop.run("ssh-add", "-q", "-D", env=keys).code == 0  # as a screen lock does
    steps.kill(steps.links(laptop)[0])
    wait_for("blocked", lambda: steps.status(laptop, "alice")["state"] == "blocked", timeout=PATIENCE)
    assert "Action required" in steps.page(laptop, connected["port"])
    add_key(laptop, keys)
    assert steps.answers(laptop, connected)
    assert wait_until_up(laptop, 1)["pid"] == connected["pid"]
    assert "your keys, your ControlMaster or the files of `ssh` have changed" in keeper_log(laptop)
    steps.terminate(laptop, "alice")


def test_connect_brings_the_agent_of_its_own_terminal(laptop: Laptop, host: Host, keys: dict[str, str]) -> None:
    """The user has logged in again: the agent that the keeper was started with is no more."""
    with an_agent(laptop, "first") as first:
        add_key(laptop, first)
        connected = steps.connect(laptop, "alice", env=first)
    steps.kill(steps.links(laptop)[0])
    wait_for("blocked", lambda: steps.status(laptop, "alice")["state"] == "blocked", timeout=PATIENCE)
    add_key(laptop, keys)
    again = steps.connect(laptop, "alice", env=keys)
    assert (again["pid"], again["port"]) == (connected["pid"], connected["port"])
    steps.terminate(laptop, "alice")


def test_the_next_login_of_a_user_who_is_asked_for_passwords_brings_the_session_back(
    laptop: Laptop, host: Host
) -> None:
    """They have a master for the day, as users with second factors do; it dies, and they make another."""
    steps.add_to_config(laptop, "Host *\n  ControlPath %d/master-%C\n")
    with logged_in(laptop):
        connected = steps.connect(laptop, "pia")
        wait_for("a heartbeat", lambda: steps.status(laptop, "pia")["round_trip"], timeout=PATIENCE)
    wait_for("blocked", lambda: steps.status(laptop, "pia")["state"] == "blocked", timeout=PATIENCE)
    with logged_in(laptop):
        assert steps.answers(laptop, connected)
        assert wait_until_up(laptop, 1, "pia")["pid"] == connected["pid"]
        told = laptop.farlab("logs", "pia", "--keeper").out
        assert "your keys, your ControlMaster or the files of `ssh` have changed" in told
        steps.terminate(laptop, "pia")


@contextmanager
def logged_in(laptop: Laptop) -> Iterator[None]:
    """Pia's own `ssh`, a master, in a terminal of hers; ends without a word to anybody."""
    master = laptop.spawn("ssh", "-o", "ControlMaster=auto", "pia", "echo in; cat")
    master.expect("password:", timeout=PATIENCE)
    master.sendline("letmein")
    master.expect("in\r", timeout=PATIENCE)
    [process] = [link for link in steps.links(laptop) if "ControlMaster=auto" in link.argv]
    yield
    steps.kill(process)
    master.close(force=True)
