"""What a browser sees while the link is away: the waiting page for a user, patience for everything else."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Iterator

import pytest

import steps
from address import PATIENCE, Address, printed, read_all, session
from bed import Bed, Host, Laptop, processes, wait_for
from host_parts import server_of

pytestmark = pytest.mark.usefixtures("small_jupyter")

NAVIGATION = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def address(bed: Bed, laptop: Laptop, host: Host) -> Iterator[Address]:
    with session(laptop, "alice") as address:
        yield address
        bed.wan.heal()


def lose(bed: Bed, address: Address, state: str) -> None:
    """Nothing reaches the host any more; `down`: and the link's ssh has ended."""
    bed.wan.blackhole("on")
    if state == "down":
        link = address.link()
        assert link
        assert processes.end(link.pid, link.started)
    wait_for(state, lambda: address.status()["state"] == state, timeout=PATIENCE, pause=0.2)


def request(address: Address, path: str, **fields: str) -> bytes:
    words = {"Host": f"localhost:{address.port}", "Connection": "close", **address.login, **fields}
    return f"GET {path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in words.items()).encode() + b"\r\n"


def asking(address: Address, path: str, **fields: str) -> socket.socket:
    sock = address.socket()
    sock.sendall(request(address, path, **fields))
    return sock


@pytest.mark.jupyter
@pytest.mark.parametrize("state", ["down", "silent"])
def test_a_user_is_told_and_programs_wait(bed: Bed, host: Host, address: Address, state: str) -> None:
    with address.kernel() as kernel:
        kernel.run("pass")
        lose(bed, address, state)
        page = asking(address, "/lab", **NAVIGATION)
        programs = [
            asking(address, "/api/status"),
            asking(address, "/api/status", Accept="text/html", **{"Sec-Fetch-Dest": "empty"}),
            asking(address, "/lab/api/settings", Accept="application/json"),
        ]
        cell = kernel.start("print('at last')")
        said = read_all(page)
        page.close()
        assert said.startswith(b"HTTP/1.1 503 "), said
        assert b"Content-Type: text/html" in said
        assert b"alice" in said.partition(b"\r\n\r\n")[2]
        assert address.token.encode() not in said
        assert (b"Cannot reach" if state == "down" else b"does not answer") in said
        assert select.select(programs, [], [], 0)[0] == []  # nobody of these has heard a word
        bed.wan.blackhole("off")
        for sock in programs:
            assert read_all(sock).startswith(b"HTTP/1.1 200 ")
            sock.close()
        assert printed(kernel.messages(cell)) == "at last\n"


def test_connections_whose_browser_has_gone_never_reach_the_server(bed: Bed, host: Host, address: Address) -> None:
    lose(bed, address, "down")
    before = address.status()["streams"]
    gone = [asking(address, f"/gone-{number}-x") for number in range(40)]
    stays = asking(address, "/stays-x")
    wait_for("all to be taken", lambda: address.status()["streams"] >= before + 41)
    for number, sock in enumerate(gone):
        if number % 2:  # as when a browser is killed
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    wait_for("them to be dropped", lambda: address.status()["streams"] <= before + 1)
    bed.wan.blackhole("off")
    assert read_all(stays).startswith(b"HTTP/1.1 404 ")
    stays.close()
    log = host.home("alice") / ".local/state/farlab/main/log"
    wait_for("the server's line about it", lambda: "/stays-x" in log.read_text())
    assert "/gone-" not in log.read_text()


def test_a_user_is_told_that_the_session_has_ended_at_once(bed: Bed, host: Host, laptop: Laptop) -> None:
    with contextlib.ExitStack() as stack:
        # in a shell in which a command without a name means another session
        connected = steps.connect(laptop, "alice", "--name", "main", env={"FARLAB_NAME": "second"})
        stack.callback(laptop.farlab, "terminate", "alice", "--yes")
        address = Address(laptop, connected)
        server = server_of(host)
        assert processes.end(server.pid, server.started)
        wait_for("the end", lambda: address.status()["state"] == "ended", timeout=PATIENCE, pause=0.2)
        with asking(address, "/lab", **NAVIGATION) as page:
            said = read_all(page)
        assert said.startswith(b"HTTP/1.1 503 ")
        assert b"has ended" in said
        assert b"<code>farlab connect alice --name main</code>" in said
        assert b"http-equiv" not in said  # nothing to wait for
