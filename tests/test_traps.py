"""Other users of a host, who make what farlab's directory was when a reboot or a cleaner has taken it away."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import steps
from address import connect
from bed import Host, Laptop, processes, wait_for
from host_parts import anchor_of, wait_for_looks

pytestmark = pytest.mark.usefixtures("small_jupyter")

PLACE = "/tmp/farlab-2001"
CAUGHT = "/tmp/caught"
TRAP = f"""
import os, selectors, socket
os.umask(0)
os.makedirs("{PLACE}/main")
caught = open("{CAUGHT}", "wb", 0)
selector = selectors.DefaultSelector()
for name in ("anchor.sock", "server.sock"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("{PLACE}/main/" + name)
    listener.listen()
    selector.register(listener, selectors.EVENT_READ, True)
print("laid", flush=True)
while True:
    for key, _ in selector.select():
        if key.data:
            selector.register(key.fileobj.accept()[0], selectors.EVENT_READ, False)
        else:
            data = key.fileobj.recv(65536)
            caught.write(data)
            if not data:
                selector.unregister(key.fileobj)
                key.fileobj.close()
"""


@contextmanager
def trap(host: Host) -> Iterator[None]:
    """Bob listens where alice's sockets were, which somebody has removed."""
    assert host.run("root", ["rm", "-rf", PLACE]).returncode == 0
    catcher = host.popen("bob", ["/usr/bin/python3", "-c", TRAP], stdout=subprocess.PIPE)
    try:
        assert catcher.stdout is not None
        assert catcher.stdout.readline() == b"laid\n"
        yield
    finally:
        for each in host.processes("bob"):
            processes.end(each.pid, each.started)
        catcher.wait(10)
        host.run("root", ["rm", "-rf", PLACE, CAUGHT])


@pytest.fixture
def no_tmux(host: Host) -> Iterator[None]:
    """Which lets go on what was stopped."""
    with host.hide("tmux"):
        yield


def kill_all(host: Host) -> None:
    for each in host.processes("alice"):
        processes.end(each.pid, each.started)
    wait_for("the end of all of it", lambda: not host.processes("alice"))


def test_what_a_strangers_link_leads_to_is_not_removed(laptop: Laptop, host: Host) -> None:
    precious = host.home("alice") / "project/main/thesis.tex"
    made = host.run("alice", ["sh", "-c", "mkdir -p project/main; echo work > project/main/thesis.tex"])
    assert made.returncode == 0
    for verb in ("terminate", "connect"):
        connect(laptop, "alice")
        steps.done(laptop, "disconnect", "alice")
        kill_all(host)
        laid = host.run("root", ["sh", "-c", f"rm -rf {PLACE}; ln -s /home/alice/project {PLACE}"])
        assert laid.returncode == 0
        host.run("root", ["chown", "-h", "bob:bob", PLACE])
        ran = laptop.farlab(verb, "alice", *(["--no-browser"] if verb == "connect" else []))
        assert ran.code == 0
        assert precious.read_text() == "work\n"
        if verb == "connect":
            steps.terminate(laptop, "alice")
        assert precious.read_text() == "work\n"
        host.run("root", ["rm", "-f", PLACE])


@pytest.mark.usefixtures("no_tmux")
def test_who_takes_the_place_of_a_sessions_sockets_is_not_spoken_to(laptop: Laptop, host: Host) -> None:
    alice = connect(laptop, "alice")
    anchor = anchor_of(host)
    wait_for_looks(anchor.pid, 3)
    os.kill(anchor.pid, signal.SIGSTOP)
    with trap(host):
        os.kill(anchor.pid, signal.SIGCONT)
        for _ in range(2):
            assert alice.ask("GET", "/api/status")[0] == 200
            wait_for_looks(anchor.pid, 8)  # at one in five it asks the server
        steps.done(laptop, "disconnect", "alice")
        code, error = steps.refused(laptop, "connect", "alice")
        assert (code, error["code"]) == (7, "not-answering")
        assert "another user" in error["detail"]
        steps.terminate(laptop, "alice")
        assert not host.left_over("alice")
        assert host.path(CAUGHT).read_bytes() == b""


@pytest.mark.usefixtures("no_tmux")
def test_a_question_that_was_given_up_does_not_end_the_anchor(laptop: Laptop, host: Host) -> None:
    alice = connect(laptop, "alice")
    anchor = anchor_of(host)
    os.kill(anchor.pid, signal.SIGSTOP)
    [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
    os.kill(anchor.pid, signal.SIGCONT)
    assert "not-answering" in listed["reason"], listed
    assert alice.ask("GET", "/api/status")[0] == 200
    wait_for_looks(anchor.pid, 3)  # while it comes to its answer
    assert anchor_of(host).key == anchor.key
    steps.terminate(laptop, "alice")
