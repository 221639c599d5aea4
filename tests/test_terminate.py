"""`terminate` is surgical and complete: all of the session goes, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pexpect
import pytest

import steps
from address import Address, Kernel, connect
from bed import Bed, Host, Laptop, processes, wait_for
from host_parts import server_of

pytestmark = pytest.mark.usefixtures("small_jupyter")

PATIENCE = 100.0


def terminate(laptop: Laptop, *words: str) -> int:
    ran = laptop.farlab("terminate", "alice", *words, timeout=PATIENCE)
    assert "Traceback" not in ran.err, ran
    return ran.code


def left(laptop: Laptop, host: Host) -> list[object]:
    """What of a session is there, on either side, at this very moment; but a keeper has a moment to end."""
    files = [host.path("/tmp/farlab-2001"), host.home("alice") / ".local/state/farlab"]
    files += list(laptop.runtime.rglob("*.sock")) + list((laptop.home / ".local/state").rglob("*.json"))
    found: list[object] = [*host.processes("alice"), *(path for path in files if path.exists())]
    wait_for("the end of what ran here", lambda: not _running_on(laptop), timeout=2)
    return found


def _running_on(laptop: Laptop) -> list[processes.Process]:
    return [each for each in laptop.processes() if processes.carries(each, f"HOME={laptop.home}")]


@pytest.fixture
def alice(laptop: Laptop, host: Host) -> Iterator[Address]:
    """Alice's session; the test ends it."""
    address = connect(laptop, "alice")
    yield address
    laptop.farlab("terminate", "alice", "--yes", timeout=PATIENCE)


def busy(kernel: Kernel) -> None:
    """Let a kernel work for long."""
    for message in kernel.messages(kernel.start("import time; print('begun', flush=True); time.sleep(1000)")):
        if message["msg_type"] == "stream":
            return


def open_notebook(address: Address, name: str) -> Kernel:
    """A kernel that belongs to a notebook."""
    body = json.dumps({"path": name, "name": name, "type": "notebook", "kernel": {"name": "python3"}})
    status, _, content = address.ask("POST", "/api/sessions", body)
    assert status == 201, content
    return Kernel(address, json.loads(content)["kernel"]["id"])


@pytest.mark.jupyter
def test_when_terminate_returns_nothing_of_the_session_is_anywhere(alice: Address, laptop: Laptop, host: Host) -> None:
    open_notebook(alice, "idle.ipynb").run("1")
    ran = laptop.farlab("terminate", "alice", "--json", timeout=PATIENCE)
    assert not left(laptop, host)
    assert ran.code == 0, ran
    assert ran.json["kernels"] == 1
    with pytest.raises(ConnectionError):
        alice.socket()
    assert terminate(laptop) == 3


def test_a_fresh_laptop_ends_a_session_it_never_knew(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    other = new_laptop()
    ran = other.farlab("terminate", "alice", timeout=PATIENCE)
    assert ran.code == 0, ran
    assert not host.left_over("alice")
    assert not left(other, host)
    wait_for("the first laptop to know", lambda: alice.status()["state"] == "ended")
    ran = laptop.farlab("terminate", "alice", timeout=PATIENCE)
    assert (ran.code, ran.out) == (0, "session `main` on `alice` had ended already\n"), ran
    assert not left(laptop, host)
    assert terminate(laptop) == 3


@pytest.mark.jupyter
def test_busy_kernels_are_named_and_nothing_ends_without_a_yes(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    kernel = open_notebook(alice, "long work.ipynb")
    busy(kernel)
    for which in (laptop, new_laptop()):
        ran = which.farlab("terminate", "alice", "--json", timeout=PATIENCE)
        assert (ran.code, ran.json["error"]["code"]) == (2, "usage"), ran
        assert "long work.ipynb (busy)" in ran.json["error"]["message"]
        assert "--yes" in ran.json["error"]["hint"]
        asked = which.spawn_farlab("terminate", "alice", timeout=60)
        asked.expect_exact("long work.ipynb (busy)")
        asked.expect_exact("[y/N] ")
        asked.sendline("n")
        asked.expect(pexpect.EOF)
        asked.close()
        assert asked.exitstatus == 130
        asked = which.spawn_farlab("terminate", "alice", timeout=60)
        asked.expect_exact("[y/N] ")
        asked.sendintr()
        asked.expect(pexpect.EOF)
        asked.close()
        assert asked.exitstatus == 130
    assert alice.ask("GET", "/api/status")[0] == 200
    asked = laptop.spawn_farlab("terminate", "alice", timeout=60)
    asked.expect_exact("[y/N] ")
    asked.sendline("y")
    asked.expect_exact("terminated session `main` on `alice` (1 kernel)")
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == 0
    assert not left(laptop, host)
    kernel.websocket.close(timeout=1)


@pytest.mark.jupyter
def test_on_a_terminal_idle_kernels_are_named_too_and_nothing_ends_without_a_yes(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    """By way of the keeper, and by an errand of a laptop that has none; of a session with a name."""
    address, words = connect(laptop, "alice", "--name", "second"), ("terminate", "alice", "--name", "second")
    open_notebook(address, "fit.ipynb").run("x = 1")
    for which in (laptop, new_laptop()):
        asked = which.spawn_farlab(*words, timeout=60)
        asked.expect_exact("this ends session `second` on `alice`")
        asked.expect_exact("idle kernels:\r\n  fit.ipynb (idle)\r\n")
        asked.expect_exact("variables and unsaved changes are lost")
        asked.expect_exact("[y/N] ")
        asked.sendline("")
        asked.expect_exact("nothing was changed")
        assert steps.end_of(asked) == 130
    assert address.ask("GET", "/api/status")[0] == 200
    asked = which.spawn_farlab(*words, timeout=60)
    asked.expect_exact("[y/N] ")
    asked.sendline("y")
    asked.expect_exact("terminated session `second` on `alice` (1 kernel)")
    assert steps.end_of(asked) == 0
    assert laptop.farlab(*words, "--json", timeout=PATIENCE).json["was_running"] is False  # ended from elsewhere
    assert not left(laptop, host)


@pytest.mark.jupyter
def test_on_a_terminal_a_session_without_kernels_ends_unasked_and_one_that_hangs_does_not(
    alice: Address, laptop: Laptop, host: Host
) -> None:
    kernel, server = open_notebook(alice, "fit.ipynb"), server_of(host)
    with steps.frozen([server]):
        asked = laptop.spawn_farlab("terminate", "alice", timeout=60)
        asked.expect_exact("cannot tell which kernels run in session `main` on `alice`")
        asked.expect_exact("[y/N] ")
        asked.sendline("n")
        assert steps.end_of(asked) == 130
    assert alice.ask("DELETE", f"/api/kernels/{kernel.id}")[0] == 204
    assert laptop.farlab("terminate", "alice", timeout=PATIENCE, tty=True).code == 0
    assert not left(laptop, host)


@pytest.mark.jupyter
def test_who_said_yes_is_not_asked_again_where_the_link_breaks(
    alice: Address, laptop: Laptop, host: Host, bed: Bed
) -> None:
    kernel = open_notebook(alice, "long work.ipynb")
    busy(kernel)
    asked = laptop.spawn_farlab("terminate", "alice", timeout=PATIENCE)
    asked.expect_exact("[y/N] ")
    bed.wan.blackhole("on")
    asked.sendline("y")
    wait_for("the keeper to notice", lambda: alice.status()["state"] != "up", timeout=60)
    bed.wan.blackhole("off")
    asked.expect(pexpect.EOF)
    assert "[y/N]" not in asked.before
    asked.close()
    assert asked.exitstatus == 0, asked.before
    assert not left(laptop, host)
    kernel.websocket.close(timeout=1)


def own_processes(host: Host, address: Address) -> dict[str, int]:
    """What alice runs beside the session: a tmux of her own, and what she detached from it. Numbers are the host's."""
    made = host.run("alice", ["tmux", "new-session", "-d", "-s", "farlab-mine", "exec sleep 1001"])
    assert made.returncode == 0, made
    made = host.run("alice", ["tmux", "-L", "other", "new-session", "-d", "-s", "farlab-main", "exec sleep 1002"])
    assert made.returncode == 0, made
    reading = "nohup tail -f /dev/null /tmp/farlab-2001/main/kernel-notes >/dev/null 2>&1 & :"
    assert host.run("alice", ["sh", "-c", reading]).returncode == 0
    code = (
        "import subprocess; subprocess.Popen('nohup sleep 1004 >/dev/null 2>&1 &', shell=True, start_new_session=True)"
    )
    with address.kernel() as kernel:
        kernel.run(code)
    sleeps = ["1001", "1002", "1004"]
    return wait_for("her processes", lambda: _sleeping(host, sleeps))


def _sleeping(host: Host, seconds: list[str]) -> dict[str, int]:
    found = {each.argv[1]: each.pid for each in host.processes("alice") if each.argv[:1] == ("sleep",)}
    return found if all(each in found for each in seconds) else {}


@pytest.mark.jupyter
def test_what_else_the_user_runs_is_left_alone(alice: Address, laptop: Laptop, host: Host) -> None:
    own = own_processes(host, alice)
    try:
        assert terminate(laptop, "--yes") == 0
        assert _sleeping(host, list(own)) == own
        assert [each.name for each in host.processes("alice")].count("tail") == 1
        rest = {each.name.partition(":")[0] for each in host.processes("alice")}
        assert rest <= {"sleep", "tmux", "tail"}, host.processes("alice")
        assert "farlab-mine" in host.run("alice", ["tmux", "ls"]).stdout
        assert "farlab-main" not in host.run("alice", ["tmux", "ls"]).stdout
        assert "farlab-main" in host.run("alice", ["tmux", "-L", "other", "ls"]).stdout
    finally:
        for each in host.processes("alice"):
            processes.end(each.pid, each.started)


def test_a_hung_server_is_ended_all_the_same(alice: Address, laptop: Laptop, host: Host) -> None:
    [server] = [each for each in host.processes("alice") if "farlab.host.run_jupyter" in each.argv]
    os.kill(server.pid, signal.SIGSTOP)
    assert terminate(laptop, "--yes") == 0
    assert not left(laptop, host)


def test_a_hung_anchor_is_ended_all_the_same_and_from_a_fresh_laptop(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    """Without tmux, which lets go on what was stopped."""
    with host.hide("tmux"):
        connect(laptop, "alice")
        [anchor] = [each for each in host.processes("alice") if each.argv[4:5] == ("farlab.host.anchor",)]
        os.kill(anchor.pid, signal.SIGSTOP)
        which = new_laptop()
        assert terminate(which, "--yes") == 0
        wait_for("the end of all", lambda: not left(which, host))  # the first laptop may have come to look
    assert terminate(laptop) == 0


def test_a_session_that_ended_is_no_error_where_it_was_known_and_status_3_elsewhere(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    other = new_laptop()
    assert connect(other, "alice").connected["reused"]
    ran = new_laptop().farlab("terminate", "alice", "--name", "second", timeout=PATIENCE)
    assert (ran.code, "others run there: `farlab terminate alice`" in ran.err) == (3, True), ran
    assert terminate(laptop) == 0
    assert terminate(other) == 0
    for which in (laptop, other, new_laptop()):
        ran = which.farlab("terminate", "alice", "--json", timeout=PATIENCE)
        assert (ran.code, ran.json["error"]["code"]) == (3, "no-session"), ran
    assert not left(other, host)


@pytest.mark.jupyter
def test_connect_right_after_terminate_gets_a_new_session(alice: Address, laptop: Laptop, host: Host) -> None:
    """Also while the last one is still saying goodbye."""
    for _ in range(2):
        assert terminate(laptop) == 0
        again = connect(laptop, "alice")
        assert not again.connected["reused"]
        assert again.connected["launcher"] == "tmux"
        assert again.connected["port"] == alice.connected["port"] or again.connected["notes"] == []
        assert again.ask("GET", "/api/status")[0] == 200


def test_the_tmux_session_stays_and_goes_whatever_tmux_is_told_to_do_with_others(laptop: Laptop, host: Host) -> None:
    (host.home("alice") / ".tmux.conf").write_text("set -g remain-on-exit on\nset -g destroy-unattached on\n")
    try:
        assert connect(laptop, "alice").connected["launcher"] == "tmux"
        assert terminate(laptop) == 0
        assert not host.left_over("alice")
    finally:
        (host.home("alice") / ".tmux.conf").unlink()


def test_two_terminates_at_once_end_one_session(
    alice: Address, laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    laptops, codes = [laptop, new_laptop(), new_laptop()], []
    threads = [
        threading.Thread(target=lambda which=which: codes.append(terminate(which, "--yes"))) for which in laptops
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(codes) <= {0, 3}
    assert 0 in codes
    assert not host.left_over("alice")
    assert not (host.home("alice") / ".local/state/farlab").exists()
