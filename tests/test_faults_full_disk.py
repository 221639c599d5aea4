"""A laptop without room, and a keeper that is told to end while somebody waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Bed, Laptop, wait_for
from keeper_files import ROUND, assert_one, known, state

pytestmark = pytest.mark.usefixtures("small_jupyter")

# no room ----------------------------------------------------------------------------------------------------


@contextmanager
def full(laptop: Laptop, directory: Path, *, inodes: bool = False) -> Iterator[Callable[[], None]]:
    """A full file system over that directory, for this laptop; calling what is given makes room."""
    uid = directory.stat().st_uid
    here = f"/proc/{laptop.holder}/root{directory}"
    limit = ",nr_inodes=1" if inodes else ""
    options = f"size=64k,mode=700,uid={uid},gid={uid}{limit}"
    assert laptop.run("mount", "-t", "tmpfs", "-o", options, "full", str(directory), user="root").code == 0
    if not inodes:
        for path in sorted(Path(directory).rglob("*")):  # what was there before
            to = Path(here) / path.relative_to(directory)
            (to.mkdir if path.is_dir() else to.touch)()
            if path.is_file():
                to.write_bytes(path.read_bytes())
            os.chown(to, uid, uid)
            to.chmod(path.stat().st_mode)
        subprocess.run(["dd", "if=/dev/zero", f"of={here}/filler", "bs=4k"], capture_output=True)

    def make_room() -> None:
        assert laptop.run("mount", "-o", "remount,size=1m,nr_inodes=100", str(directory), user="root").code == 0

    try:
        yield make_room
    finally:
        assert laptop.run("umount", "-l", str(directory), user="root").code == 0


def remembered(laptop: Laptop) -> bool:
    return bool(list(Path(f"/proc/{laptop.holder}/root{state(laptop)}").glob("*.json")))


@pytest.mark.parametrize("inodes", [False, True], ids=["room", "inodes"])
def test_without_any_room_for_what_is_remembered_connect_works_and_says_so(
    inodes: bool, laptop: Laptop, existing: Any
) -> None:
    with full(laptop, laptop.home / ".local/state", inodes=inodes) as make_room:
        connected = steps.connect(laptop, "alice")
        [note] = connected["notes"]
        assert f"{laptop.home}/.local/state" in note
        assert_one(laptop, connected)
        assert not remembered(laptop)
        steps.kill(steps.links(laptop)[0])
        assert steps.answers(laptop, connected)
        make_room()
        wait_for("the memory", lambda: remembered(laptop), timeout=ROUND)
        assert steps.connect(laptop, "alice")["notes"] == []
        steps.done(laptop, "disconnect", "alice")
        assert not list(Path(f"/proc/{laptop.holder}/root{state(laptop)}").glob("*.new"))


def test_a_disk_that_fills_up_under_a_keeper_is_not_noticed(laptop: Laptop, bed: Bed, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    with full(laptop, laptop.home / ".local/state"):
        bed.wan.blackhole("on")
        steps.kill(steps.links(laptop)[0])
        wait_for("down", lambda: steps.status(laptop, "alice")["state"] == "down", timeout=60)
        bed.wan.heal()
        wait_for("up", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=90)
        assert steps.answers(laptop, first)
        steps.done(laptop, "disconnect", "alice")
        again = steps.connect(laptop, "alice")
        assert known(again) == known(first)
        steps.done(laptop, "disconnect", "alice")


@pytest.mark.parametrize("on_terminal", [False, True])
def test_without_room_for_a_socket_every_verb_that_needs_one_says_so(
    on_terminal: bool, laptop: Laptop, existing: Any
) -> None:
    with full(laptop, laptop.runtime, inodes=True) as make_room:
        code, error = steps.refused(laptop, "connect", "alice")
        assert (code, error["code"]) == (6, "disk-full")
        assert "this machine" in error["message"]
        assert "No space left on device" in error["detail"]
        assert str(laptop.runtime) in error["hint"]
        listed = laptop.farlab("list", "--host", "alice", tty=on_terminal)
        assert ("of this machine" in listed.out, listed.code) == (on_terminal, 6 if on_terminal else 0), listed
        assert not steps.keepers(laptop)
        assert not (laptop.home / ".local/state/farlab").exists()
        make_room()
        steps.connect(laptop, "alice")
        steps.done(laptop, "disconnect", "alice")


# told to end ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["disconnect", "SIGTERM"])
def test_whoever_waits_for_a_keeper_that_is_told_to_end_hears_why(how: str, laptop: Laptop, bed: Bed) -> None:
    bed.wan.blackhole("on")
    connecting = laptop.popen(*laptop.farlab_argv("connect", "alice", "--no-browser", "--json"), stdout=subprocess.PIPE)
    wait_for("its keeper", lambda: laptop.ask("status", "alice").code == 0, timeout=60)
    if how == "disconnect":
        steps.done(laptop, "disconnect", "alice")
    else:
        os.kill(steps.keepers(laptop)[0].pid, signal.SIGTERM)
    error = json.loads(connecting.communicate(timeout=60)[0])["error"]
    assert (connecting.returncode, error["code"]) == (130, "interrupted"), error
    assert {"disconnect": "`farlab disconnect alice`", "SIGTERM": "stopped by a signal"}[how] in error["message"]
    steps.wait_until_nothing_runs(laptop)
