"""The local address: whom it lets through to the notebook, and what it makes of odd, slow and hostile connections."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import socket
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from address import Address, parent, read_all, session
from bed import Bed, Host, processes, wait_for
from farlab.keeper.browser.relay import OPEN_TIMEOUT, Relay

OURS = ("127.0.0.1", "localhost", "[::1]", "alice-main.localhost", "any.thing.localhost")
STRANGERS = (
    "evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "evil-localhost", "xlocalhost", "login", "10.80.0.2",
    "0.0.0.0", "[::]", "[fd80::2]", "evil.example@localhost.evil.example", "", ".", "localhost evil.example",
    "2130706434", "\x00localhost",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared(bed: Bed) -> Iterator[Address]:
    laptop = bed.add_laptop()
    with session(laptop, "alice") as address:
        yield address
    bed.scrap(laptop)


def asks_for(name: str, path: str, address: Address) -> bytes:
    fields = {"Host": f"{name}:{address.port}" if name else name, "Connection": "close", **address.login}
    return f"GET {path} HTTP/1.1\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in fields.items()).encode() + b"\r\n"


def server_log(bed: Bed) -> str:
    """What the server of alice's session has written; it names every path that it does not have."""
    return (bed.login.home("alice") / ".local/state/farlab/main/log").read_text(errors="replace")


@pytest.mark.parametrize("name", OURS)
def test_names_of_this_machine_reach_the_notebook(bed: Bed, shared: Address, name: str) -> None:
    said = shared.say(asks_for(name, "/api/status", shared))
    assert said.startswith(b"HTTP/1.1 200 "), said
    assert b'"kernels"' in said


@pytest.mark.parametrize("name", STRANGERS)
def test_other_names_are_refused_and_never_reach_the_notebook(bed: Bed, shared: Address, name: str) -> None:
    """A page of another site whose name was made to mean 127.0.0.1 is such a stranger."""
    number = STRANGERS.index(name)
    said = shared.say(asks_for(name, f"/stranger-{number}-x", shared))
    assert said.startswith(b"HTTP/1.1 503 "), said
    assert shared.say(asks_for("localhost", f"/friend-{number}-x", shared)).startswith(b"HTTP/1.1 404 ")
    wait_for("the friend in the log", lambda: f"/friend-{number}-x" in server_log(bed))
    assert f"/stranger-{number}-x" not in server_log(bed)


def test_a_head_without_a_host_or_with_two_is_not_served(bed: Bed, shared: Address) -> None:
    login = f"Authorization: token {shared.token}\r\n"
    assert shared.say(f"GET /api/status HTTP/1.0\r\n{login}\r\n".encode()).startswith(b"HTTP/1.1 503 ")
    two = f"GET /api/status HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n{login}\r\n"
    assert b" 200 " not in shared.say(two.encode()).partition(b"\r\n")[0]
    other = f"GET /api/status HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n{login}\r\n"
    assert shared.say(other.encode()).startswith(b"HTTP/1.1 503 ")


def test_a_stranger_behind_a_friend_on_one_connection_is_refused(bed: Bed, shared: Address) -> None:
    friend = asks_for("localhost", "/api/status", shared).replace(b"Connection: close\r\n", b"")
    said = shared.say(friend + asks_for("evil.example", "/api/status", shared))
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"403"]


@pytest.mark.parametrize(
    "content",
    [
        b"\r\n\r\n", b"\0" * 100 + b"\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(200) + b"\r\n\r\n",
        b"GET\r\n\r\n", b"GET / HTTP/1.1 HTTP/1.1\r\n\r\n", b"Host: localhost\r\n\r\n", b"SSH-2.0-x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n: \r\n\r\n", "GET /é HTTP/1.1\r\nHöst: localhost\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 60000 + b"\r\n\r\n",
    ],
    ids=range(10),
)  # fmt: skip
def test_garbage_gets_no_more_than_a_503(bed: Bed, shared: Address, content: bytes) -> None:
    assert shared.say(content).partition(b"\r\n")[0] == b"HTTP/1.1 503 Service Unavailable"


def test_a_head_without_end_is_cut_off(bed: Bed, shared: Address) -> None:
    said = shared.say(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 300000)
    assert not said.startswith(b"HTTP/1.1 2"), said
    assert shared.ask("GET", "/api/status")[0] == 200


def test_a_head_that_comes_byte_by_byte_is_served(bed: Bed, shared: Address) -> None:
    with shared.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in asks_for("localhost", "/api/status", shared):
            sock.sendall(bytes([byte]))
        assert read_all(sock).startswith(b"HTTP/1.1 200 ")


def test_a_half_close_reaches_the_server_and_its_close_comes_back(bed: Bed, shared: Address) -> None:
    with shared.socket() as sock:
        sock.sendall(asks_for("localhost", "/api/status", shared).replace(b"Connection: close\r\n", b""))
        said = sock.recv(1 << 16)
        while not said.endswith(b"}"):
            said += sock.recv(1 << 16)
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b""
    wait_for("the stream's end", lambda: not shared.status()["streams"])


def test_five_hundred_idle_connections_hinder_nobody_and_leave_nothing(bed: Bed, shared: Address) -> None:
    keeper = shared.keeper()
    before = descriptors(keeper)
    idle = [shared.socket() for _ in range(500)]
    wait_for("the keeper to take them", lambda: descriptors(keeper) >= before + 500)
    assert shared.ask("GET", "/api/status")[0] == 200
    for sock in idle:
        sock.close()
    wait_for("the keeper to let them go", lambda: descriptors(keeper) <= before)


def test_three_hundred_connections_one_after_another_leave_no_descriptor(bed: Bed, shared: Address) -> None:
    anchor, keeper = anchor_of(bed.login, "alice"), shared.keeper()
    assert shared.ask("GET", "/api/status")[0] == 200
    wait_for("rest", lambda: not shared.status()["streams"])
    before = descriptors(keeper), descriptors(anchor)
    for number in range(300):
        with shared.socket() as sock:
            sock.sendall(asks_for("localhost", "/api/status", shared))
            if number % 3 == 0:
                assert sock.recv(9) == b"HTTP/1.1 "  # and goes in the middle of it
            elif number % 3 == 1:
                read_all(sock)  # to the end; every third goes before the answer
    wait_for("both ends to let go", lambda: (descriptors(keeper), descriptors(anchor)) <= before)
    assert descriptors(anchor) <= before[1]
    assert not shared.status()["streams"]


@pytest.mark.parametrize("end", ["keeper", "anchor"])
def test_too_many_connections_wait_and_are_served_later(bed: Bed, shared: Address, end: str) -> None:
    """As where a process may have few files open, and has as many (prlimit(1))."""
    pid = shared.keeper() if end == "keeper" else anchor_of(bed.login, "alice")
    before, most = open_files_limit(pid), descriptors(pid) + 20
    limit(bed, shared, pid, most)
    assert open_files_limit(pid) == most
    request = asks_for("localhost", "/api/status", shared).replace(b"Connection: close\r\n", b"")
    browsers = [shared.socket() for _ in range(60)]
    for sock in browsers:
        sock.sendall(request)
    wait_for("the limit", lambda: descriptors(pid) >= most - 1)
    used, answered = processor_seconds(pid), 0
    while browsers:  # whoever is answered makes room for another
        ready = select.select(browsers, [], [], 30)[0]
        assert ready, f"{len(browsers)} are not answered"
        for sock in ready:
            answered += sock.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            sock.close()
            browsers.remove(sock)
    assert answered == 60
    assert processor_seconds(pid) - used < 2.0
    limit(bed, shared, pid, before)
    assert shared.ask("GET", "/api/status")[0] == 200


def open_files_limit(pid: int) -> int:
    with open(f"/proc/{pid}/limits") as file:
        return int(next(line for line in file if line.startswith("Max open files")).split()[3])


def limit(bed: Bed, shared: Address, pid: int, files: int) -> None:
    """Limit the open files of a process, as its owner can."""
    with open(f"/proc/{pid}/status") as file:
        inside = next(line for line in file if line.startswith("NSpid:")).split()[-1]
    words = ["prlimit", "--pid", inside, f"--nofile={files}:"]
    if inside == str(pid):
        assert shared.laptop.run(*words).code == 0
    else:
        assert bed.login.run("alice", words).returncode == 0


def test_nothing_listens_but_one_loopback_port_on_the_laptop(bed: Bed, shared: Address) -> None:
    assert tcp_of(processes.listening(shared.laptop.holder)) == {f"127.0.0.1:{shared.port}"}
    assert {each.rpartition(":")[2] for each in tcp_of(bed.login.listening())} == {"22", "2222"}  # the sshd's


def tcp_of(listening: set[str]) -> set[str]:
    return {each.partition(" ")[2] for each in listening if each.startswith("tcp")}


# one-time addresses ---------------------------------------------------------------------------------------


def one_time_address(shared: Address) -> tuple[str, str]:
    """Host name and path of a fresh one, as the browser got it."""
    before = len(shared.laptop.opened)
    assert shared.laptop.farlab("open", "alice").code == 0
    wait_for("the browser", lambda: len(shared.laptop.opened) > before)
    opened = shared.laptop.opened[-1]
    assert shared.token not in opened
    return urlsplit(opened).hostname or "", urlsplit(opened).path


def location(said: bytes) -> str:
    found = re.search(rb"\r\nLocation: (\S+)\r\n", said)
    assert said.startswith(b"HTTP/1.1 302 "), said
    assert found, said
    return found[1].decode()


def test_a_one_time_address_leads_into_the_session_once(bed: Bed, shared: Address) -> None:
    name, path = one_time_address(shared)
    assert location(shared.say(asks_for(name, path, shared))) == shared.connected["url"]
    again = shared.say(asks_for(name, path, shared))
    assert again.startswith(b"HTTP/1.1 503 ")
    assert shared.token.encode() not in again


def test_a_wrong_one_time_address_is_refused_here(bed: Bed, shared: Address) -> None:
    name, path = one_time_address(shared)
    for wrong in (path[:-1], path + "x", path.rpartition("/")[0] + "/", "/farlab/open/never-was-one"):
        said = shared.say(asks_for(name, wrong, shared))
        assert said.startswith(b"HTTP/1.1 503 ")
        assert shared.token.encode() not in said
    location(shared.say(asks_for(name, path, shared)))  # the right one is still good


def test_a_one_time_address_shares_no_connection_with_the_notebook(bed: Bed, shared: Address) -> None:
    """A browser would send it over an idle connection of the notebook's own name, which leads to Jupyter."""
    assert one_time_address(shared)[0] not in ("127.0.0.1", "localhost", "alice-main.localhost")
    assert one_time_address(shared)[0] != one_time_address(shared)[0]


def test_another_person_on_the_laptop_cannot_use_a_one_time_address(bed: Bed, shared: Address) -> None:
    """They see it in the browser's command line, and may be faster."""
    name, path = one_time_address(shared)
    words = ["curl", "-s", "-i", "-H", f"Host: {name}", f"http://127.0.0.1:{shared.port}{path}"]
    stolen = shared.laptop.run(*words, user="eve")
    assert stolen.out.startswith("HTTP/1.1 503 "), stolen
    assert shared.token not in stolen.out
    assert location(shared.laptop.run(*words).out.replace("\n", "\r\n").encode()) == shared.connected["url"]


TAKE = """
import socket, sys
family, address, is_half_closed, port, request = sys.argv[1:]
with socket.socket(int(family)) as sock:
    sock.connect((address, int(port)))
    sock.sendall(request.encode())
    if is_half_closed == "True":
        sock.shutdown(socket.SHUT_WR)
    while data := sock.recv(65536):
        print(data.decode())
"""


@pytest.mark.parametrize(
    ("family", "address", "is_half_closed"),
    [(socket.AF_INET, "127.0.0.1", True), (socket.AF_INET6, "::ffff:127.0.0.1", False)],
    ids=["half closed", "by a socket of IPv6"],
)
def test_another_person_is_known_however_the_connection_is_made(
    bed: Bed, shared: Address, family: int, address: str, is_half_closed: bool
) -> None:
    name, path = one_time_address(shared)
    request = f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    words = [sys.executable, "-c", TAKE, str(int(family)), address, str(is_half_closed), str(shared.port), request]
    stolen = shared.laptop.run(*words, user="eve")
    assert stolen.out.startswith("HTTP/1.1 503 "), stolen
    assert shared.token not in stolen.out
    if not is_half_closed:
        assert location(shared.laptop.run(*words).out.replace("\n", "\r\n").encode()) == shared.connected["url"]


class Nobody:
    """A joiner that has a session to lead to, and gets no streams."""

    def landing(self) -> str:
        return "http://there.localhost/lab?token=x"


def test_a_one_time_address_expires() -> None:
    now = 1000.0

    async def ask(path: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        said = await reader.read()
        writer.close()
        return said

    async def tell() -> tuple[bytes, bytes]:
        nonlocal now
        listener = socket.create_server(("127.0.0.1", 0))
        relay = Relay(listener, Nobody(), clock=lambda: now)
        early, late = relay.one_time_path(), relay.one_time_path()
        now += OPEN_TIMEOUT - 1
        in_time = await ask(early, relay.port)
        now += 2
        too_late = await ask(late, relay.port)
        relay.close()
        return in_time, too_late

    in_time, too_late = asyncio.run(tell())
    assert in_time.startswith(b"HTTP/1.1 302 ")
    assert too_late.startswith(b"HTTP/1.1 503 ")


# ----------------------------------------------------------------------------------------------------------


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor_seconds(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def anchor_of(host: Host, person: str) -> int:
    """The number, on this machine, of the parent of the person's server."""
    words = json.loads((host.home(person) / ".local/state/farlab/main/record.json").read_text())
    servers = [each for each in host.processes(person) if "serve" in each.argv or "launch" in each.argv]
    assert len(servers) == 1, (servers, words)
    return parent(servers[0].pid)
