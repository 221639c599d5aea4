"""The link dies again and again, or for long: the keeper goes on, and what it says of itself is true."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for
from bed.laptop import UID
from farlab.keeper.log import MAX_BYTES
from farlab.model import Target
from farlab.saved import key_of
from host_parts import agents_of
from keeper_files import state

pytestmark = pytest.mark.usefixtures("small_jupyter")

MANY = 3
"""Each takes twice as long as the one before: links that end at once are made ever more slowly."""


def test_every_killed_ssh_is_an_outage_and_none_is_noticed_by_the_address(laptop: Laptop, host: Host) -> None:
    connected = steps.connect(laptop, "alice")
    for number in range(1, MANY + 1):
        [link] = wait_for("a link", lambda: steps.links(laptop))
        steps.kill(link)
        assert steps.answers(laptop, connected)
        assert steps.status(laptop, "alice")["outages"] == number
    told = steps.status(laptop, "alice")
    assert (told["state"], told["port"], told["pid"]) == ("up", connected["port"], connected["pid"])
    assert len(steps.links(laptop)) == 1
    wait_for("the end of the old agents", lambda: len(agents_of(host)) == 1, timeout=30)
    steps.terminate(laptop, "alice")


def test_follow_tells_of_down_and_up(laptop: Laptop, host: Host) -> None:
    steps.connect(laptop, "alice")
    following = laptop.popen(*laptop.farlab_argv("status", "alice", "--follow", "--json"), stdout=subprocess.PIPE)
    assert following.stdout
    seen = [json.loads(following.stdout.readline())["state"]]
    steps.kill(steps.links(laptop)[0])
    while seen[-1] != "up" or len(seen) < 2:
        seen.append(json.loads(following.stdout.readline())["state"])
    assert seen[0] == "up"
    assert "down" in seen, seen
    assert steps.interrupt(following) == 130
    following.stdout.close()
    steps.terminate(laptop, "alice")


def _has_socket(fds: Path) -> bool:
    for each in fds.iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            if os.readlink(each).startswith("socket:"):
                return True
    return False


def test_following_a_keeper_that_is_about_to_end_says_that_there_is_none(laptop: Laptop) -> None:
    steps.connect(laptop, "alice")
    [keeper] = steps.keepers(laptop)
    os.kill(keeper.pid, signal.SIGSTOP)  # so that it takes the question and does not answer
    following = laptop.popen(*laptop.farlab_argv("status", "alice", "--follow", "--json"), stdout=subprocess.PIPE)
    fds = Path(f"/proc/{following.pid}/fd")
    wait_for("its question", lambda: _has_socket(fds))
    steps.kill(keeper)
    out = following.communicate(timeout=30)[0]
    assert (following.returncode, json.loads(out)["state"]) == (0, "no-keeper"), out
    steps.connect(laptop, "alice")
    steps.terminate(laptop, "alice")


def test_twenty_seconds_without_a_host_end_by_themselves(laptop: Laptop, host: Host, bed: Bed) -> None:
    connected = steps.connect(laptop, "alice")
    host.plug(connected=False)
    steps.kill(steps.links(laptop)[0])
    wait_for("down", lambda: steps.status(laptop, "alice")["state"] == "down", timeout=30)
    waiting = laptop.popen(
        "curl", "-s", "--max-time", "100", "-H", f"Authorization: token {connected['token']}",
        connected["address"] + "/api/status", stdout=subprocess.PIPE,
    )  # fmt: skip
    shown = steps.page(laptop, connected["port"])
    assert "Cannot reach" in shown
    assert waiting.poll() is None  # what a program asks is held, not refused
    code, error = steps.refused(laptop, "connect", "alice")
    assert (code, error["code"]) == (4, "unreachable"), error
    assert steps.status(laptop, "alice")["state"] in ("down", "connecting")
    assert steps.keepers(laptop)
    host.plug(connected=True)
    wait_for("up again by itself", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=60)
    assert b'"connections"' in waiting.communicate(timeout=30)[0]
    assert steps.status(laptop, "alice")["outages"] == 1
    assert steps.connect(laptop, "alice")["pid"] == connected["pid"]
    steps.terminate(laptop, "alice")


def test_a_session_that_ended_during_an_outage_is_said_to_have_ended(laptop: Laptop, host: Host) -> None:
    connected = steps.connect(laptop, "alice")
    host.crash()
    wait_for("down", lambda: steps.status(laptop, "alice")["state"] == "down", timeout=30)
    host.boot()
    wait_for("the end", lambda: steps.status(laptop, "alice")["state"] == "ended", timeout=60)
    assert steps.status(laptop, "alice")["reason"]
    again: Any = steps.connect(laptop, "alice")
    assert (again["port"], again["reused"]) == (connected["port"], False)
    assert again["token"] != connected["token"]
    assert steps.answers(laptop, again)
    steps.terminate(laptop, "alice")


def test_the_keepers_log_is_followed_when_it_is_cut_and_when_it_is_another(laptop: Laptop) -> None:
    log = state(laptop) / f"{key_of(Target(host='alice'))}.log"
    log.parent.mkdir(parents=True)
    log.write_text("an old line\n" * (MAX_BYTES // 11))
    os.chown(log, UID, UID)  # what is somebody else's is not read
    following = laptop.spawn_farlab("logs", "alice", "--keeper", "--follow", "--lines", "1")
    following.expect_exact("an old line\r\n")
    log.write_bytes(log.read_bytes()[-MAX_BYTES // 4 :] + b"the first after it was cut\n")  # in its place, as a keeper
    following.expect_exact("the first after it was cut\r\n")
    assert "an old line" not in following.before
    (log.parent / "another").write_text("the first of another\n")
    os.chown(log.parent / "another", UID, UID)
    (log.parent / "another").rename(log)
    following.expect_exact("the first of another\r\n")
    with log.open("a") as file:
        file.write("and the second\n")
    following.expect_exact("and the second\r\n")
    following.sendintr()
    assert steps.end_of(following) == 130
    assert steps.done(laptop, "logs", "alice", "--keeper", "--lines", "0").out == ""
