"""A session outlives what is around it; and where it hangs or ends, that is told as what it is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from address import Address, connect
from bed import Host, Laptop, processes, wait_for
from farlab.host.processes import is_same, process
from host_parts import anchor_of, kernel_with_a_variable, remembers, server_of

pytestmark = pytest.mark.usefixtures("small_jupyter")

PATIENCE = 100.0
LARGE = """
import mmap, sys
memory = mmap.mmap(-1, 1 << 29)
memory.madvise(mmap.MADV_NOHUGEPAGE)
for page in range(0, 1 << 29, 4096):
    memory[page] = 1
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def alice(laptop: Laptop, host: Host) -> Iterator[Address]:
    """Alice's session; it is gone after the test."""
    address = connect(laptop, "alice")
    yield address
    laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)


def state(laptop: Laptop) -> dict[str, object]:
    found: dict[str, object] = laptop.farlab("status", "alice", "--json").json
    return found


# the anchor is killed ------------------------------------------------------------------------------------


@pytest.mark.jupyter
def test_a_session_whose_anchor_was_killed_is_found_again_by_itself_with_all_its_variables(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    number, anchor, server = kernel_with_a_variable(alice), anchor_of(host), server_of(host)
    processes.end(anchor.pid, anchor.started)
    wait_for("the keeper to see it", lambda: state(laptop)["outages"], timeout=PATIENCE)
    wait_for("the session again", lambda: state(laptop)["state"] == "up", timeout=PATIENCE)
    assert remembers(alice, number)
    assert server_of(host).key == server.key
    assert anchor_of(host).pid != anchor.pid
    assert "farlab-main" in host.run("alice", ["tmux", "ls"]).stdout
    ended = laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)
    assert ended.code == 0, ended
    assert not host.left_over("alice")


@pytest.mark.jupyter
def test_a_session_whose_anchor_was_killed_is_found_by_the_next_connect(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    number, anchor = kernel_with_a_variable(alice), anchor_of(host)
    assert laptop.farlab("disconnect", "alice").code == 0
    processes.end(anchor.pid, anchor.started)
    again = connect(new_laptop(), "alice", "--env", "other", "--dir", "/tmp")
    assert again.token == alice.token
    for key in ("pid", "dir", "environment", "server", "app"):
        assert again.connected[key] == alice.connected[key], key
    assert remembers(again, number)
    assert len(again.connected["notes"]) == 1, again.connected
    assert again.laptop.farlab("disconnect", "alice").code == 0


def test_a_session_whose_anchor_and_server_were_killed_has_gone(alice: Address, laptop: Laptop, host: Host) -> None:
    assert laptop.farlab("disconnect", "alice").code == 0
    for each in (anchor_of(host), server_of(host)):
        processes.end(each.pid, each.started)
    assert laptop.farlab("terminate", "alice", "--json", timeout=PATIENCE).json["was_running"] is False
    assert not host.path("/tmp/farlab-2001").exists()
    assert not connect(laptop, "alice").connected["reused"]


# the server ends -----------------------------------------------------------------------------------------


def test_a_server_that_was_killed_is_told_with_the_signal_and_connect_starts_a_new_one(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    server = server_of(host)
    processes.end(server.pid, server.started)
    wait_for("the keeper to see it", lambda: state(laptop)["state"] == "ended", timeout=PATIENCE)
    assert "SIGKILL" in str(state(laptop)["reason"])
    assert "ended" in laptop.farlab("list").out
    assert "SIGKILL" in laptop.farlab("status", "alice").out
    [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert (listed["state"], "SIGKILL" in listed["reason"]) == ("ended", True), listed
    wait_for("the host to be empty", lambda: not host.processes("alice"))
    assert not host.path("/tmp/farlab-2001").exists()
    again = connect(laptop, "alice")
    assert not again.connected["reused"]
    assert again.port == alice.port
    assert again.ask("GET", "/api/status")[0] == 200


@pytest.mark.jupyter
def test_a_server_shut_down_from_its_own_menu_is_told_as_ended_and_connect_starts_a_new_one(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    assert alice.ask("POST", "/api/shutdown")[0] == 200
    wait_for("the keeper to see it", lambda: state(laptop)["state"] == "ended", timeout=PATIENCE)
    assert "exit status 0" in str(state(laptop)["reason"])
    assert "ServerApp" in laptop.farlab("logs", "alice").out
    again = connect(laptop, "alice")
    assert not again.connected["reused"]
    assert again.connected["launcher"] == "tmux"
    assert again.port == alice.port
    assert again.ask("GET", "/api/status")[0] == 200
    assert again.ask("POST", "/api/shutdown")[0] == 200
    wait_for("the keeper to see it", lambda: state(laptop)["state"] == "ended", timeout=PATIENCE)
    assert laptop.farlab("terminate", "alice", "--json", timeout=PATIENCE).json["was_running"] is False
    assert not (host.home("alice") / ".local/state/farlab").exists()


def test_a_server_that_ended_while_no_laptop_was_there_is_told_later(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    assert laptop.farlab("disconnect", "alice").code == 0
    server = server_of(host)
    processes.end(server.pid, server.started)
    wait_for("the host to be empty", lambda: not host.processes("alice"))
    [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert (listed["state"], "SIGKILL" in listed["reason"]) == ("ended", True), listed
    assert "the small server" in laptop.farlab("logs", "alice").out
    assert not connect(laptop, "alice").connected["reused"]


@pytest.mark.parametrize("others", [False, True], ids=["alone", "beside another"])
@pytest.mark.parametrize(
    "wish", [["kill-session", "-t", "farlab-main"], ["kill-pane", "-t", "farlab-main"], ["kill-server"]]
)
def test_the_tmux_session_killed_by_its_user_ends_the_session_whole(
    alice: Address, laptop: Laptop, host: Host, wish: list[str], others: bool
) -> None:
    if others:
        assert host.run("alice", ["tmux", "new-session", "-d", "-s", "mine", "exec sleep 1000"]).returncode == 0
    assert host.run("alice", ["tmux", *wish]).returncode == 0
    if others and wish != ["kill-server"]:
        wait_for(
            "the end of the session", lambda: "farlab-" not in host.run("alice", ["tmux", "ls"]).stdout, timeout=30
        )
        assert host.run("alice", ["tmux", "kill-session", "-t", "mine"]).returncode == 0
    wait_for("the host to be empty", lambda: not host.processes("alice"), timeout=30)
    assert not host.path("/tmp/farlab-2001").exists()
    assert not (host.home("alice") / ".local/state/farlab").exists()
    wait_for("the keeper to see it", lambda: state(laptop)["state"] == "ended", timeout=PATIENCE)


# a laptop that leaves ------------------------------------------------------------------------------------


def test_what_a_page_asked_of_a_session_that_starts_is_not_asked_once_its_laptop_has_left(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    go, other = host.home("alice") / "go", new_laptop()
    words = ("connect", "alice", "--json", "--no-browser", "--setup", "until test -e go; do sleep 0.05; done")
    leaving, staying = (each.popen(*each.farlab_argv(*words), stdout=subprocess.PIPE) for each in (laptop, other))
    for which in (laptop, other):
        wait_for("its line", lambda which=which: state_now(which) == "starting", timeout=PATIENCE)
    page = Address(laptop, {**state(laptop), "token": "", "url": ""}).socket()
    request = "GET /asked-by-{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    page.sendall(request.format("nobody").encode())
    wait_for("it to be asked", lambda: state(laptop)["streams"])
    assert laptop.farlab("disconnect", "alice").code == 0
    leaving.communicate()
    page.close()
    go.touch()
    told = json.loads(staying.communicate()[0])
    assert Address(other, told).say(request.format("somebody").encode())
    log = host.home("alice") / ".local/state/farlab/main/log"
    wait_for("that in the log", lambda: "asked-by-somebody" in log.read_text())
    assert "asked-by-nobody" not in log.read_text()
    go.unlink()
    assert other.farlab("terminate", "alice", "--yes", timeout=PATIENCE).code == 0


def state_now(laptop: Laptop) -> object:
    """The session's state, None where there is none yet."""
    return laptop.farlab("status", "alice", "--json").json.get("state")


# alive but silent ----------------------------------------------------------------------------------------


def test_a_server_that_hangs_is_told_as_such_and_not_replaced(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    server, other = server_of(host), new_laptop()
    os.kill(server.pid, signal.SIGSTOP)
    ran = other.farlab("connect", "alice", "--json", "--no-browser", timeout=PATIENCE)
    assert (ran.code, ran.json["error"]["code"]) == (7, "not-answering"), ran
    assert "farlab terminate alice" in ran.json["error"]["hint"]
    assert server_of(host).key == server.key
    os.kill(server.pid, signal.SIGCONT)
    assert connect(other, "alice").connected["pid"] == alice.connected["pid"]
    assert other.farlab("disconnect", "alice").code == 0


def test_an_anchor_that_hangs_is_told_as_such_and_not_replaced(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    """Without tmux, which lets go on what was stopped."""
    with host.hide("tmux"):
        alice, other = connect(laptop, "alice"), new_laptop()
        anchor, server = anchor_of(host), server_of(host)
        os.kill(anchor.pid, signal.SIGSTOP)
        ran = other.farlab("connect", "alice", "--json", "--no-browser", timeout=PATIENCE)
        assert (ran.code, ran.json["error"]["code"]) == (7, "not-answering"), ran
        assert "farlab terminate alice" in ran.json["error"]["hint"]
        listed = other.farlab("list", "--host", "alice", "--json").json["sessions"]
        assert "not-answering" in listed[0]["reason"]
        for key in ("server", "pid", "dir", "app"):
            assert listed[0][key] == alice.connected[key], key
        assert (anchor_of(host).key, server_of(host).key) == (anchor.key, server.key)
        os.kill(anchor.pid, signal.SIGCONT)
        assert connect(other, "alice").connected["pid"] == alice.connected["pid"]
        assert other.farlab("terminate", "alice", "--yes", timeout=PATIENCE).code == 0
    assert laptop.farlab("terminate", "alice", "--json", timeout=PATIENCE).json["was_running"] is False


def connections(host: Host, name: str) -> int:
    """How many sockets of that name there are, the one that listens and those that wait for it (proc(5))."""
    return host.run("root", ["cat", "/proc/net/unix"]).stdout.count("/" + name)


def test_a_process_that_was_killed_is_gone_before_its_memory_is() -> None:
    """Or a server that dies at once with its anchor would be adopted."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", LARGE], stdin=pipe, stdout=pipe) as large:
        assert large.stdout
        assert large.stdout.readline() == b"ready\n"
        one = process(large.pid)
        assert is_same(one)
        large.kill()
        wait_for("its end", lambda: not is_same(one), pause=0.0)
        assert large.poll() is None, "it was seen only when nothing of it was left"


def test_a_session_that_ends_while_it_is_asked_is_started_anew(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    """Without tmux, which lets go on what was stopped."""
    with host.hide("tmux"):
        alice, other = connect(laptop, "alice"), new_laptop()
        assert laptop.farlab("disconnect", "alice").code == 0
        wait_for("the end of the link", lambda: connections(host, "anchor.sock") == 1, timeout=PATIENCE)
        anchor, server = anchor_of(host), server_of(host)
        os.kill(anchor.pid, signal.SIGSTOP)
        words = other.farlab_argv("connect", "alice", "--json", "--no-browser")
        asking = other.popen(*words, stdout=subprocess.PIPE)
        wait_for("its agent to ask", lambda: connections(host, "anchor.sock") > 1, timeout=PATIENCE)
        processes.end(server.pid, server.started)
        wait_for("its end", lambda: not [it for it in host.processes("alice") if "farlab.host.run_jupyter" in it.argv])
        processes.end(anchor.pid, anchor.started)
        assert asking.stdout
        told = json.loads(asking.stdout.read())
        assert asking.wait(PATIENCE) == 0, told
        assert (told["reused"], told["pid"] == alice.connected["pid"]) == (False, False), told
        assert other.farlab("terminate", "alice", "--yes", timeout=PATIENCE).code == 0


def test_what_is_typed_into_the_tmux_session_does_not_hurt_it(alice: Address, laptop: Laptop, host: Host) -> None:
    anchor = anchor_of(host)
    for key in ("C-c", "C-z", "C-\\", "C-d", "q", "Enter"):
        assert host.run("alice", ["tmux", "send-keys", "-t", "farlab-main", key]).returncode == 0
    assert connect(laptop, "alice").ask("GET", "/api/status")[0] == 200
    assert anchor_of(host).key == anchor.key
