"""Many commands at once, and several laptops on one session."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

MANY = 20


def at_once(laptop: Laptop, *words: str, times: int = MANY) -> list[tuple[int, Any]]:
    """`farlab WORDS… --json`, so many times at the same moment: each one's exit status and document."""
    argv = laptop.farlab_argv(*words, "--json")
    running = [laptop.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(times)]
    ended = [(process, *process.communicate(timeout=100)) for process in running]
    for _, _, err in ended:
        assert b"Traceback" not in err, err.decode()
    return [(process.returncode, json.loads(out)) for process, out, _ in ended]


def servers(host: Host, user: str) -> list[Any]:
    """The notebook servers that run, by the file that each of them was started from."""
    return [it for it in host.processes(user) if "farlab.host.run_jupyter" in it.argv]


@pytest.mark.jupyter
@pytest.mark.parametrize("is_there", [False, True], ids=["that is to be started", "that runs already"])
def test_twenty_connects_at_once_are_one_keeper_and_one_session(is_there: bool, laptop: Laptop, host: Host) -> None:
    if is_there:
        steps.connect(laptop, "alice")
        steps.done(laptop, "disconnect", "alice")
    answers = at_once(laptop, "connect", "alice", "--no-browser")
    assert {code for code, _ in answers} == {0}, answers
    assert len({tuple(told[key] for key in ("url", "port", "token", "pid")) for _, told in answers}) == 1
    if is_there:
        assert {told["reused"] for _, told in answers} == {True}
    assert len(steps.keepers(laptop)) == 1
    assert len(steps.links(laptop)) == 1
    assert len(servers(host, "alice")) == 1
    assert steps.answers(laptop, answers[0][1])
    steps.terminate(laptop, "alice")


def test_twenty_terminates_at_once_end_it_once_and_harm_nothing(laptop: Laptop, host: Host) -> None:
    steps.connect(laptop, "alice")
    codes = Counter(code for code, _ in at_once(laptop, "terminate", "alice", "--yes"))
    assert set(codes) <= {0, 3}, codes
    assert codes[0] >= 1
    steps.wait_until_nothing_runs(laptop)
    wait_for("the end of the session", lambda: not host.processes("alice"))
    assert steps.refused(laptop, "terminate", "alice")[0] == 3


def test_twenty_disconnects_at_once_end_one_keeper(laptop: Laptop) -> None:
    steps.connect(laptop, "alice")
    codes = Counter(code for code, _ in at_once(laptop, "disconnect", "alice"))
    assert set(codes) <= {0, 3}, codes
    assert codes[0] >= 1
    steps.wait_until_nothing_runs(laptop)
    steps.terminate(laptop, "alice")


@pytest.mark.jupyter
def test_sessions_of_several_names_start_at_once(laptop: Laptop, host: Host) -> None:
    names = ("one", "two", "three")
    argv = [laptop.farlab_argv("connect", "alice", "--name", name, "--no-browser", "--json") for name in names]
    running = [laptop.popen(*each, stdout=subprocess.PIPE) for each in argv]
    told = [json.loads(process.communicate(timeout=100)[0]) for process in running]
    assert [each["name"] for each in told] == list(names)
    assert len({each["pid"] for each in told}) == len({each["port"] for each in told}) == 3
    assert all(steps.answers(laptop, each) for each in told)
    assert len(steps.done(laptop, "list", "--json").json["sessions"]) == 3
    for name in names:
        steps.terminate(laptop, "alice", "--name", name)
    wait_for("the end of the sessions", lambda: not host.processes("alice"))


@pytest.mark.jupyter
def test_connect_and_terminate_at_once_leave_one_truth(laptop: Laptop, host: Host) -> None:
    steps.connect(laptop, "alice")
    ending = laptop.popen(*laptop.farlab_argv("terminate", "alice", "--yes", "--json"), stdout=subprocess.PIPE)
    connecting = laptop.popen(*laptop.farlab_argv("connect", "alice", "--no-browser", "--json"), stdout=subprocess.PIPE)
    told = json.loads(connecting.communicate(timeout=100)[0])
    ended = json.loads(ending.communicate(timeout=100)[0])
    assert ended["ok"], ended
    if laptop.farlab("status", "alice", "--json").json.get("state") == "up":
        assert steps.answers(laptop, told)
        steps.terminate(laptop, "alice")
    assert told["ok"] or told["error"]["code"] in ("no-session", "link-lost"), told
    steps.wait_until_nothing_runs(laptop)
    wait_for("the end of the session", lambda: not host.processes("alice"))


# two laptops ----------------------------------------------------------------------------------------------


@pytest.fixture
def both(new_laptop: Callable[..., Laptop]) -> tuple[Laptop, Laptop, Any, Any]:
    """Two laptops on one session, and what each was told."""
    first, second = new_laptop(), new_laptop()
    one, other = steps.connect(first, "alice"), steps.connect(second, "alice")
    assert (one["pid"], one["token"]) == (other["pid"], other["token"])
    assert (one["reused"], other["reused"]) == (False, True)
    return first, second, one, other


def test_two_laptops_work_on_one_session_and_one_may_leave(both: tuple[Laptop, Laptop, Any, Any]) -> None:
    first, second, one, other = both
    assert steps.answers(first, one)
    assert steps.answers(second, other)
    steps.done(first, "disconnect", "alice")
    assert steps.answers(second, other)
    assert steps.status(second, "alice")["outages"] == 0
    assert steps.connect(first, "alice")["port"] == one["port"]
    steps.terminate(second, "alice")
    wait_for("word of the end", lambda: steps.status(first, "alice")["state"] == "ended", timeout=30)
    steps.done(first, "disconnect", "alice")


def test_the_other_laptop_learns_of_the_end_and_can_begin_anew(
    both: tuple[Laptop, Laptop, Any, Any], host: Host
) -> None:
    first, second, one, _ = both
    steps.terminate(first, "alice")
    wait_for("word of the end", lambda: steps.status(second, "alice")["state"] == "ended", timeout=30)
    wait_for("the end of the session", lambda: not host.processes("alice"))
    told = steps.status(second, "alice")
    assert told["reason"], told
    assert "The session has ended" in steps.page(second, told["port"])
    again = steps.connect(second, "alice")
    assert again["port"] == told["port"]
    assert again["pid"] != one["pid"]
    assert again["reused"] is False
    assert steps.answers(second, again)
    steps.terminate(second, "alice")


def test_an_outage_of_one_laptop_is_none_of_the_other(both: tuple[Laptop, Laptop, Any, Any], bed: Bed) -> None:
    first, second, one, other = both
    steps.kill(steps.links(first)[0])
    assert steps.answers(first, one)
    assert steps.status(first, "alice")["outages"] == 1
    assert steps.status(second, "alice")["outages"] == 0
    assert steps.answers(second, other)
    steps.terminate(first, "alice")
    wait_for("word of the end", lambda: steps.status(second, "alice")["state"] == "ended", timeout=30)
    steps.done(second, "disconnect", "alice")
