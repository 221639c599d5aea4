"""The laptop's directory of sockets and locks: what another user of that machine can do with its place in `/tmp`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Laptop, wait_for
from keeper_files import age, runtime

pytestmark = pytest.mark.usefixtures("small_jupyter")

TIDY = "from farlab import paths; paths.tidy_runtime_directory()"
LISTEN = """import os, socket, sys
os.umask(int(sys.argv[2], 8))
os.makedirs(os.path.dirname(sys.argv[1]), exist_ok=True)
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen()
print(flush=True)
sys.stdin.read()
sock.setblocking(False)
try:
    sock.accept()
    print("somebody came")
except BlockingIOError:
    print("nobody came")
os.unlink(sys.argv[1])
"""
SPEAK = """import sys, pathlib
from farlab.keeper.control_client import ControlClient
try:
    ControlClient(pathlib.Path(sys.argv[1])).close()
except PermissionError as error:
    print(error)
"""


def make_old(laptop: Laptop, *paths: Path) -> None:
    """What may be taken for left over: old, and the user's own."""
    for path in paths:
        age(path)
        os.lchown(path, laptop.home.stat().st_uid, -1)


def test_where_a_stranger_leads_a_keeper_nothing_is_removed(laptop: Laptop, existing: Any) -> None:
    steps.connect(laptop, "alice")
    thesis = laptop.home / "thesis"
    thesis.mkdir()
    (thesis / "chapter").write_text("1")
    (thesis / "old.lock").write_text("")
    os.mkfifo(thesis / "pipe")
    make_old(laptop, *thesis.iterdir(), thesis)
    trap = laptop.tmp / f"farlab-{laptop.home.stat().st_uid}"
    words = f"mkdir -m 755 /tmp/{trap.name}; ln -s {thesis} /tmp/{trap.name}/@keepers"
    assert laptop.run("sh", "-c", words, user="eve").code == 0
    laptop.runtime.chmod(0o755)  # no private place any more, as after a logout
    steps.done(laptop, "disconnect", "alice")
    wait_for("the keeper's end", lambda: not steps.keepers(laptop), timeout=steps.PATIENCE)
    assert sorted(os.listdir(thesis)) == ["chapter", "old.lock", "pipe"]
    shutil.rmtree(trap)


def test_in_its_own_directory_only_what_farlab_makes_is_removed(laptop: Laptop) -> None:
    runtime(laptop).mkdir(parents=True, mode=0o700)
    for name in ("notes", "key-1234567890.lock", "farlab-askpass.77"):
        (runtime(laptop) / name).write_text("")
    os.mkfifo(runtime(laptop) / "pipe.lock")
    make_old(laptop, *runtime(laptop).iterdir())
    for each in (runtime(laptop), runtime(laptop).parent):
        os.chown(each, laptop.home.stat().st_uid, -1)
        each.chmod(0o700)
    assert laptop.run(laptop.farlab_argv()[0], "-c", TIDY, timeout=20).code == 0
    assert sorted(os.listdir(runtime(laptop))) == ["notes", "pipe.lock"]
    shutil.rmtree(runtime(laptop))


def opened_to_others(path: Path) -> None:
    path.chmod(0o666)


def in_an_open_directory(path: Path) -> None:
    path.parent.chmod(0o711)


def below_an_open_directory(path: Path) -> None:
    path.parent.parent.chmod(0o711)


def spoken_to(laptop: Laptop, path: str, user: str, umask: str, change: Callable[[], object]) -> tuple[str, str]:
    """What one says who would speak to a socket of that user's, and what its owner sees."""
    argv = laptop.command(["/usr/bin/python3", "-c", LISTEN, path, umask], user=user)
    owner = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    assert owner.stdout.readline() == "\n"
    change()
    said = laptop.run(laptop.farlab_argv()[0], "-c", SPEAK, path)
    assert said.code == 0, said
    return said.out, owner.communicate(timeout=10)[0]


def test_a_keeper_is_spoken_to_at_a_socket_that_is_its_users_alone(laptop: Laptop) -> None:
    path = str(runtime(laptop) / "key.sock")
    assert spoken_to(laptop, path, "lap", "077", lambda: None) == ("", "somebody came\n")


@pytest.mark.parametrize("change", [opened_to_others, in_an_open_directory, below_an_open_directory])
def test_nobody_is_spoken_to_at_a_socket(change: Callable[[Path], None], laptop: Laptop) -> None:
    path = runtime(laptop) / "key.sock"
    said, seen = spoken_to(laptop, str(path), "lap", "077", lambda: change(path))
    assert "no private socket of ours" in said
    assert seen == "nobody came\n"


def test_a_stranger_in_the_place_of_a_keeper_is_not_spoken_to(laptop: Laptop) -> None:
    """Where the system does not say who listens (macOS), a password would be typed into that socket."""
    trap = f"/tmp/farlab-{laptop.home.stat().st_uid}"
    said, seen = spoken_to(laptop, f"{trap}/@keepers/key.sock", "eve", "000", lambda: None)
    assert "no private socket of ours" in said
    assert seen == "nobody came\n"
    shutil.rmtree(laptop.tmp / trap.removeprefix("/tmp/"))
