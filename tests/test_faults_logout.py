"""A real systemd's logout: where it leaves a session alone that is found again, and where it ends it that is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import steps
from address import connect
from bed import Bed, Host, Laptop, wait_for
from host_parts import agents_of, kernel_with_a_variable, remembers

PLACE = "/run/user/2021"
PATIENCE = 60.0


@pytest.fixture(scope="module")
def other_bed(bed: Bed) -> Iterator[Bed]:
    """A second bed: login boots systemd, and logind makes and removes `/run/user/UID`."""
    with Bed(systemd=("login",)) as other:
        yield other


def kill_at_logout(host: Host, *, is_on: bool) -> None:
    value = "yes" if is_on else "no"
    host.path("/etc/systemd/logind.conf.d/bed.conf").write_text(f"[Login]\nKillUserProcesses={value}\n")
    assert host.run("root", ["systemctl", "restart", "systemd-logind"]).returncode == 0


def log_out(laptop: Laptop, host: Host) -> None:
    """End everything of hers that came over `ssh`."""
    steps.done(laptop, "disconnect", "rita")
    wait_for("the end of the link", lambda: not agents_of(host, "rita"), timeout=PATIENCE)


def test_a_session_outlives_the_logout_where_the_host_lets_it(other_bed: Bed) -> None:
    laptop, host = other_bed.add_laptop(), other_bed.login
    kill_at_logout(host, is_on=False)
    rita = connect(laptop, "rita")
    assert host.path("/tmp/farlab-2021/main/anchor.sock").is_socket()
    number = kernel_with_a_variable(rita)
    log_out(laptop, host)
    state = ["loginctl", "show-user", "rita", "--property=State", "--value"]
    wait_for("the logout", lambda: host.run("root", state).stdout.strip() == "closing", timeout=PATIENCE)
    again = connect(laptop, "rita")
    assert (again.connected["reused"], again.token) == (True, rita.token)
    assert remembers(again, number)
    steps.terminate(laptop, "rita")
    assert not host.left_over("rita")


def test_a_session_that_the_host_ended_at_logout_is_told_as_that(other_bed: Bed) -> None:
    laptop, host = other_bed.add_laptop(), other_bed.login
    kill_at_logout(host, is_on=True)
    rita = connect(laptop, "rita")
    kernel_with_a_variable(rita)
    log_out(laptop, host)
    wait_for("the end", lambda: not host.processes("rita") and not host.path(PLACE).exists(), timeout=PATIENCE)
    [listed] = laptop.farlab("list", "--host", "rita", "--json").json["sessions"]
    assert (listed["state"], "the host ended the session" in listed["reason"]) == ("ended", True), listed
    again = connect(laptop, "rita")
    assert (again.connected["reused"], again.port) == (False, rita.port)
    log_out(laptop, host)
    wait_for("the end", lambda: not host.processes("rita") and not host.path(PLACE).exists(), timeout=PATIENCE)
    assert laptop.farlab("terminate", "rita", "--json").json["was_running"] is False
    assert not (host.home("rita") / ".local/state/farlab").exists()
