"""`farlab logs` of a session that is connected: over the link that stands, without another login."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import steps
from bed import Host, Laptop, processes, wait_for
from test_faults_laptop import dialled

pytestmark = pytest.mark.usefixtures("small_jupyter")


@pytest.fixture
def log(host: Host, laptop: Laptop) -> Iterator[Path]:
    """The log of alice's session on the host, which is connected."""
    steps.connect(laptop, "alice")
    yield host.home("alice") / ".local/state/farlab/main/log"
    steps.terminate(laptop, "alice")


def add(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


def logins(host: Host) -> int:
    return host.path("/var/log/sshd.log").read_text().count("Accepted publickey ")


def test_it_needs_no_login(laptop: Laptop, host: Host, log: Path) -> None:
    add(log, *(f"line {number}" for number in range(300)), "the last")
    before = logins(host)
    lines = steps.done(laptop, "logs", "alice").out.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (200, "line 101", "the last")
    assert steps.done(laptop, "logs", "alice", "--lines", "1", "--json").json["lines"] == ["the last"]
    assert steps.done(laptop, "logs", "alice", "--lines", "0").out == ""
    assert logins(host) == before
    steps.done(laptop, "disconnect", "alice")
    assert steps.done(laptop, "logs", "alice", "--lines", "1").out == "the last\n"
    assert logins(host) == before + 1


def test_it_is_followed_through_an_outage(laptop: Laptop, log: Path) -> None:
    argv = laptop.farlab_argv("logs", "alice", "-f", "--lines", "2")
    following = laptop.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert following.stdout
    add(log, "before")
    wait_for("it", lambda: b"before" in following.stdout.readline(), timeout=60)
    [link] = dialled(laptop)
    assert processes.end(link.pid, link.started)
    add(log, "meanwhile")
    assert following.stdout.readline() == b"meanwhile\n"
    add(log, "x" * 300_000, "\x1b[31mred\x07")
    assert following.stdout.readline().startswith(b"xxxx")
    rest = following.stdout.readline()
    while rest.startswith(b"x"):
        rest = following.stdout.readline()
    assert rest == b"red\n"
    following.send_signal(signal.SIGINT)
    assert following.wait(30) == 130
