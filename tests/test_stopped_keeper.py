"""A keeper that is stopped: it is said to be, holds up nobody else, and does nothing later that was asked meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import steps
from bed import Laptop
from errors_page import assert_shown

pytestmark = pytest.mark.usefixtures("small_jupyter")

SOON = 20.0
"""Seconds that a command may take on a busy machine; one that waits for a stopped keeper takes a minute."""
VERBS = (("status",), ("status", "--follow"), ("open",), ("terminate", "--yes"), ("disconnect",), ("connect",))


def test_a_stopped_keeper_is_told_from_none_and_nothing_is_done_behind_its_back(laptop: Laptop, existing: Any) -> None:
    steps.add_to_config(laptop, "Host twin\n  HostName login\n  User alice\n")
    steps.connect(laptop, "alice")
    [keeper] = steps.keepers(laptop)
    steps.connect(laptop, "twin")
    with steps.frozen([keeper]):
        ran = laptop.farlab("list")
        assert ran.seconds < SOON, ran
        rows = {line.split()[0]: line for line in ran.out.splitlines()}
        assert "does not answer" in rows["alice"], ran
        assert " up " in rows["twin"], ran
        listed = {each["host"]: each for each in steps.done(laptop, "list", "--json").json["sessions"]}
        assert listed["twin"]["state"] == "up"
        assert listed["alice"]["keeper_pid"] == keeper.pid
        assert listed["alice"]["reason"] == "its keeper does not answer"
        with ThreadPoolExecutor() as pool:
            done = list(pool.map(lambda words: laptop.farlab(words[0], "alice", *words[1:], "--json"), VERBS))
        for (verb, *_), ran in zip(VERBS, done, strict=True):
            assert (ran.code, ran.json["error"]["code"]) == (1, "keeper-silent"), ran
            assert f"(process {keeper.pid})" in ran.json["error"]["message"], ran
            assert_shown(ran.json["error"]["message"], "keeper-silent")
            assert f"`kill -CONT {keeper.pid}`" in ran.json["error"]["hint"], ran
            assert ran.seconds < (SOON if verb != "connect" else 2 * SOON), ran
    told = steps.status(laptop, "alice")
    assert (told["state"], told["keeper_pid"], told["pid"]) == ("up", keeper.pid, existing["pid"])
    for host in ("alice", "twin"):
        steps.done(laptop, "disconnect", host)
