"""Hosts that shut out who comes too often: farlab does not bring that about, and comes back when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

PATIENCE = 100.0
UFW_LIMIT = (
    "-p tcp --dport 22 -m conntrack --ctstate NEW -m recent --name farlab --set",
    "-p tcp --dport 22 -m conntrack --ctstate NEW -m recent --name farlab --update --seconds 30 --hitcount 6 -j REJECT",
)
"""What `ufw limit 22/tcp` writes."""


@contextmanager
def limited(host: Host) -> Iterator[None]:
    for rule in UFW_LIMIT:
        assert host.run("root", ["iptables-legacy", "-A", "INPUT", *rule.split()]).returncode == 0
    try:
        yield
    finally:
        for rule in UFW_LIMIT:
            host.run("root", ["iptables-legacy", "-D", "INPUT", *rule.split()])


@contextmanager
def without_sshd(host: Host) -> Iterator[None]:
    """Nothing listens, and no login stands."""
    host.run("root", ["sh", "-c", "kill $(cat /run/sshd.pid); pkill -x sshd"])
    try:
        yield
    finally:
        host.run("root", ["/usr/sbin/sshd", "-E", "/var/log/sshd.log"])
        wait_for("sshd", lambda: "tcp 0.0.0.0:22" in host.listening())


def tried(laptop: Laptop) -> int:
    return steps.status(laptop, "alice")["reason"].count("next attempt at")


@pytest.fixture
def connected(laptop: Laptop) -> Iterator[Any]:
    connected = steps.connect(laptop, "alice")
    wait_for("a heartbeat", lambda: steps.status(laptop, "alice")["round_trip"], timeout=PATIENCE)
    yield connected
    laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)


def test_a_limit_of_connections_is_kept_while_sshd_is_away_and_after(
    laptop: Laptop, host: Host, connected: Any
) -> None:
    with limited(host):
        with without_sshd(host):
            wait_for("the third refusal", lambda: tried(laptop), timeout=PATIENCE)
        wait_for("up", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=PATIENCE)
        counted = host.run("root", ["iptables-legacy", "-nvxL", "INPUT"]).stdout
        assert [line.split()[0] for line in counted.splitlines() if "REJECT" in line] == ["0"], counted
    assert steps.answers(laptop, connected)


def test_short_outages_leave_next_to_nothing_in_the_hosts_log(
    laptop: Laptop, host: Host, bed: Bed, connected: Any
) -> None:
    log = host.path("/var/log/sshd.log")
    before = log.stat().st_size
    for number in range(1, 6):
        bed.wan.blackhole("on")
        wait_for("silence", lambda: steps.status(laptop, "alice")["state"] != "up", timeout=PATIENCE)
        bed.wan.blackhole("off")
        wait_for("up", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=PATIENCE)
        assert steps.status(laptop, "alice")["outages"] == number
    with log.open() as file:
        file.seek(before)
        told = [line for line in file if "kex_exchange" in line or "Connection closed" in line or "banner" in line]
    assert len(told) <= 2, told
