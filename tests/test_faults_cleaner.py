"""What cleans `/tmp` on a host does not hurt a session: what is used stays, and what was removed comes back."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import steps
from address import Address, Kernel, connect
from bed import Host, Laptop, wait_for
from farlab.host import socket_guard
from host_parts import (
    agents_of,
    anchor_of,
    kernel_with_a_variable,
    new_kernel,
    remembers,
    run,
    server_of,
    wait_for_looks,
)

PLACE = "/tmp/farlab-2001/main"
REMOVALS = {
    "everything": "rm -rf /tmp/farlab-2001",
    "the session's directory": f"rm -rf {PLACE}",
    "the sockets": f"find {PLACE} -type s -delete",
}


def wait_until_held(host: Host, number: str, user: str = "alice") -> None:
    """Until the anchor has seen the sockets of that kernel: it looks once a second."""
    anchor = anchor_of(host, user)
    fds, place = f"/proc/{anchor.pid}/fd", anchor.argv[-1]
    there = {f"{place}/{path.name}" for path in host.path(place).glob(f"kernel-{number}-ipc*")}
    assert len(there) >= 5
    wait_for("its sockets", lambda: there <= {os.readlink(fd) for fd in Path(fds).iterdir()})


def clean(host: Host, script: str) -> None:
    """Remove the session's sockets, and wait until it has noticed."""
    cleaned = host.run("root", ["sh", "-c", script])
    assert cleaned.returncode == 0, cleaned
    wait_for("the sockets again", lambda: is_reachable(host, "server.sock"), timeout=30)


def is_reachable(host: Host, name: str) -> bool:
    code = f"import socket; socket.socket(1).connect('{PLACE}/{name}')"
    return host.run("alice", ["/usr/bin/python3", "-c", code]).returncode == 0


def restart(address: Address, number: str) -> None:
    status, _, content = address.ask("POST", f"/api/kernels/{number}/restart")
    assert status == 200, content


@pytest.mark.parametrize("script", REMOVALS.values(), ids=REMOVALS.keys())
def test_a_page_that_is_open_does_not_notice_that_the_sockets_were_removed_and_new_ones_can_be_opened(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host, script: str
) -> None:
    alice = connect(laptop, "alice")
    number = kernel_with_a_variable(alice)
    page = Kernel(alice, number)
    wait_until_held(host, number)
    clean(host, script)
    assert page.run("print(x)") == "42\n"
    assert remembers(alice, number)
    assert run(alice, new_kernel(alice), "print(1)") == "1\n"
    assert alice.status()["reason"] in (None, "")
    assert steps.status(laptop, "alice")["outages"] == 0
    other = connect(new_laptop(), "alice")
    assert (other.connected["reused"], other.connected["pid"]) == (True, alice.connected["pid"])
    assert remembers(other, number)
    assert [oct(host.path(at).stat().st_mode & 0o777) for at in (PLACE, os.path.dirname(PLACE))] == ["0o700"] * 2
    restart(alice, number)
    wait_for("the kernel anew", lambda: run(alice, number, "print('x' in globals())") == "False\n", timeout=60)
    page.close()
    assert other.laptop.farlab("disconnect", "alice").code == 0
    steps.terminate(laptop, "alice")
    assert not host.left_over("alice")
    assert not host.path("/tmp/farlab-2001").exists()


def test_a_session_whose_sockets_were_removed_while_nobody_was_there_is_found_again(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host
) -> None:
    alice = connect(laptop, "alice")
    number, server = kernel_with_a_variable(alice), server_of(host)
    wait_until_held(host, number)
    steps.done(laptop, "disconnect", "alice")
    wait_for("the end of the link", lambda: not agents_of(host))
    assert host.run("root", ["rm", "-rf", "/tmp/farlab-2001"]).returncode == 0
    again = connect(new_laptop(), "alice")  # at once: the anchor may not have noticed
    assert (again.connected["reused"], again.token) == (True, alice.token)
    assert server_of(host).key == server.key
    assert remembers(again, number)
    [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert listed["state"] == "up", listed
    steps.terminate(again.laptop, "alice")
    assert not host.left_over("alice")
    assert not host.path("/tmp/farlab-2001").exists()


def test_a_session_is_found_again_though_its_runtime_directory_ended_with_the_logout_and_is_made_with_the_login(
    laptop: Laptop, host: Host
) -> None:
    assert host.run("root", ["touch", "/tmp/farlab-2021"]).returncode == 0  # somebody else's: that one is taken
    rita = connect(laptop, "rita")
    assert host.path("/run/user/2021/farlab/main/anchor.sock").is_socket()
    number, anchor = kernel_with_a_variable(rita), anchor_of(host, "rita")
    wait_until_held(host, number, "rita")
    steps.done(laptop, "disconnect", "rita")
    wait_for("the end of the link", lambda: not agents_of(host, "rita"))
    assert host.run("root", ["rm", "-rf", "/run/user/2021"]).returncode == 0
    wait_for_looks(anchor.pid, 3)
    made = host.run("root", ["install", "-d", "-m", "700", "-o", "rita", "-g", "rita", "/run/user/2021"])
    assert made.returncode == 0, made
    again = connect(laptop, "rita")
    assert (again.connected["reused"], again.token) == (True, rita.token)
    assert remembers(again, number)
    steps.terminate(laptop, "rita")
    assert not host.path("/run/user/2021/farlab").exists()
    assert host.run("root", ["rm", "/tmp/farlab-2021"]).returncode == 0


STATE = ".local/state/farlab"


@pytest.mark.parametrize("removed", [STATE, f"{STATE}/main", f"{STATE}/main/record.json"])
def test_a_session_whose_record_was_removed_is_found_by_the_next_link_and_written_down_again(
    laptop: Laptop, new_laptop: Callable[[], Laptop], host: Host, removed: str
) -> None:
    alice = connect(laptop, "alice")
    number, server = kernel_with_a_variable(alice), server_of(host)
    assert host.run("alice", ["rm", "-rf", removed]).returncode == 0
    steps.kill(steps.links(laptop)[0])
    other = connect(new_laptop(), "alice")
    assert (other.connected["reused"], other.token) == (True, alice.token)
    wait_for("the link again", lambda: alice.status()["state"] == "up", timeout=60)
    assert remembers(alice, number)
    assert server_of(host).key == server.key
    record = host.home("alice") / STATE / "main/record.json"
    wait_for("the record again", record.exists, timeout=20)
    assert [oct(each.stat().st_mode & 0o777) for each in (record, record.parent)] == ["0o600", "0o700"]
    [listed] = other.laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert (listed["state"], listed["pid"]) == ("up", alice.connected["pid"]), listed
    assert other.laptop.farlab("disconnect", "alice").code == 0
    steps.terminate(laptop, "alice")
    assert not host.left_over("alice")


def test_a_session_without_a_record_is_told_of_and_terminated(laptop: Laptop, host: Host) -> None:
    """Without tmux, which lets go on what was stopped."""
    with host.hide("tmux"):
        alice = connect(laptop, "alice")
        steps.done(laptop, "disconnect", "alice")
        wait_for("the end of the link", lambda: not agents_of(host))
        anchor = anchor_of(host)
        os.kill(anchor.pid, signal.SIGSTOP)  # it does not write another meanwhile
        assert host.run("alice", ["rm", "-r", f"{STATE}/main/record.json"]).returncode == 0
        listing = laptop.popen(*laptop.farlab_argv("list", "--host", "alice", "--json"), stdout=subprocess.PIPE)
        wait_for("its agent", lambda: agents_of(host), timeout=30)
        os.kill(anchor.pid, signal.SIGCONT)
        [listed] = json.loads(listing.communicate(timeout=30)[0])["sessions"]
        assert listed["pid"] == alice.connected["pid"], listed
        assert host.run("alice", ["rm", "-rf", STATE]).returncode == 0
        steps.terminate(laptop, "alice")
    assert not host.left_over("alice")


def test_a_cleaner_by_age_leaves_a_session_alone(laptop: Laptop, host: Host) -> None:
    alice = connect(laptop, "alice")
    number = kernel_with_a_variable(alice)
    before = {path.name for path in host.path(PLACE).iterdir()}
    rule = host.path("/var/tmp/clean.conf")
    rule.write_text("d /tmp 1777 root root 1s\n")
    witness = host.path("/tmp/farlab-2001.of-somebody-else")
    (witness / "main").mkdir(parents=True)
    (witness / "main/file").touch()

    def is_cleaned() -> bool:
        assert host.run("root", ["systemd-tmpfiles", "--clean", "/var/tmp/clean.conf"]).returncode == 0
        return not witness.exists()

    wait_for("the cleaner's work", is_cleaned, timeout=30, pause=1.0)
    assert {path.name for path in host.path(PLACE).iterdir()} == before
    assert remembers(alice, number)
    rule.unlink()
    steps.terminate(laptop, "alice")


def test_files_are_marked_as_used_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "farlab/main"
    place.mkdir(parents=True)
    (place / "kernel.json").touch()
    kept = socket_guard.SocketGuard(str(place))
    for path in (place / "kernel.json", place):
        os.utime(path, (0, 0))
    kept.refresh()
    assert place.stat().st_mtime == 0
    monkeypatch.setattr(socket_guard, "TOUCH_INTERVAL", -1.0)
    kept.refresh()
    assert min(path.stat().st_mtime for path in (place / "kernel.json", place)) > 0


def test_a_directory_that_could_not_be_locked_is_locked_later(tmp_path: Path) -> None:
    place = tmp_path / "farlab/main"
    place.mkdir(parents=True)
    kept, cleaner = socket_guard.SocketGuard(str(place)), os.open(place, os.O_RDONLY)
    fcntl.flock(cleaner, fcntl.LOCK_EX)
    kept.refresh()
    fcntl.flock(cleaner, fcntl.LOCK_UN)
    kept.refresh()
    with pytest.raises(BlockingIOError):
        fcntl.flock(cleaner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(cleaner)
