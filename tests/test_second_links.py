"""Links made in the background: when another is due, which way it goes, and what it leaves behind."""

from __future__ import annotations

import json
import re
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import steps
import stub_ssh
from address import Address, session
from bed import Bed, Host, Laptop, processes, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

PATIENCE = 60.0
LOOK = 5.0
"""Seconds between two looks at the kernels for a follower."""
SETTLED = 6.0
"""Seconds after which a link counts as one that works, and a little."""


def keeper_log(laptop: Laptop, host: str) -> str:
    return laptop.farlab("logs", host, "--keeper").out


def wait_until_up(address: Address) -> None:
    wait_for("up", lambda: address.status()["state"] == "up", timeout=PATIENCE)


def let_settle(address: Address) -> None:
    """Until the link of now has been up for so long that it counts as one that works."""
    wait_until_up(address)

    def has_settled() -> bool:
        told = address.status()
        return bool(told["state"] == "up" and told["at"] - told["since"] > SETTLED)

    wait_for("a link that lasts", has_settled, timeout=PATIENCE)


@contextmanager
def forgetting(laptop: Laptop, host: Host) -> Iterator[None]:
    """A box on the way has forgotten the connections of now: nothing of them passes; new ones do."""
    ss = ["nsenter", f"--net=/proc/{laptop.holder}/ns/net", "ss", "-Htn", "state", "established", "dport = :22"]
    shown = subprocess.run(ss, check=True, capture_output=True, text=True).stdout
    ports = ", ".join(line.split()[2].rpartition(":")[2] for line in shown.splitlines())
    rules = [
        "add table inet nat",
        "add chain inet nat in { type filter hook input priority 0; }",
        f"add rule inet nat in tcp dport 22 tcp sport {{ {ports} }} drop",
        "add chain inet nat out { type filter hook output priority 0; }",
        f"add rule inet nat out tcp sport 22 tcp dport {{ {ports} }} drop",
    ]
    assert host.run("root", ["nft", "; ".join(rules)]).returncode == 0
    try:
        yield
    finally:
        host.run("root", ["nft", "delete table inet nat"])


def test_a_second_link_is_made_at_once_however_many_tries_failed_in_the_outage_before(
    laptop: Laptop, host: Host
) -> None:
    with session(laptop, "alice") as address:
        wait_for("a heartbeat", lambda: address.status()["round_trip"], timeout=PATIENCE)
        with host.without_logins():
            before = steps.arrivals(host)
            steps.kill(steps.links(laptop)[0])
            # 0, 1, 4 and 12 s after the end: the next would be due after 20 s more
            wait_for("the fourth try", lambda: steps.arrivals(host) > before + 3, timeout=PATIENCE)
        let_settle(address)
        with forgetting(laptop, host):
            wait_for("the second outage", lambda: address.status()["outages"] == 2, timeout=PATIENCE)
            wait_until_up(address)
            told = keeper_log(laptop, "alice")
        assert address.status()["outages"] == 2
        *_, last = re.findall(r"\(nothing lost\) after ([\d.]+) s", told)
        assert float(last) < 12, told  # it is noticed after 4 s of silence; the back-off of before would be 8 s more


def test_after_a_frozen_master_the_next_link_goes_around_it_too(laptop: Laptop, host: Host) -> None:
    """Through the master it would wait for a minute."""
    steps.add_to_config(laptop, "Host *\n  ControlPath %d/master-%C\n")
    master = laptop.popen("ssh", "-M", "-N", "-o", "BatchMode=yes", "alice")
    try:
        wait_for("the master", lambda: laptop.ssh("-O", "check", "alice").code == 0)
        with session(laptop, "alice") as address:
            found = processes.find(master.pid)
            assert found
            with steps.frozen([found]):
                wait_for("a link around it", lambda: address.status()["outages"] == 1, timeout=PATIENCE)
                let_settle(address)
                [link] = [it for it in steps.links(laptop) if "ControlPath=none" in it.argv]
                steps.kill(link)
                assert address.ask("GET", "/api/status")[0] == 200
                assert [it for it in steps.links(laptop) if "ControlPath=none" in it.argv]
    finally:
        master.kill()
        master.wait(10)


def test_an_ssh_that_is_killed_takes_its_way_over_the_jump_host_along(laptop: Laptop, bed: Bed) -> None:
    """In a dead network that one would wait for a quarter of an hour."""
    with session(laptop, "node1") as address:
        link = address.link()
        assert link
        way = [it for it in steps.links(laptop) if "-W" in it.argv]
        assert way
        bed.wan.blackhole("on")
        steps.kill(link)
        wait_for("the end of its jump", lambda: all(map(steps.is_gone, way)), timeout=10)
        bed.wan.blackhole("off")
        wait_until_up(address)


def test_a_host_that_lacks_something_for_a_while_is_tried_again(laptop: Laptop, host: Host) -> None:
    """Who can log in can look again: only a refused login needs a user."""
    with session(laptop, "alice") as address:
        with host.hide("python3*"):
            steps.kill(steps.links(laptop)[0])
            wait_for("the reason", lambda: "Python" in address.status()["reason"], timeout=PATIENCE)
            assert address.status()["state"] == "down"
        wait_until_up(address)
        assert address.ask("GET", "/api/status")[0] == 200


@pytest.mark.jupyter
def test_follow_tells_what_is_new_and_nothing_twice(laptop: Laptop, host: Host, bed: Bed) -> None:
    """A kernel that prints is no news; that the host has fallen silent is, also while the server is being asked."""
    with session(laptop, "alice") as address, address.kernel() as kernel:
        wait_for("a heartbeat", lambda: address.status()["round_trip"], timeout=PATIENCE)
        kernel.start("import time\nwhile True:\n    print(time.time(), flush=True)\n    time.sleep(0.1)")
        following = laptop.popen(*laptop.farlab_argv("status", "alice", "--follow", "--json"), stdout=subprocess.PIPE)
        assert following.stdout
        seen = [json.loads(following.stdout.readline())]
        while select.select([following.stdout], [], [], 2 * LOOK + 1)[0]:  # it looks at kernels twice, and says nothing
            seen.append(json.loads(following.stdout.readline()))
        bed.wan.blackhole("on")
        while seen[-1]["state"] != "silent":
            seen.append(json.loads(following.stdout.readline()))
        bed.wan.blackhole("off")
        assert steps.interrupt(following) == 130
        following.stdout.close()
        news = [(each["state"], [it["state"] for it in each["kernels"] or ()]) for each in seen]
        assert len(news) <= 3, news  # idle, busy, and then silent
        wait_until_up(address)


@pytest.mark.jupyter
def test_follow_tells_that_the_last_kernel_has_ended(laptop: Laptop, host: Host) -> None:
    with session(laptop, "alice") as address:
        with address.kernel() as kernel:
            kernel.run("pass")
            words = laptop.farlab_argv("status", "alice", "--follow", "--json")
            following = laptop.popen(*words, stdout=subprocess.PIPE)
            assert following.stdout
            assert json.loads(following.stdout.readline())["kernels"]
        while json.loads(following.stdout.readline())["kernels"] != []:
            pass
        assert steps.interrupt(following) == 130
        following.stdout.close()


def test_a_connect_that_fails_after_the_sessions_end_keeps_its_port(laptop: Laptop, host: Host) -> None:
    connected = steps.connect(laptop, "alice")
    host.crash()
    host.boot()
    wait_for("the end", lambda: steps.status(laptop, "alice")["state"] == "ended", timeout=PATIENCE)
    code, error = steps.refused(laptop, "connect", "alice", "--dir", "/nowhere")
    assert (code, error["code"]) == (6, "no-directory"), error
    wait_for("the keeper's end", lambda: not steps.keepers(laptop), timeout=PATIENCE)
    [told] = [line for line in keeper_log(laptop, "alice").splitlines() if "the host was rebooted" in line]
    assert "retrying" not in told
    assert steps.connect(laptop, "alice")["port"] == connected["port"]
    steps.terminate(laptop, "alice")


@pytest.mark.usefixtures("existing")
def test_a_link_that_is_joined_and_then_never_greeted_is_not_waited_for_without_end(laptop: Laptop) -> None:
    """The network went away just then. The stub's first link is one, its second is the real `ssh`."""
    once = laptop.home / "once"
    stub_ssh.write(
        laptop,
        f"""
        if os.path.exists({str(once)!r}):
            os.execv("/usr/bin/ssh", sys.argv)
        open({str(once)!r}, "w").close()
        say({{"hello": "3.11.0", "node": "login"}})
        hear()
        say({{"joined": True, "reused": False, "session": {{}}}})
        wait()
        """,
    )
    connected = steps.connect(laptop, "alice")
    assert once.exists()
    assert steps.answers(laptop, connected)
    wait_for("one link", lambda: len(steps.links(laptop)) == 1, timeout=PATIENCE)
    steps.done(laptop, "disconnect", "alice")


def test_a_first_connect_waits_for_its_first_link_while_others_fail(laptop: Laptop) -> None:
    """The first one is in, and may speak yet."""
    once = laptop.home / "once"
    stub_ssh.write(
        laptop,
        f"""
        if os.path.exists({str(once)!r}):
            complain("ssh: connect to host login port 22: Connection refused\\r\\n")
            os._exit(255)
        open({str(once)!r}, "w").close()
        say({{"hello": "3.11.0", "node": "login"}})
        hear()
        say({{"joined": True, "reused": False, "session": {{}}}})
        wait()
        """,
    )
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "10")
    assert (code, error["code"]) == (9, "timed-out"), error
    wait_for("the keeper's end", lambda: not steps.keepers(laptop), timeout=PATIENCE)
