"""What can happen to a keeper and its files on the laptop: killed, raced, swept away; what the killed leave."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import PASSWORD, Bed, Host, Laptop, processes, wait_for
from keeper_files import ROUND, age, assert_one, dialled, known, memory, runtime, state

pytestmark = pytest.mark.usefixtures("small_jupyter")

# killed in the middle of a write ----------------------------------------------------------------------------


@contextmanager
def killed_at(call: str, pid: int) -> Iterator[None]:
    """That process gets SIGKILL as it enters that system call (strace(1), `inject`)."""
    calls = {"rename": "?rename,?renameat,?renameat2"}.get(call, call)
    argv = ["strace", "-p", str(pid), "-o", "/dev/null", "-e", f"inject={calls}:signal=SIGKILL:when=1"]
    strace = subprocess.Popen(argv, stderr=subprocess.PIPE)
    assert strace.stderr
    assert b"attached" in strace.stderr.readline()
    yield
    strace.communicate(timeout=60)


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_keeper_killed_while_it_remembers_leaves_the_old_memory(call: str, laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    old = memory(laptop).read_text().replace('"is_known_alive": true', '"is_known_alive": false')
    [keeper] = steps.keepers(laptop)
    with killed_at(call, keeper.pid):
        memory(laptop).write_text(old)
        wait_for("its end", lambda: steps.is_gone(keeper), timeout=60)
    assert memory(laptop).read_text() == old
    [stray] = state(laptop).glob("*.new")
    assert (stray.read_text() == "") == (call == "write")
    assert steps.status(laptop, "alice")["state"] == "no-keeper"
    [listed] = steps.done(laptop, "list", "--json").json["sessions"]
    assert (listed["state"], listed["port"]) == ("no-keeper", first["port"])
    again = steps.connect(laptop, "alice")
    assert (known(again), again["notes"]) == (known(first), [])
    assert_one(laptop, again)
    age(stray)
    wait_for("its end", lambda: not stray.exists(), timeout=ROUND)
    steps.done(laptop, "disconnect", "alice")


def test_a_first_connect_whose_keepers_are_killed_says_so_and_the_next_works(laptop: Laptop, existing: Any) -> None:
    trace = ("strace", "-f", "-o", "/dev/null", "-e", "inject=fsync:signal=SIGKILL:when=1")
    ran = laptop.run(*trace, *laptop.farlab_argv("connect", "alice", "--no-browser", "--json"), timeout=100)
    assert ran.code == 1, ran
    assert (ran.json["error"]["code"], ran.json["error"]["message"]) == ("internal", "the keeper keeps exiting")
    assert steps.done(laptop, "list", "--json").json["sessions"] == []
    assert steps.connect(laptop, "alice")["reused"] is True
    steps.done(laptop, "disconnect", "alice")


# two at once ------------------------------------------------------------------------------------------------


@pytest.mark.jupyter
def test_twenty_connects_while_keepers_are_killed_end_with_one(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    argv = laptop.farlab_argv("connect", "alice", "--no-browser", "--json")
    for _ in range(2):
        [keeper] = steps.keepers(laptop)
        running = [laptop.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(19)]
        wait_for("the first answer", lambda running=running: any(it.poll() is not None for it in running), timeout=60)
        steps.kill(keeper)
        running.append(laptop.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE))  # the others may be done
        told = [(it.communicate(timeout=100)[0], it.returncode) for it in running]
        assert {code for _, code in told} == {0}, told
        assert [known(json.loads(out)) for out, _ in told] == [known(first)] * 20
        assert_one(laptop, first)
    steps.done(laptop, "disconnect", "alice")


def test_twenty_connects_that_wait_for_a_keeper_that_is_killed_go_on_with_another(
    laptop: Laptop, bed: Bed, existing: Any
) -> None:
    bed.wan.blackhole("on")
    argv = laptop.farlab_argv("connect", "alice", "--no-browser", "--json")
    running = [laptop.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(20)]
    for each in running:
        assert each.stderr
        assert b"connecting" in each.stderr.readline()
    [keeper] = steps.keepers(laptop)
    steps.kill(keeper)
    wait_for("another", lambda: [it for it in steps.keepers(laptop) if it.key != keeper.key], timeout=60)
    bed.wan.heal()
    told = [json.loads(each.communicate(timeout=100)[0]) for each in running]
    assert [each.get("pid") for each in told] == [existing["pid"]] * 20, told
    assert len({each["port"] for each in told}) == 1
    assert_one(laptop, told[0])
    steps.done(laptop, "disconnect", "alice")


def test_a_keeper_started_by_hand_beside_a_living_one_gives_way(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    for sock in runtime(laptop).iterdir():  # so that only the other name tells
        sock.unlink()
    wanted = {"host": "alice", "name": "main", "ssh_config": None, "port": None, "wish": {}, "may_ask": False}
    python = laptop.farlab_argv()[0]
    ran = laptop.run(python, "-m", "farlab.keeper", stdin=json.dumps(wanted), timeout=30)
    assert (ran.code, ran.json) == (0, {"ready": False}), ran
    assert_one(laptop, first)
    steps.done(laptop, "disconnect", "alice")


KNOCK = """import socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect("\\0" + sys.argv[1])
sock.sendall(b'{"op": "status"}\\n')
print(sock.recv(100))
"""


@pytest.mark.parametrize("user", ["lap", "eve", "root"])
def test_at_the_name_that_anyone_can_knock_at_only_the_user_is_heard(user: str, laptop: Laptop, existing: Any) -> None:
    steps.connect(laptop, "alice")
    names = [it.removeprefix("unix @") for it in processes.listening(laptop.holder) if it.startswith("unix @farlab-")]
    [ran] = [laptop.run("/usr/bin/python3", "-c", KNOCK, name, user=user) for name in names]
    assert ('"status"' in ran.out) == (user == "lap"), ran
    assert user == "lap" or ran.out in ("", "b''\n"), ran
    steps.done(laptop, "disconnect", "alice")


# swept away -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["the socket", "the directory", "all of farlab's", "all, as at a logout"])
def test_a_keeper_whose_socket_is_removed_is_found_and_makes_it_again(what: str, laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    [keeper] = steps.keepers(laptop)
    [sock] = runtime(laptop).iterdir()
    {
        "the socket": sock.unlink,
        "the directory": lambda: shutil.rmtree(sock.parent),
        "all of farlab's": lambda: shutil.rmtree(sock.parent.parent),
        "all, as at a logout": lambda: shutil.rmtree(laptop.runtime),
    }[what]()
    assert known(steps.connect(laptop, "alice")) == known(first)  # before the keeper has noticed
    assert steps.status(laptop, "alice")["keeper_pid"] == keeper.pid
    wait_for("another socket", sock.exists, timeout=ROUND)
    assert [path.stat().st_mode & 0o7777 for path in (sock.parent.parent, sock.parent)] == [0o700, 0o700]
    assert sock.stat().st_mode & 0o7777 == 0o600
    with socket.socket(socket.AF_UNIX) as private:
        private.connect(str(sock))
    assert steps.keepers(laptop) == [keeper]
    assert_one(laptop, first)
    steps.done(laptop, "disconnect", "alice")


def test_a_keeper_is_found_from_cron_where_the_runtime_directory_is_another(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    assert known(steps.connect(laptop, "alice", env={"XDG_RUNTIME_DIR": ""})) == known(first)
    assert_one(laptop, first)
    done = laptop.farlab("disconnect", "alice", env={"XDG_RUNTIME_DIR": ""})
    assert done.code == 0, done
    steps.wait_until_nothing_runs(laptop)


def test_in_a_tmp_where_a_stranger_was_faster_the_keeper_makes_nothing(laptop: Laptop, existing: Any) -> None:
    laptop.extra_env["XDG_RUNTIME_DIR"] = ""
    first = steps.connect(laptop, "alice")
    ours = next(laptop.tmp.glob("farlab-*"))
    shutil.rmtree(ours)
    assert laptop.run("mkdir", "-p", f"/tmp/{ours.name}/@keepers", user="eve").code == 0
    laptop.run("chmod", "-R", "777", f"/tmp/{ours.name}", user="eve")
    log = next(state(laptop).glob("*.log"))
    seen = log.stat().st_mtime
    steps.kill(steps.links(laptop)[0])
    wait_for("a link, and its keeper's word", lambda: steps.links(laptop) and log.stat().st_mtime > seen, timeout=60)
    assert known(steps.connect(laptop, "alice")) == known(first)
    assert not list((ours / "@keepers").iterdir())
    shutil.rmtree(ours)
    wait_for("the socket again", lambda: list(ours.glob("@keepers/*.sock")), timeout=ROUND)
    steps.done(laptop, "disconnect", "alice")


def test_ssh_can_ask_after_the_socket_was_removed(laptop: Laptop, host: Host) -> None:
    terminal = laptop.spawn_farlab("connect", "pia", "--no-browser", timeout=steps.PATIENCE)
    terminal.expect("password: ")
    terminal.sendline(PASSWORD)
    assert steps.end_of(terminal) == 0, terminal.before
    [sock] = [path for path in runtime(laptop).iterdir() if path.suffix == ".sock"]
    shutil.rmtree(sock.parent)
    steps.kill(steps.links(laptop)[0])
    wait_for("blocked", lambda: steps.status(laptop, "pia")["state"] == "blocked", timeout=60)
    wait_for("another socket", sock.exists, timeout=ROUND)
    terminal = laptop.spawn_farlab("connect", "pia", "--no-browser", timeout=steps.PATIENCE)
    terminal.expect("password: ")
    terminal.sendline(PASSWORD)
    assert steps.end_of(terminal) == 0, terminal.before
    steps.terminate(laptop, "pia")


def test_a_socket_never_looks_old(laptop: Laptop, existing: Any) -> None:
    steps.connect(laptop, "alice")
    [sock] = runtime(laptop).iterdir()
    fresh = sock.stat().st_mtime
    age(sock)
    wait_for("a touch", lambda: sock.stat().st_mtime >= fresh, timeout=ROUND)
    steps.done(laptop, "disconnect", "alice")


def test_a_state_directory_that_is_removed_comes_back(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    before = memory(laptop).read_text()
    shutil.rmtree(state(laptop).parent)
    wait_for("the memory", lambda: list(state(laptop).glob("*.json")), timeout=ROUND)
    assert memory(laptop).read_text() == before
    steps.kill(steps.links(laptop)[0])
    assert steps.answers(laptop, first)
    wait_for("a log", lambda: "link ended" in laptop.ask("logs", "alice", "--keeper").out, timeout=60)
    steps.done(laptop, "disconnect", "alice")
    assert known(steps.connect(laptop, "alice")) == known(first)
    steps.done(laptop, "disconnect", "alice")


# no processes, no descriptors ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["nproc", "nofile"])
def test_a_keeper_that_can_start_no_ssh_for_a_while_tries_again(what: str, laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    [keeper], [link] = steps.keepers(laptop), dialled(laptop)

    def limit(soft: int) -> None:
        words = ("prlimit", f"--pid={keeper.pid}", f"--{what}={soft}:")
        assert laptop.run(*words).code == 0

    limit({"nproc": 1, "nofile": len(os.listdir(f"/proc/{keeper.pid}/fd")) - 3}[what])
    steps.kill(link)
    log = "cannot start another `ssh`"
    wait_for("a try", lambda: log in laptop.ask("logs", "alice", "--keeper").out, timeout=60)
    limit(4096)
    assert steps.answers(laptop, first)
    wait_for("up", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=60)
    assert steps.keepers(laptop) == [keeper]
    steps.done(laptop, "disconnect", "alice")


# leftovers of an earlier boot -------------------------------------------------------------------------------


def left_over(laptop: Laptop, stem: str) -> list[Path]:
    """What keepers, `connect`s and errands that were killed may leave, as old as an earlier boot."""
    left = [runtime(laptop) / f"{stem}.{kind}" for kind in ("sock", "new", "lock")]
    left += [runtime(laptop) / name for name in ("errand-7-abcdef.sock", "farlab-askpass.77", "other-1234567890.sock")]
    runtime(laptop).mkdir(parents=True, exist_ok=True)
    for path in left:
        if path.suffix in (".sock", ".new"):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.bind(str(path))
        else:
            path.write_text("")
    left.append(state(laptop) / f"{stem}.0badcafe.new")
    left[-1].write_text('{"host": "al')
    for path in left:
        age(path)
        os.lchown(path, laptop.home.stat().st_uid, -1)
    for each in (runtime(laptop), runtime(laptop).parent):
        os.chown(each, laptop.home.stat().st_uid, -1)
    return left


def test_what_an_earlier_boot_left_does_no_harm_and_goes_away(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    steps.wait_until_nothing_runs(laptop)
    left = left_over(laptop, memory(laptop).stem)
    assert steps.status(laptop, "alice")["state"] == "no-keeper"
    assert steps.refused(laptop, "disconnect", "alice")[1]["code"] == "no-session"
    assert known(steps.connect(laptop, "alice")) == known(first)
    wait_for("the memory tidied", lambda: not left[-1].exists(), timeout=ROUND)
    steps.done(laptop, "disconnect", "alice")
    wait_for("the keeper's end", lambda: not steps.keepers(laptop), timeout=60)
    assert not [path for path in left if os.path.lexists(path)]
    assert "Traceback" not in steps.done(laptop, "logs", "alice", "--keeper").out


@pytest.mark.parametrize(
    "text",
    ["", "\0" * 150, '{"host": "alice", "na', "[]", "17", "[" * 9999,
     '{"host": "alice", "name": "main", "ssh_config": null, "port": 70000}',
     '{"host": "alice", "name": "../x", "ssh_config": null, "port": 7000}',
     '{"host": ["alice"], "name": "main", "ssh_config": 1, "port": true}'],
)  # fmt: skip
def test_a_memory_that_is_no_memory_is_none(text: str, laptop: Laptop, existing: Any) -> None:
    steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    memory(laptop).write_text(text)
    assert steps.done(laptop, "list", "--json").json["sessions"] == []
    assert steps.refused(laptop, "status", "alice")[1]["code"] == "no-session"
    again = steps.connect(laptop, "alice")
    assert (again["pid"], again["notes"]) == (existing["pid"], [])
    steps.done(laptop, "disconnect", "alice")


def test_a_memory_of_a_newer_farlab_is_read(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    memory(laptop).write_text(memory(laptop).read_text().replace("{", '{"colour": "red", ', 1))
    assert steps.connect(laptop, "alice")["port"] == first["port"]
    steps.done(laptop, "disconnect", "alice")
