"""Faults of a host: of its sshd, the agent, the anchor, the server, the kernels, and of the host as a whole."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import websocket

import steps
from address import Address, Kernel, connect, printed
from bed import Host, Laptop, processes, wait_for
from bed.hosts import remove_cgroup
from host_parts import (
    agents_of,
    anchor_of,
    kernel_with_a_variable,
    kernels_of,
    new_kernel,
    remembers,
    server_of,
    wait_for_looks,
)

PATIENCE = 100.0


@pytest.fixture
def alice(laptop: Laptop, host: Host) -> Iterator[Address]:
    """Alice's session; it is gone after the test."""
    yield connect(laptop, "alice")
    laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)


def is_state(laptop: Laptop, state: str, user: str = "alice") -> None:
    wait_for(state, lambda: steps.status(laptop, user)["state"] == state, timeout=PATIENCE)


def reason(laptop: Laptop) -> str:
    return str(steps.status(laptop, "alice")["reason"])


@contextlib.contextmanager
def stopped(process: processes.Process) -> Iterator[None]:
    """It hangs, for a while."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)


# sshd and the agent --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_jupyter")
def test_an_sshd_that_is_restarted_is_not_noticed(alice: Address, laptop: Laptop, host: Host) -> None:
    link = alice.link()
    host.restart_sshd()
    assert alice.ask("GET", "/api/status")[0] == 200
    assert alice.link() == link
    assert steps.status(laptop, "alice")["outages"] == 0


def test_an_sshd_that_is_stopped_for_a_while_is_an_outage_that_ends_by_itself(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    number = kernel_with_a_variable(alice)
    page = Kernel(alice, number)
    pids = anchor_of(host).pids
    [listener] = [it for it in processes.every() if it.name == "sshd" and it.pids == pids and is_listener(it)]
    steps.kill(listener)
    host.ends_connections()
    is_state(laptop, "down")
    assert host.run("root", ["/usr/sbin/sshd", "-E", "/var/log/sshd.log"]).returncode == 0
    is_state(laptop, "up")
    assert page.run("print(x)") == "42\n"
    page.close()


def is_listener(sshd: processes.Process) -> bool:
    """Not one of a connection."""
    return any("[listener]" in word for word in sshd.argv)


def test_an_agent_that_is_killed_is_an_outage_and_one_that_hangs_is_none(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    page = Kernel(alice, kernel_with_a_variable(alice))
    [agent] = agents_of(host)
    with stopped(agent):
        assert page.run("print(x)") == "42\n"
        assert alice.ask("GET", "/api/status")[0] == 200
    assert steps.status(laptop, "alice")["outages"] == 0
    steps.kill(agent)
    wait_for("the outage", lambda: steps.status(laptop, "alice")["outages"] == 1, timeout=PATIENCE)
    is_state(laptop, "up")
    assert page.run("print(x)") == "42\n"
    page.close()
    wait_for("one agent", lambda: len(agents_of(host)) == 1, timeout=PATIENCE)


# the anchor ----------------------------------------------------------------------------------------------


def test_an_anchor_that_hangs_for_a_while_loses_nothing(laptop: Laptop, host: Host) -> None:
    """Without tmux, which lets go on what was stopped."""
    with host.hide("tmux"):
        alice = connect(laptop, "alice")
        page, server, anchor = Kernel(alice, new_kernel(alice)), server_of(host), anchor_of(host)
        cell = page.start("import time\nfor i in range(40): print(i, flush=True); time.sleep(0.25)")
        with stopped(anchor):
            is_state(laptop, "silent")
            before = steps.arrivals(host)
            while steps.arrivals(host) < before + 4:  # knocks, and second links that fare no better
                assert steps.status(laptop, "alice")["state"] == "silent"
        is_state(laptop, "up")
        assert printed(page.messages(cell)) == "".join(f"{i}\n" for i in range(40))
        assert (server_of(host).key, anchor_of(host).key) == (server.key, anchor.key)
        page.close()
        steps.terminate(laptop, "alice")


def test_an_adopted_server_is_not_taken_for_ended_where_too_many_files_are_open(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    number, server = kernel_with_a_variable(alice), server_of(host)
    steps.kill(anchor_of(host))
    wait_for("the outage", lambda: steps.status(laptop, "alice")["outages"] == 1, timeout=PATIENCE)
    is_state(laptop, "up")
    anchor = anchor_of(host)
    inside = json.loads((host.home("alice") / ".local/state/farlab/main/record.json").read_text())["anchor"]["pid"]
    limit = ["prlimit", f"--pid={inside}", "--nofile"]
    before = host.run("alice", [*limit, "--noheadings", "--raw", "--output=SOFT"]).stdout.strip()
    assert host.run("alice", ["prlimit", f"--pid={inside}", "--nofile=3:"]).returncode == 0
    wait_for_looks(anchor.pid, 8)
    assert steps.status(laptop, "alice")["state"] == "up"
    assert host.run("alice", ["prlimit", f"--pid={inside}", f"--nofile={before}:"]).returncode == 0
    assert remembers(alice, number)
    assert (server_of(host).key, anchor_of(host).key) == (server.key, anchor.key)


# tmux ----------------------------------------------------------------------------------------------------


def test_a_session_outlives_the_tmux_that_held_it(alice: Address, laptop: Laptop, host: Host) -> None:
    assert alice.connected["launcher"] == "tmux"
    number, server, anchor = kernel_with_a_variable(alice), server_of(host), anchor_of(host)
    page = Kernel(alice, number)
    [tmux] = [each for each in host.processes("alice") if each.name.startswith("tmux")]
    steps.kill(tmux)
    wait_for("word of it", lambda: steps.status(laptop, "alice")["launcher"] == "detached", timeout=PATIENCE)
    assert page.run("print(x)") == "42\n"
    assert alice.ask("GET", "/api/status")[0] == 200
    assert (steps.status(laptop, "alice")["state"], steps.status(laptop, "alice")["outages"]) == ("up", 0)
    [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert (listed["state"], listed["launcher"]) == ("up", "detached"), listed
    steps.kill(steps.links(laptop)[0])
    wait_for("the outage", lambda: steps.status(laptop, "alice")["outages"] == 1, timeout=PATIENCE)
    is_state(laptop, "up")
    assert page.run("print(x)") == "42\n"
    assert (server_of(host).key, anchor_of(host).key) == (server.key, anchor.key)
    page.close()
    steps.terminate(laptop, "alice")
    assert not host.left_over("alice")
    assert not (host.home("alice") / ".local/state/farlab").exists()


# memory --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def little_memory(process: processes.Process, mib: int) -> Iterator[None]:
    """What that process takes from now on is little, or the kernel kills it."""
    v1 = Path("/sys/fs/cgroup/memory")
    top = v1 if v1.is_dir() else Path("/sys/fs/cgroup")
    if not v1.is_dir():
        (top / "cgroup.subtree_control").write_text("+memory")
    group = top / f"farlab-{process.pid}"
    group.mkdir()
    try:
        (group / ("memory.limit_in_bytes" if v1.is_dir() else "memory.max")).write_text(str(mib << 20))
        (group / "cgroup.procs").write_text(str(process.pid))
        yield
    finally:
        with contextlib.suppress(OSError):
            (top / "cgroup.procs").write_text(str(process.pid))
        remove_cgroup(group)


def test_a_server_that_ran_out_of_memory_is_told_as_that(alice: Address, laptop: Laptop, host: Host) -> None:
    with little_memory(server_of(host), 30):
        with contextlib.suppress(OSError):
            alice.say(b"POST /api/contents HTTP/1.1\r\nHost: localhost\r\nAuthorization: token %s\r\n"
                      b"Content-Length: 90000000\r\n\r\n" % alice.token.encode() + bytes(90_000_000))  # fmt: skip
        is_state(laptop, "ended")
    assert "signal SIGKILL; the host ran out of memory at that time and killed 1 process" in reason(laptop)
    [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert "ran out of memory" in listed["reason"], listed
    assert not connect(laptop, "alice").connected["reused"]


@pytest.mark.usefixtures("small_jupyter")
def test_a_server_is_not_said_to_have_run_out_of_memory_where_nobody_could_count_before(
    laptop: Laptop, host: Host
) -> None:
    counts = host.path("/tmp/vmstat")
    counts.write_text("nr_free_pages 1\n")
    assert host.run("root", ["mount", "--bind", "/tmp/vmstat", "/proc/vmstat"]).returncode == 0
    try:
        connect(laptop, "alice")
        server = server_of(host)
        counts.write_text("oom_kill 5\n")
        steps.kill(server)
        is_state(laptop, "ended")
        assert reason(laptop).endswith("the server ended (signal SIGKILL)")
    finally:
        host.run("root", ["umount", "/proc/vmstat"])
        counts.unlink()
    laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)


def test_a_kernel_that_ran_out_of_memory_is_started_again_by_jupyter_and_the_session_stays(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    number = kernel_with_a_variable(alice)
    [kernel] = kernels_of(host)
    with little_memory(kernel, 60):
        page = Kernel(alice, number)
        page.start("x = bytearray(400 << 20)")
        wait_for("its end", lambda: not processes.is_alive(kernel.pid, kernel.started), timeout=PATIENCE)
        page.close()
    wait_for("another", lambda: kernels_of(host), timeout=PATIENCE)
    wait_for(
        "its answer", lambda: answer_within(10, alice, number, "print('x' in globals())") == "False\n", timeout=PATIENCE
    )
    assert (steps.status(laptop, "alice")["state"], steps.status(laptop, "alice")["outages"]) == ("up", 0)


def answer_within(seconds: float, address: Address, number: str, code: str) -> str:
    """What a cell prints; nothing where Jupyter has lost it, as it may while it starts a kernel again."""
    page = Kernel(address, number)
    page.websocket.settimeout(seconds)
    try:
        return page.run(code)
    except websocket.WebSocketTimeoutException:
        return ""
    finally:
        page.close()


# the server hangs ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_jupyter")
def test_a_server_that_hangs_is_terminated_all_the_same(alice: Address, laptop: Laptop, host: Host) -> None:
    with stopped(server_of(host)):
        wait_for("it is noticed", lambda: "does not answer" in reason(laptop), timeout=PATIENCE)
        steps.done(laptop, "disconnect", "alice")
        steps.done(laptop, "terminate", "alice", "--yes")
    assert not host.left_over("alice")


# the host ------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("small_jupyter")
@pytest.mark.parametrize("fault", [Host.crash, Host.power_cut])
def test_a_host_that_was_rebooted_is_down_until_it_is_back_and_then_the_session_has_ended(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host, fault: Callable[[Host], None]
) -> None:
    fault(host)
    wait_for("it is noticed", lambda: steps.status(laptop, "alice")["state"] != "up", timeout=PATIENCE)
    assert steps.status(laptop, "alice")["state"] in ("silent", "down")
    assert "reboot" not in laptop.farlab("status", "alice").out
    host.boot()
    is_state(laptop, "ended")
    assert "the host was rebooted" in reason(laptop)
    assert "the host was rebooted" in laptop.farlab("status", "alice").out
    [listed] = new_laptop().farlab("list", "--host", "alice", "--json").json["sessions"]
    assert (listed["state"], listed["reason"]) == ("ended", "the host was rebooted"), listed
    again = connect(laptop, "alice")
    assert (again.connected["reused"], again.port) == (False, alice.port)
    assert again.ask("GET", "/api/status")[0] == 200
    steps.terminate(laptop, "alice")
    assert not (host.home("alice") / ".local/state/farlab").exists()


# a full disk ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def small_disk(host: Host, place: str, mode: str) -> Iterator[None]:
    """A file system of 8 MiB of its own."""
    mounted = host.run("root", ["mount", "-t", "tmpfs", "-o", f"size=8m,mode={mode},uid=2001", "small", place])
    assert mounted.returncode == 0, mounted
    try:
        yield
    finally:
        host.run("root", ["umount", "-l", place])


@contextlib.contextmanager
def full(host: Host, place: str) -> Iterator[None]:
    filled = host.run("alice", ["dd", "if=/dev/zero", f"of={place}/filler", "bs=4096"])
    assert "No space left" in filled.stderr, filled
    yield
    assert host.run("alice", ["rm", f"{place}/filler"]).returncode == 0


@pytest.mark.parametrize(("place", "mode"), [("/home/alice", "700"), ("/tmp", "1777")], ids=["home", "tmp"])
def test_a_session_goes_on_while_its_hosts_disk_is_full(laptop: Laptop, host: Host, place: str, mode: str) -> None:
    with small_disk(host, place, mode):
        alice = connect(laptop, "alice")
        number, server = kernel_with_a_variable(alice), server_of(host)
        page = Kernel(alice, number)
        with full(host, place):
            assert page.run("print(x)").startswith("42")  # IPython says that it cannot keep its history
            assert remembers(alice, number)
            steps.kill(steps.links(laptop)[0])
            wait_for("the outage", lambda: steps.status(laptop, "alice")["outages"] == 1, timeout=PATIENCE)
            is_state(laptop, "up")
            assert page.run("print(x)") == "42\n"
            if place == "/tmp":  # the sockets of another session go elsewhere
                connect(laptop, "alice", "--name", "second")
            else:
                code, error = steps.refused(laptop, "connect", "alice", "--name", "second", "--no-browser")
                assert (code, error["code"]) == (6, "disk-full"), error
        assert connect(laptop, "alice", "--name", "second").connected["reused"] is (place == "/tmp")
        steps.terminate(laptop, "alice", "--name", "second")
        assert server_of(host).key == server.key
        assert page.run("print(x)") == "42\n"
        page.close()
        steps.terminate(laptop, "alice")


def test_a_server_of_a_full_disk_is_adopted_when_there_is_space_again(laptop: Laptop, host: Host) -> None:
    with small_disk(host, "/home/alice", "700"):
        alice = connect(laptop, "alice")
        number, server = kernel_with_a_variable(alice), server_of(host)
        with full(host, "/home/alice"):
            steps.kill(anchor_of(host))
            wait_for("it is noticed", lambda: steps.status(laptop, "alice")["state"] != "up", timeout=PATIENCE)
            code, error = steps.refused(laptop, "connect", "alice", "--no-browser")
            assert (code, error["code"]) == (6, "disk-full"), error
            assert server_of(host).key == server.key
        again = connect(laptop, "alice")
        assert server_of(host).key == server.key
        assert remembers(again, number)
        steps.terminate(laptop, "alice")
