"""The link through every configuration of `ssh` that users have: one session, reached in many ways."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, wait_for
from bed.network import PLACES

pytestmark = pytest.mark.usefixtures("small_jupyter")

LAN = PLACES["login"].lan
WAYS = {
    "another port": ("login2222", ""),
    "IPv6": ("login6", ""),
    "an alias": ("the-big-one", "Host the-big-one\n  HostName login\n  User alice\n"),
    "a pattern": ("big-7", "Host big-*\n  HostName login\n  HostKeyAlias login\n"),
    "user@host": ("alice@login", ""),
    "a jump host": ("inside", f"Host inside\n  HostName {LAN}\n  ProxyJump bastion\n"),
    "two jump hosts": ("deep", f"Host deep\n  HostName {LAN}\n  ProxyJump bastion,alice@{PLACES['node1'].lan}\n"),
    "a ProxyCommand": ("through", f"Host through\n  HostName {LAN}\n  ProxyCommand ssh -W %h:%p bastion\n"),
    "an identity file": (
        "keyed",
        "Host keyed\n  HostName login\n  IdentityFile ~/else/where.key\n  IdentitiesOnly yes\n",
    ),
}
"""What is special → what is typed, and what stands in `~/.ssh/config` for it. All lead to alice@login."""
OPPOSED = """Host opposed
  HostName login
  HostKeyAlias login
  RemoteCommand echo mine
  RequestTTY force
  LocalForward 47111 127.0.0.1:1
  DynamicForward 47112
  PermitLocalCommand yes
  LocalCommand touch %d/local-command
  ControlMaster auto
  ControlPath %d/master-%C
  ControlPersist 600
  LogLevel QUIET
  ForwardX11 yes
  ForwardAgent yes
  SessionType none
  StdinNull yes
  ForkAfterAuthentication yes
"""
MASTERED = "Host *\n  ControlPath %d/master-%C\n"


@pytest.mark.parametrize("special", WAYS)
def test_a_session_is_reached_by_way_of(special: str, laptop: Laptop, existing: Any) -> None:
    host, config = WAYS[special]
    steps.add_to_config(laptop, config)
    ssh = laptop.home / ".ssh"
    if special == "an identity file":
        (laptop.home / "else").mkdir()
        (ssh / "id_ed25519").rename(laptop.home / "else/where.key")
    connected = steps.connect(laptop, host)
    assert (connected["host"], connected["reused"]) == (host, True)
    assert {key: connected[key] for key in ("pid", "token", "node")} == {
        key: existing[key] for key in ("pid", "token", "node")
    }
    assert steps.answers(laptop, connected)
    steps.done(laptop, "disconnect", host)


def test_another_configuration_file_is_used_by_every_ssh(laptop: Laptop, existing: Any) -> None:
    config = laptop.home / "an other config"
    (laptop.home / ".ssh/config").rename(config)
    connected = steps.connect(laptop, "alice", "-F", "an other config")
    assert connected["pid"] == existing["pid"]
    steps.kill(steps.links(laptop)[0])
    wait_for("an outage", lambda: steps.status(laptop, "alice", "-F", str(config))["outages"] == 1)
    assert steps.answers(laptop, connected)
    assert "[I " in steps.done(laptop, "logs", "alice", "-F", str(config)).out
    assert steps.refused(laptop, "status", "alice")[1]["code"] == "no-session"
    steps.done(laptop, "disconnect", "alice", "-F", str(config))


def test_a_configuration_that_wants_everything_otherwise_does_not_hinder(laptop: Laptop, existing: Any) -> None:
    steps.add_to_config(laptop, OPPOSED)
    connected = steps.connect(laptop, "opposed")
    assert connected["pid"] == existing["pid"]
    assert steps.answers(laptop, connected)
    listening = laptop.run("ss", "-Hltn", user="root").out
    assert f":{connected['port']} " in listening
    assert ":47111 " not in listening
    assert ":47112 " not in listening
    assert not list(laptop.home.glob("master-*"))
    assert not (laptop.home / "local-command").exists()
    steps.done(laptop, "disconnect", "opposed")


def logins(host: Host) -> int:
    """How often somebody has logged in at this host."""
    return host.path("/var/log/sshd.log").read_text().count("Accepted publickey ")


@pytest.fixture
def master(laptop: Laptop) -> Iterator[Callable[[str], Any]]:
    """Makes the user's own master connection to a host."""
    steps.add_to_config(laptop, MASTERED)
    made = []

    def make(host: str) -> Any:
        process = laptop.popen("ssh", "-M", "-N", "-o", "BatchMode=yes", host)
        made.append(process)
        wait_for("the master", lambda: laptop.ssh("-O", "check", host).code == 0)
        return process

    yield make
    for process in made:
        process.kill()
        process.wait(10)


def test_the_users_own_master_is_ridden_on_and_never_ended(
    laptop: Laptop, host: Host, existing: Any, master: Callable[[str], Any]
) -> None:
    process = master("alice")
    before = logins(host)
    connected = steps.connect(laptop, "alice")
    assert steps.answers(laptop, connected)
    assert logins(host) == before
    steps.done(laptop, "disconnect", "alice")
    assert steps.done(laptop, "list", "--host", "alice").out
    assert logins(host) == before
    assert process.poll() is None
    assert laptop.ssh("-O", "check", "alice").code == 0


def test_the_end_of_the_users_master_is_an_outage_like_any(
    laptop: Laptop, host: Host, existing: Any, master: Callable[[str], Any]
) -> None:
    process = master("alice")
    connected = steps.connect(laptop, "alice")
    before = logins(host)
    process.kill()
    assert steps.answers(laptop, connected)
    wait_for("up again", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=60)
    assert steps.status(laptop, "alice")["outages"] == 1
    assert logins(host) == before + 1
    steps.done(laptop, "disconnect", "alice")


def test_a_host_that_allows_one_session_and_no_forwarding_is_enough(laptop: Laptop) -> None:
    connected = steps.connect(laptop, "max")
    assert steps.answers(laptop, connected)
    assert steps.done(laptop, "list", "--host", "max", "--json").json["sessions"]
    steps.terminate(laptop, "max")


def test_a_master_that_gives_no_second_session_is_gone_around(
    laptop: Laptop, host: Host, master: Callable[[str], Any]
) -> None:
    process = master("max")
    taken = laptop.popen("ssh", "-o", "BatchMode=yes", "max", "cat", stdin=subprocess.PIPE)
    wait_for("the one session", lambda: [it for it in host.processes("max") if it.name == "cat"])
    connected = steps.connect(laptop, "max")
    assert steps.answers(laptop, connected)
    steps.terminate(laptop, "max")
    assert process.poll() is None
    taken.communicate(timeout=10)


@pytest.mark.jupyter
def test_a_home_of_a_hundred_characters_is_no_hindrance(laptop: Laptop, host: Host) -> None:
    connected = steps.connect(laptop, "lena")
    assert len(connected["dir"]) >= 100
    assert steps.answers(laptop, connected)
    created = laptop.run(
        "curl", "-s", "-X", "POST", f"{connected['address']}/api/kernels?token={connected['token']}", timeout=60
    )
    assert '"execution_state"' in created.out, created
    steps.terminate(laptop, "lena")


def test_a_node_behind_a_jump_host_has_a_session_of_its_own(laptop: Laptop, bed: Bed, existing: Any) -> None:
    connected = steps.connect(laptop, "node1", "--name", "far")
    assert (connected["node"], connected["reused"]) == ("node1", False)
    assert steps.answers(laptop, connected)
    assert bed.node1.processes("alice")
    steps.terminate(laptop, "node1", "--name", "far")
    wait_for("the end of tmux", lambda: not bed.node1.processes("alice"))
