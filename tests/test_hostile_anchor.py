"""Hosts that mean ill once they are connected: what they say ends a link at most, and stays within its bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

import keeper_files
import steps
import stub_mux
from bed import Laptop, wait_for

BAD = {
    "a time beyond all numbers": "{'session': SESSION, 'line': {'limit': 1, 'full': {'ago': 10**400, 'for': 0}}}",
    "a time that is none": "{'session': SESSION, 'line': {'limit': 1, 'full': {'ago': float('nan'), 'for': 1}}}",
    "a time before the world": "{'session': SESSION, 'line': {'limit': 1, 'full': {'ago': 1e30, 'for': 1}}}",
    "a limit that is no number": "{'session': SESSION, 'line': {'limit': 'x'}}",
    "a session that is none": "{'session': [1]}",
    "a token that is a head": "{'session': dict(SESSION, token='x\\r\\nHost: y')}",
    "a path that is none": "{'session': dict(SESSION, directory='a\\0b')}",
    "a path without end": "{'session': dict(SESSION, directory='x' * 50_000)}",
    "a process that is none": "{'session': dict(SESSION, pid=-1)}",
}


def keeper_log(laptop: Laptop) -> str:
    """The keepers' logs."""
    return "".join(path.read_text() for path in keeper_files.state(laptop).glob("*.log"))


@pytest.mark.parametrize("what", BAD)
def test_a_message_that_cannot_be_ends_its_link_and_nothing_else(what: str, laptop: Laptop) -> None:
    """What came with it counts: the answer behind it in the same bytes arrives, and another link goes on."""
    stub_mux.write(
        laptop,
        f"""
        turn = os.path.expanduser("~/turn")
        join()
        up()
        if os.path.exists(turn):
            serve()
        serve(2)
        open(turn, "w").close()
        said = frame_of(21, 0, json.dumps({BAD[what]}).encode())
        said += frame_of(21, 0, json.dumps({{"session": dict(SESSION, directory="/behind")}}).encode())
        raw(said)
        wait()
        """,
    )
    connected = steps.connect(laptop, "alice")
    wait_for("the bad word", lambda: (laptop.home / "turn").exists(), timeout=30)
    wait_for("the end of its link", lambda: "protocol: " in keeper_log(laptop), timeout=30)
    wait_for("another link", lambda: steps.status(laptop, "alice")["outages"] == 1, timeout=30)
    wait_for("the session", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=30)
    assert steps.status(laptop, "alice")["port"] == connected["port"]
    assert "Traceback" not in keeper_log(laptop)
    assert len(keeper_log(laptop)) < 10_000
    steps.done(laptop, "disconnect", "alice")


def test_answers_to_nothing_are_no_heartbeat(laptop: Laptop) -> None:
    stub_mux.write(
        laptop,
        """
        join()
        up()
        serve(1)
        for value in (float("nan"), 1e300, -1e300, float("inf"), time.monotonic() + 1e9):
            raw(frame_of(4, 0, struct.pack(">Qd", counted, value)))
        serve()
        """,
    )
    steps.connect(laptop, "alice")
    wait_for("a heartbeat", lambda: steps.status(laptop, "alice")["round_trip"] is not None, timeout=30)
    ran = steps.done(laptop, "status", "alice", "--json")
    told = json.loads(ran.out, parse_constant=pytest.fail)
    assert 0 <= told["round_trip"] < 60
    assert told["state"] == "up"
    assert steps.done(laptop, "status", "alice").out
    steps.done(laptop, "disconnect", "alice")


def test_kernels_without_end_or_sense_are_a_bounded_list(laptop: Laptop) -> None:
    odd: dict[str, Any] = {"id": 7, "name": ["x"], "execution_state": "busy\\x1b[2J", "last_activity": None}
    stub_mux.write(
        laptop,
        f"""
        ANSWERS["/api/kernels"] = lambda: json.dumps([{odd!r}] * 3000 + [7, None, []]).encode()
        ANSWERS["/api/sessions"] = lambda: b"[" * 100_000
        join()
        up()
        serve()
        """,
    )
    steps.connect(laptop, "alice")
    told = steps.status(laptop, "alice")
    assert told["kernels"] is not None
    assert len(told["kernels"]) == 1000
    assert told["kernels"][0]["id"] == ""
    shown = laptop.farlab("status", "alice", tty=True)
    assert "\x1b[2J" not in shown.out
    steps.done(laptop, "disconnect", "alice")
