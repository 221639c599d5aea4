"""The laptop away from its host: suspended, re-addressed, without names or jump host. A cell runs all the while.

Each fault: what `status` says meanwhile, that it ends by itself, and that the same WebSocket brings every line.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import steps
from address import Address, connect, printed, session
from bed import Bed, Host, Laptop, processes, wait_for
from bed.network import PLACES, ip

LOOP = """import os, time
number = 0
while not os.path.exists({stop!r}):
    print(number, flush=True)
    number += 1
    time.sleep(0.1)
os.remove({stop!r})
print('end', number)
"""
AWAY = 3.0
"""Seconds that a suspended laptop is left alone by all of its clocks but the wall's."""
DAY = 86400
_numbers = itertools.count(1)
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
"""libfaketime 0.9.10 lets clock_nanosleep(2) of an absolute time fail, which is how Python sleeps."""
Record = Callable[[str, object], None]


@contextmanager
def cell(address: Address, home: Path) -> Iterator[None]:
    """A cell prints numbers for as long as the block runs; afterwards every one must be there, in the same socket."""
    stop = f"stop-{next(_numbers)}"
    with address.kernel() as kernel:
        cell = kernel.start(LOOP.format(stop=stop))
        yield
        (home / stop).touch()
        lines = printed(kernel.messages(cell)).splitlines()
        count = int(lines.pop().removeprefix("end "))
        assert lines == [str(number) for number in range(count)]
        assert kernel.run("print('goes on')") == "goes on\n"


def state(address: Address) -> str:
    return str(address.status()["state"])


def comes_back(address: Address) -> float:
    """Wait for an answer through the address, which needs nobody's help; seconds."""
    began = time.monotonic()
    assert address.ask("GET", "/api/status")[0] == 200
    return time.monotonic() - began


def assert_told_soberly(address: Address, *, outages: int) -> None:
    """`status` is up, and no length of time in it is longer than a test."""
    wait_for("up", lambda: state(address) == "up", timeout=60)
    told = address.status()
    assert told["outages"] >= outages, told
    for moment in ("since", "last_heard"):
        assert -2 < told["at"] - told[moment] < 900, (moment, told)
    assert 0 <= told["longest_outage"] < 900, told
    assert told["round_trip"] is None or 0 <= told["round_trip"] < 60, told


def change_names(laptop: Laptop, old: str, new: str) -> None:
    path = laptop.directory / "etc/hosts"
    path.write_text(path.read_text().replace(old, new))


# suspended --------------------------------------------------------------------------------------------------


class Clock:
    """The wall clock of a keeper and its `ssh`, which jumps (faketime(1)); no other clock does, as when it is set."""

    def __init__(self, laptop: Laptop) -> None:
        self._laptop = laptop
        self._offset = laptop.home / "offset"
        self.jump(0)
        (laptop.home / "site").mkdir()
        (laptop.home / "site/sitecustomize.py").write_text(SLEEP)

    def __enter__(self) -> Clock:
        """Whatever is started in the block has it."""
        [library] = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self._laptop.extra_env |= {
            "LD_PRELOAD": str(library), "FAKETIME_TIMESTAMP_FILE": str(self._offset), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1", "PYTHONPATH": str(self._laptop.home / "site"),
        }  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._laptop.extra_env.clear()

    def jump(self, seconds: int) -> None:
        new = self._offset.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self._offset)


@contextmanager
def clocked_session(laptop: Laptop) -> Iterator[tuple[Address, Clock]]:
    with Clock(laptop) as clock:
        address = connect(laptop, "alice")
    yield address, clock
    steps.terminate(laptop, "alice")
    steps.wait_until_nothing_runs(laptop)


@contextmanager
def stopped(laptop: Laptop) -> Iterator[None]:
    """Everything that farlab runs there stands still."""
    stopped = [*steps.keepers(laptop), *steps.links(laptop)]
    for process in stopped:
        os.kill(process.pid, signal.SIGSTOP)
    yield
    for process in stopped:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["a day later", "a day earlier"])
@pytest.mark.parametrize("moves", [True, False], ids=["elsewhere", "where it was"])
def test_a_laptop_that_slept(
    moves: bool, jump: int, laptop: Laptop, host: Host, bed: Bed, record_property: Record
) -> None:
    with clocked_session(laptop) as (address, clock), cell(address, host.home("alice")):
        keeper = address.keeper()
        with stopped(laptop):
            clock.jump(jump)
            if moves:
                bed.roam("10.80.0.3")
            wake_up = time.monotonic() + AWAY
            wait_for("some time", lambda: time.monotonic() > wake_up)
        record_property("seconds", comes_back(address))
        assert address.keeper() == keeper
        assert_told_soberly(address, outages=int(moves))
        assert "Traceback" not in steps.done(laptop, "logs", "alice", "--keeper").out


@pytest.mark.parametrize("jump", [DAY, -DAY], ids=["forward", "backward"])
def test_a_clock_that_is_set_is_no_outage(jump: int, laptop: Laptop, host: Host) -> None:
    with clocked_session(laptop) as (address, clock), cell(address, host.home("alice")):
        link = address.link()
        clock.jump(jump)
        for _ in range(3):
            assert_told_soberly(address, outages=0)
        clock.jump(0)
        assert_told_soberly(address, outages=0)
        assert address.link() == link


# another address --------------------------------------------------------------------------------------------


def test_a_laptop_with_another_address(laptop: Laptop, host: Host, bed: Bed, record_property: Record) -> None:
    with session(laptop, "alice") as address, cell(address, host.home("alice")):
        bed.roam("10.80.0.4")
        record_property("seconds", comes_back(address))
        assert_told_soberly(address, outages=1)
        bed.roam("10.80.0.5")
        bed.wifi(on=False)
        wait_for("a word of it", lambda: state(address) in ("silent", "down"), timeout=60)
        bed.wifi(on=True)
        record_property("seconds", comes_back(address))
        assert_told_soberly(address, outages=2)


def test_a_host_whose_name_leads_to_another_address(
    laptop: Laptop, host: Host, bed: Bed, record_property: Record
) -> None:
    old, new = PLACES["login"].wan, "10.80.0.99"
    with session(laptop, "alice") as address, cell(address, host.home("alice")):
        ip(f"addr del {old}/24 dev wan", f"addr add {new}/24 dev wan", namespace=host.namespace)
        try:
            wait_for("a word of it", lambda: state(address) in ("silent", "down"), timeout=60)
            change_names(laptop, f"{old} login", f"{new} login")
            record_property("seconds", comes_back(address))
            assert_told_soberly(address, outages=1)
        finally:
            ip(f"addr del {new}/24 dev wan", f"addr add {old}/24 dev wan", namespace=host.namespace)
            change_names(laptop, f"{new} login", f"{old} login")


def test_names_that_cannot_be_looked_up(laptop: Laptop, host: Host, record_property: Record) -> None:
    names = (laptop.directory / "etc/hosts").read_text()
    with session(laptop, "alice") as address, cell(address, host.home("alice")):
        change_names(laptop, names, "127.0.0.1 localhost\n")
        link = address.link()
        assert link
        steps.kill(link)
        wait_for("down", lambda: state(address) == "down", timeout=60)
        wait_for("the reason", lambda: "cannot look up the name `login`" in address.status()["reason"], timeout=60)
        code, error = steps.refused(laptop, "connect", "alice")
        assert (code, error["code"]) == (4, "unreachable")
        assert "cannot look up the name" in error["message"]
        assert "cannot look up" in laptop.farlab("logs", "alice", "--keeper").out
        change_names(laptop, "127.0.0.1 localhost\n", names)
        record_property("seconds", comes_back(address))
        assert_told_soberly(address, outages=1)


# the way there ----------------------------------------------------------------------------------------------


def sshds(host: Host) -> list[processes.Process]:
    inside = processes.namespace(host.pid, "pid")
    return [it for it in processes.every() if it.pids == inside and it.name.startswith("sshd")]


@pytest.mark.parametrize("fault", ["crashes", "freezes", "is cut off"])
def test_a_jump_host_that(fault: str, laptop: Laptop, bed: Bed, record_property: Record) -> None:
    with session(laptop, "node1") as address, cell(address, bed.node1.home("alice")):
        if fault == "crashes":
            bed.bastion.crash()
            wait_for("down", lambda: state(address) == "down", timeout=60)
            wait_for("the reason", lambda: "on the way to `node1`" in address.status()["reason"], timeout=60)
            bed.bastion.boot()
        elif fault == "freezes":
            with steps.frozen(sshds(bed.bastion)):
                wait_for("silent", lambda: state(address) == "silent", timeout=60)
        else:
            bed.bastion.plug(connected=False)
            wait_for("silent", lambda: state(address) in ("silent", "down"), timeout=60)
            bed.bastion.plug(connected=True)
        record_property("seconds", comes_back(address))
        assert_told_soberly(address, outages=1)
    assert steps.done(laptop, "list", "--json").json["sessions"] == []


@pytest.mark.parametrize("fault", ["dies", "freezes"])
def test_the_users_own_master_that(fault: str, laptop: Laptop, host: Host, record_property: Record) -> None:
    steps.add_to_config(laptop, "Host *\n  ControlPath %d/master-%C\n")
    with _master(laptop) as master:
        with session(laptop, "alice") as address, cell(address, host.home("alice")):
            if fault == "dies":
                master.kill()
                record_property("seconds", comes_back(address))
                assert_told_soberly(address, outages=1)
            else:
                found = processes.find(master.pid)
                assert found
                with steps.frozen([found]):
                    wait_for("silent", lambda: address.status()["outages"] or state(address) != "up", timeout=60)
                    record_property("seconds", comes_back(address))
                    assert_told_soberly(address, outages=1)
        assert master.poll() is None or fault == "dies"


@contextmanager
def _master(laptop: Laptop) -> Iterator[Any]:
    process: subprocess.Popen[bytes] = laptop.popen("ssh", "-M", "-N", "-o", "BatchMode=yes", "alice")
    try:
        wait_for("the master", lambda: laptop.ssh("-O", "check", "alice").code == 0)
        yield process
    finally:
        process.kill()
        process.wait(10)
