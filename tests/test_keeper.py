"""The keeper: one port for a session, whatever happens to the keeper itself; and every verb in every state."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Bed, Host, Laptop, processes, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")


class Listener:
    """A program of somebody else's that listens on a port of the laptops."""

    def __init__(self, laptop: Laptop, port: int = 0) -> None:
        code = (
            "import socket,sys; s=socket.socket(); s.setsockopt(1,2,1); s.bind(('127.0.0.1',int(sys.argv[1])));"
            "s.listen(); print(s.getsockname()[1],flush=True); sys.stdin.read()"
        )
        self.process = laptop.popen(
            "/usr/bin/python3", "-c", code, str(port), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout
        self.port = int(self.process.stdout.readline())

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate(timeout=10)


# the port -------------------------------------------------------------------------------------------------


def test_a_session_keeps_its_port_over_disconnects(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    told = steps.done(laptop, "disconnect", "alice", "--json").json
    assert told["port"] == first["port"]
    steps.wait_until_nothing_runs(laptop)
    again = steps.connect(laptop, "alice")
    assert {key: again[key] for key in ("port", "pid", "token", "reused")} == {
        "port": first["port"], "pid": existing["pid"], "token": existing["token"], "reused": True
    }  # fmt: skip
    assert steps.answers(laptop, again)
    steps.done(laptop, "disconnect", "alice")


def test_a_killed_keeper_is_followed_by_another_on_the_same_port(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    [keeper], [link] = steps.keepers(laptop), steps.links(laptop)
    steps.kill(keeper)
    wait_for("the end of its ssh", lambda: steps.is_gone(link), timeout=30)
    assert steps.status(laptop, "alice")["state"] == "no-keeper"
    again = steps.connect(laptop, "alice")
    assert (again["port"], again["pid"], again["reused"]) == (first["port"], existing["pid"], True)
    assert again["notes"] == []
    assert len(steps.keepers(laptop)) == 1
    assert steps.answers(laptop, again)
    steps.done(laptop, "disconnect", "alice")


def test_a_keeper_that_is_told_to_end_leaves_the_session(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    [keeper] = steps.keepers(laptop)
    os.kill(keeper.pid, signal.SIGTERM)
    steps.wait_until_nothing_runs(laptop)
    assert steps.connect(laptop, "alice")["pid"] == first["pid"]
    steps.done(laptop, "disconnect", "alice")


def test_a_remembered_port_that_is_taken_gives_another_and_says_so(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    with Listener(laptop, first["port"]):
        ran = laptop.farlab("connect", "alice", "--no-browser")
        assert ran.code == 0, ran
        assert f"note: port {first['port']} is in use" in ran.err
        second = steps.status(laptop, "alice")["port"]
        assert second != first["port"]
        assert f"port {second}" in ran.err
        steps.done(laptop, "disconnect", "alice")
    assert steps.connect(laptop, "alice")["port"] == second  # the new one is what is remembered
    steps.done(laptop, "disconnect", "alice")


def test_a_port_that_was_asked_for_and_is_taken_is_an_error(laptop: Laptop, existing: Any) -> None:
    with Listener(laptop) as taken:
        code, error = steps.refused(laptop, "connect", "alice", "--port", str(taken.port))
        assert (code, error["code"]) == (1, "port-busy")
        assert error["message"].endswith(f"port {taken.port}")
        assert "Address already in use" in error["detail"]
        steps.wait_until_nothing_runs(laptop)
        assert not (laptop.home / ".local/state/farlab").exists()
        wanted = taken.port
    assert steps.connect(laptop, "alice", "--port", str(wanted))["port"] == wanted
    again = steps.connect(laptop, "alice", "--port", str(wanted + 1))
    assert again["port"] == wanted
    assert any("disconnect" in note for note in again["notes"])
    steps.done(laptop, "disconnect", "alice")


def test_the_port_is_taken_before_ssh_is_started(laptop: Laptop, bed: Bed) -> None:
    bed.wan.blackhole("on")
    connecting = laptop.popen(*laptop.farlab_argv("connect", "alice", "--port", "47321", "--timeout", "60"))
    wait_for("the ssh", lambda: [it for it in steps.links(laptop) if "-G" not in it.argv])
    listening = processes.listening(laptop.holder)
    assert "tcp 127.0.0.1:47321" in listening
    assert steps.interrupt(connecting) == 130
    steps.wait_until_nothing_runs(laptop)


# connecting again -----------------------------------------------------------------------------------------


def test_connecting_again_uses_no_ssh(laptop: Laptop, existing: Any) -> None:
    first = steps.connect(laptop, "alice")
    laptop.write_stub("ssh", f"#!/bin/sh\necho x >> {laptop.home}/called\nexit 255\n")
    again = steps.connect(laptop, "alice")
    assert {key: again[key] for key in ("url", "port", "token", "pid", "node", "server")} == {
        key: first[key] for key in ("url", "port", "token", "pid", "node", "server")
    }
    assert again["reused"] is True
    for verb in ("status", "url", "open", "list"):
        steps.done(laptop, verb, *([] if verb == "list" else ["alice"]))
    steps.done(laptop, "disconnect", "alice")
    assert not (laptop.home / "called").exists()


def test_a_fresh_session_is_not_said_to_be_reused_but_the_second_connect_is(laptop: Laptop, host: Host) -> None:
    assert steps.connect(laptop, "bob")["reused"] is False
    assert steps.connect(laptop, "bob")["reused"] is True
    assert laptop.farlab("-t", "bob", "--yes").code == 0
    wait_for("the end of the session", lambda: not host.processes("bob"))


def test_stop_is_terminate(laptop: Laptop, host: Host) -> None:
    steps.connect(laptop, "bob")
    told = steps.done(laptop, "stop", "bob", "--yes", "--json").json
    assert told["was_running"] is True
    wait_for("the end of the session", lambda: not host.processes("bob"))
    for words in (("stop", "bob"), ("-t", "bob")):
        assert steps.refused(laptop, *words)[1]["code"] == "no-session"


# every verb in every state --------------------------------------------------------------------------------


def test_verbs_where_nothing_was_ever_connected(laptop: Laptop, existing: Any) -> None:
    assert steps.done(laptop, "list", "--json").json["sessions"] == []
    for verb in (["status"], ["disconnect"], ["logs", "--keeper"]):
        code, error = steps.refused(laptop, verb[0], "alice", *verb[1:])
        assert (code, error["code"]) == (3, "no-session"), verb
        assert "`alice`" in error["message"]
        assert error["hint"]
    assert "Jupyter" in steps.done(laptop, "logs", "alice").out
    found = steps.done(laptop, "list", "--host", "alice", "--json").json["sessions"]
    assert [(it["name"], it["state"], it["pid"]) for it in found] == [("main", "up", existing["pid"])]


def test_verbs_where_the_session_is_up(laptop: Laptop, existing: Any) -> None:
    connected = steps.connect(laptop, "alice")
    told = steps.status(laptop, "alice")
    assert {key: told[key] for key in ("state", "port", "pid", "node", "outages")} == {
        "state": "up", "port": connected["port"], "pid": connected["pid"], "node": "login", "outages": 0
    }  # fmt: skip
    assert told["keeper_pid"] == steps.keepers(laptop)[0].pid
    assert connected["token"] not in str(told)
    address = steps.done(laptop, "url", "alice", "--json").json
    assert (address["url"], address["token"]) == (connected["url"], connected["token"])
    assert connected["token"] in steps.done(laptop, "url", "alice").out
    plain = steps.done(laptop, "url", "alice", "--plain").out.strip()
    assert plain == connected["url"].replace("alice-main.localhost", "127.0.0.1")
    steps.done(laptop, "open", "alice")
    [opened] = laptop.opened
    assert connected["token"] not in opened
    assert "Jupyter" in steps.done(laptop, "logs", "alice").out
    assert "up" in steps.done(laptop, "logs", "alice", "--keeper").out
    steps.done(laptop, "disconnect", "alice")


def test_verbs_where_the_keeper_has_gone(laptop: Laptop, existing: Any) -> None:
    connected = steps.connect(laptop, "alice")
    steps.kill(steps.keepers(laptop)[0])
    wait_for("the end of its ssh", lambda: not steps.links(laptop), timeout=30)
    told = steps.status(laptop, "alice")
    assert (told["state"], told["port"]) == ("no-keeper", connected["port"])
    [listed] = steps.done(laptop, "list", "--json").json["sessions"]
    assert listed["state"] == "no-keeper"
    assert "farlab connect alice" in steps.done(laptop, "status", "alice").out
    assert "up" in steps.done(laptop, "logs", "alice", "--keeper").out
    assert steps.refused(laptop, "disconnect", "alice")[0] == 3
    assert steps.done(laptop, "url", "alice").out.strip() == connected["url"]  # connects
    steps.done(laptop, "disconnect", "alice")
    steps.done(laptop, "open", "alice")
    assert len(laptop.opened) == 1
    steps.done(laptop, "disconnect", "alice")


# a first connect that fails or is interrupted -------------------------------------------------------------


def test_a_first_connect_that_fails_leaves_nothing(laptop: Laptop, host: Host) -> None:
    steps.add_to_config(laptop, "Host closed\n  HostName login\n  Port 1\n")
    code, error = steps.refused(laptop, "connect", "closed")
    assert (code, error["code"]) == (4, "unreachable")
    steps.wait_until_nothing_runs(laptop)
    assert not (laptop.home / ".local/state/farlab").exists()
    assert steps.done(laptop, "list", "--json").json["sessions"] == []


@pytest.mark.parametrize(
    "moment", ["a keeper starts", "ssh connects", "the agent starts the session", "the server starts"]
)
def test_control_c_leaves_nothing_half_done_while(moment: str, laptop: Laptop, host: Host, bed: Bed) -> None:
    if moment in ("a keeper starts", "ssh connects"):
        bed.wan.blackhole("on")
    connecting = laptop.popen(*laptop.farlab_argv("connect", "sam", "--no-browser"))
    facts = {
        "a keeper starts": lambda: steps.keepers(laptop),
        "ssh connects": lambda: [it for it in steps.links(laptop) if "-G" not in it.argv],
        "the agent starts the session": lambda: host.processes("sam"),
        "the server starts": lambda: [it for it in host.processes("sam") if it.name.startswith("bash")],
    }
    wait_for(moment, facts[moment], timeout=30)
    assert steps.interrupt(connecting) == 130
    steps.wait_until_nothing_runs(laptop)
    assert not (laptop.home / ".local/state/farlab").exists()
    wait_for("the end of all on the host", lambda: not host.processes("sam"), timeout=45)
    assert not (host.home("sam") / ".local/state/farlab").exists()


def test_control_c_ends_the_program_that_makes_the_connection_too(laptop: Laptop) -> None:
    """A SIGTERM for `ssh` alone would leave it: a jump host's `ssh`, which may go on asking."""
    steps.add_to_config(laptop, "Host through\n  ProxyCommand sleep 4321\n")

    def running() -> list[processes.Process]:
        return [it for it in laptop.processes() if it.argv == ("sleep", "4321")]

    connecting = laptop.popen(*laptop.farlab_argv("connect", "through", "--no-browser"))
    wait_for("the program", running)
    assert steps.interrupt(connecting) == 130
    steps.wait_until_nothing_runs(laptop)
    wait_for("its end", lambda: not running())


def test_control_c_for_one_of_two_waiting_connects_leaves_the_other(laptop: Laptop, host: Host) -> None:
    argv = laptop.farlab_argv("connect", "sam", "--no-browser", "--json")
    one = laptop.popen(*argv)
    wait_for("the keeper", lambda: steps.links(laptop))
    other = laptop.popen(*argv, stdout=subprocess.PIPE)
    wait_for("the session", lambda: host.processes("sam"), timeout=30)
    assert steps.interrupt(one) == 130
    out, _ = other.communicate(timeout=60)
    assert other.returncode == 0, out
    steps.terminate(laptop, "sam")


def test_a_keepers_files_are_the_users_alone(laptop: Laptop, existing: Any) -> None:
    steps.connect(laptop, "alice")
    found = [Path(path) for path in steps.sockets_and_locks(laptop)]
    found += (laptop.home / ".local/state/farlab").rglob("*")
    assert found
    assert not [path for path in found if path.stat().st_mode & 0o077 and not path.is_symlink()]
    as_eve = laptop.run("sh", "-c", f"ls -R {laptop.runtime} {laptop.home}/.local/state/farlab", user="eve")
    assert "sock" not in as_eve.out
    steps.done(laptop, "disconnect", "alice")
