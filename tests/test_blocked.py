"""What ends BLOCKED without the user: a change of what the login uses, another network, time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

PATIENCE = 30.0


def changed(path: Path, what: Callable[[str], str]) -> Callable[[], None]:
    """Rewrites the file; returns what makes it what it was."""
    before = path.read_text()
    path.write_text(what(before))
    return lambda: path.write_text(before) and None


def moved(path: Path) -> Callable[[], None]:
    """Takes the file away; returns what brings it back."""
    away = path.with_name("away")
    path.rename(away)
    return lambda: away.rename(path) and None


def state(laptop: Laptop) -> Any:
    return steps.status(laptop, "alice")


def in_trouble(laptop: Laptop, expected: str, reason: str) -> None:
    """Its link is gone, and no other can be made."""
    steps.kill(next(each for each in steps.links(laptop) if "-T" in each.argv and "-G" not in each.argv))
    wait_for(
        f"{expected}: {reason}",
        lambda: (told := state(laptop))["state"] == expected and reason in told["reason"],
        timeout=PATIENCE,
    )


def wait_until_up(laptop: Laptop) -> None:
    wait_for("up", lambda: state(laptop)["state"] == "up", timeout=PATIENCE)


def test_a_change_ends_it_whatever_was_wrong(laptop: Laptop, host: Host, bed: Bed) -> None:
    connected = steps.connect(laptop, "alice")
    ssh = laptop.home / ".ssh"
    for expected, reason, trouble in (
        ("down", "does not accept line", lambda: changed(ssh / "config", lambda text: text + "\nHostNa")),
        ("blocked", "host key of `alice` has changed", lambda: changed(ssh / "known_hosts", with_the_last_key)),
        ("blocked", "accepted none", lambda: moved(ssh / "id_ed25519")),
    ):
        end = trouble()
        in_trouble(laptop, expected, reason)
        end()
        wait_until_up(laptop)
    with host.other_host_key():  # as behind a portal, or a DNS that answers everything
        in_trouble(laptop, "blocked", "host key of `alice` has changed")
    bed.roam("10.80.0.66")
    wait_until_up(laptop)
    assert state(laptop)["pid"] == connected["pid"]
    steps.terminate(laptop, "alice")


def with_the_last_key(known: str) -> str:
    """Every host has the key of another."""
    words = [line.split() for line in known.splitlines()]
    return "".join(f"{names[0]} {kind[1]} {kind[2]}\n" for names, kind in zip(words, [words[-1], *words], strict=False))


def test_time_ends_it_where_the_login_needed_nobody(laptop: Laptop, host: Host) -> None:
    steps.connect(laptop, "alice", env={"FARLAB_TIMING": json.dumps({"login_pauses": [2, 2, 2, 60]})})
    end = moved(host.path("/etc/ssh/keys/alice"))
    in_trouble(laptop, "blocked", "accepted none")
    tries = steps.arrivals(host)
    wait_for("another try", lambda: steps.arrivals(host) > tries, timeout=PATIENCE)
    end()
    wait_until_up(laptop)
    assert "trying the login again" in steps.done(laptop, "logs", "alice", "--keeper").out
    steps.terminate(laptop, "alice")
