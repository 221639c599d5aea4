"""The main job as a user does it first: connect, use it, come back to it, terminate."""

from __future__ import annotations

import os
import signal

from bed import Host, Laptop, wait_for
from host_parts import server_of


def test_a_notebook_comes_in_one_command_and_is_gone_in_another(laptop: Laptop, host: Host) -> None:
    connected = laptop.farlab("connect", "alice", "--json", timeout=90)
    assert connected.code == 0, connected
    words = connected.json
    assert (words["host"], words["name"], words["node"]) == ("alice", "main", host.ssh_alias)
    assert (words["app"], words["transport"], words["launcher"], words["reused"]) == ("lab", "unix", "tmux", False)
    assert words["url"] == f"http://alice-main.localhost:{words['port']}/lab?token={words['token']}"
    assert words["token"] not in str(laptop.opened)
    assert laptop.opened

    status = laptop.run("curl", "-s", "-H", f"Authorization: token {words['token']}", f"{words['address']}/api/status")
    assert status.json["kernels"] == 0, status

    again = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=30)
    assert again.code == 0, again
    assert again.json["reused"] is True
    assert {**again.json, "reused": 0, "seconds": 0} == {**words, "reused": 0, "seconds": 0}

    (session,) = laptop.farlab("list", "--json").json["sessions"]
    assert (session["host"], session["state"], session["dir"]) == ("alice", "up", "/home/alice")

    ended = laptop.farlab("terminate", "alice", timeout=60)
    assert ended.code == 0, ended
    assert laptop.farlab("list", "--json").json["sessions"] == []
    assert laptop.farlab("terminate", "alice", timeout=60).code == 3


def test_a_server_that_hangs_behind_a_living_keeper_is_told_and_not_replaced(laptop: Laptop, host: Host) -> None:
    connected = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=90)
    assert connected.code == 0, connected
    server = server_of(host)
    os.kill(server.pid, signal.SIGSTOP)

    def code() -> int:
        return laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=60).code

    wait_for("the word that it hangs", lambda: code() == 7, timeout=40)
    hung = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=60)
    assert hung.json["error"]["code"] == "not-answering", hung
    assert "does not answer" in laptop.farlab("status", "alice").out
    os.kill(server.pid, signal.SIGCONT)
    wait_for("the notebook again", lambda: code() == 0, timeout=40)
    again = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=60)
    assert again.json["pid"] == connected.json["pid"]
    assert laptop.farlab("terminate", "alice", "--yes", timeout=60).code == 0
