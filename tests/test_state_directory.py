"""What this machine remembers cannot be written, or not even read: everything but the memory works as before."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import keeper_files
import steps
from bed import Laptop

pytestmark = pytest.mark.usefixtures("small_jupyter")


def not_to_be_written(state: Path) -> None:
    state.chmod(0o500)


def not_to_be_read(state: Path) -> None:
    state.chmod(0o000)


def roots(state: Path) -> None:
    os.chown(state, 0, 0)
    state.chmod(0o755)


def not_to_be_passed(state: Path) -> None:
    above = state.parents[1]
    os.chown(above, 0, 0)
    above.chmod(0o700)


def a_file(state: Path) -> None:
    state.rename(state.with_name("moved"))
    state.write_text("")


def put_right(state: Path, owner: int) -> None:
    os.chown(state.parents[1], owner, owner)
    if state.is_file():
        state.unlink()
        state.with_name("moved").rename(state)
    os.chown(state, owner, owner)
    state.chmod(0o700)


@pytest.mark.parametrize(
    "spoil", [not_to_be_written, not_to_be_read, not_to_be_passed, roots, a_file], ids=lambda spoil: spoil.__name__
)
def test_no_command_fails_for_it_and_the_keeper_lives(
    spoil: Callable[[Path], None], laptop: Laptop, existing: Any
) -> None:
    connected = steps.connect(laptop, "alice")
    state = keeper_files.state(laptop)
    owner = state.stat().st_uid
    spoil(state)
    try:
        assert steps.status(laptop, "alice")["state"] == "up"
        for words in (("list",), ("logs", "alice", "--keeper"), ("status", "alice"), ("url", "alice")):
            ran = laptop.farlab(*words)
            assert "bug" not in ran.err, ran
            assert "Error" not in ran.err, ran
            assert ran.code == 0 or "cannot read" in ran.err or "no keeper log" in ran.err, ran
        assert "alice" in steps.done(laptop, "list").out
        steps.done(laptop, "disconnect", "alice")
        again = steps.connect(laptop, "alice")
        assert again["pid"] == connected["pid"]
        assert "alice" in steps.done(laptop, "list").out
        assert steps.answers(laptop, again)
        steps.done(laptop, "disconnect", "alice")
        steps.wait_until_nothing_runs(laptop)
    finally:
        put_right(state, owner)


def test_a_session_is_ended_where_nothing_of_it_can_be_forgotten(laptop: Laptop) -> None:
    steps.connect(laptop, "bob")
    state = keeper_files.state(laptop)
    state.chmod(0o500)
    try:
        ran = steps.done(laptop, "terminate", "bob", "--yes", "--json")
        assert ran.json["was_running"] is True
        steps.wait_until_nothing_runs(laptop)
    finally:
        state.chmod(0o700)
