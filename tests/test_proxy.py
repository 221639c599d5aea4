"""The local address: whom it lets through to the notebook, and what it makes of odd, slow and hostile connections."""

from __future__ import annotations

import contextlib
import re
import select
import socket
from urllib.parse import urlsplit

import pytest

from address import Address, read_all
from bed import Bed, processes, wait_for
from host_parts import anchor_of, descriptors, field, most_descriptors

OURS = ("127.0.0.1", "localhost", "[::1]", "alice-main.localhost")
STRANGERS = (
    "evil.example", "127.0.0.1.nip.io", "localhost.evil.example", "evil-localhost", "xlocalhost", "login", "10.80.0.2",
    "0.0.0.0", "[::]", "[fd80::2]", "evil.example@localhost.evil.example", "", ".", "localhost evil.example",
    "2130706434", "\x00localhost", "any.thing.localhost", "zoe-main.localhost", "x.alice-main.localhost", "localhost.",
    "127.8.8.8",
)  # fmt: skip


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
    assert said.startswith(b"HTTP/1.1 403 "), said
    assert shared.say(asks_for("localhost", f"/friend-{number}-x", shared)).startswith(b"HTTP/1.1 404 ")
    wait_for("the friend in the log", lambda: f"/friend-{number}-x" in server_log(bed))
    assert f"/stranger-{number}-x" not in server_log(bed)


def test_the_port_of_another_is_another_name(bed: Bed, shared: Address) -> None:
    """Cookies ignore ports, and so did whoever learnt one at another port."""
    names = ("127.0.0.1", "localhost", "alice-main.localhost")
    for host in ("alice-main.localhost", *(f"{name}:{port}" for name in names for port in (80, shared.port + 1))):
        said = shared.say(f"GET /api HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        assert said.startswith(b"HTTP/1.1 403 "), said


def test_a_program_may_leave_out_what_no_browser_does(bed: Bed, shared: Address) -> None:
    login = f"Authorization: token {shared.token}\r\n"
    brief = f"GET /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{login}\r\n"
    assert shared.say(brief.encode()).startswith(b"HTTP/1.1 200 ")
    assert shared.say(f"GET /api/status HTTP/1.0\r\n{login}\r\n".encode()).startswith(b"HTTP/1.1 200 ")
    assert shared.say(f"GET /api/status HTTP/1.1\r\n{login}\r\n".encode()).startswith(b"HTTP/1.1 400 ")


def test_a_head_whose_lines_end_in_bare_newlines_is_served_as_jupyter_serves_it(bed: Bed, shared: Address) -> None:
    asked = asks_for("localhost", "/api/status", shared).replace(b"\r\n", b"\n")
    assert shared.say(asked).startswith(b"HTTP/1.1 200 ")


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
def test_garbage_gets_no_further(bed: Bed, shared: Address, content: bytes) -> None:
    assert re.match(rb"HTTP/1.1 (400 Bad Request|403 Forbidden)\r\n", shared.say(content))


def test_a_head_without_end_is_cut_off(bed: Bed, shared: Address) -> None:
    said = shared.say(f"GET / HTTP/1.1\r\nHost: localhost:{shared.port}\r\nX: ".encode() + b"a" * 300000)
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
    anchor, keeper = anchor_of(bed.login).pid, shared.keeper()
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
    pid = shared.keeper() if end == "keeper" else anchor_of(bed.login).pid
    before, most = most_descriptors(pid), descriptors(pid) + 20
    limit(bed, shared, pid, most)
    assert most_descriptors(pid) == most
    request = asks_for("localhost", "/api/status", shared).replace(b"Connection: close\r\n", b"")
    browsers = [shared.socket() for _ in range(60)]
    for sock in browsers:
        sock.sendall(request)
    wait_for("the limit", lambda: descriptors(pid) >= most - 1)
    answered = 0
    while browsers:  # whoever is answered makes room for another
        ready = select.select(browsers, [], [], 30)[0]
        assert ready, f"{len(browsers)} are not answered"
        for sock in ready:
            answered += sock.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
            sock.close()
            browsers.remove(sock)
    assert answered == 60
    limit(bed, shared, pid, before)
    assert shared.ask("GET", "/api/status")[0] == 200


def limit(bed: Bed, shared: Address, pid: int, files: int) -> None:
    """Limit the open files of a process, as its owner can."""
    inside = field(pid, "NSpid").split()[-1]
    words = ["prlimit", "--pid", inside, f"--nofile={files}:"]
    if inside == str(pid):
        assert shared.laptop.run(*words).code == 0
    else:
        assert bed.login.run("alice", words).returncode == 0


def test_nothing_listens_but_one_port_of_the_laptops_loopback(bed: Bed, shared: Address) -> None:
    ours = {f"127.0.0.1:{shared.port}", f"::1:{shared.port}"}
    assert tcp_of(processes.listening(shared.laptop.holder)) == ours
    assert {each.rpartition(":")[2] for each in tcp_of(bed.login.listening())} == {"22", "2222"}  # the sshd's


def tcp_of(listening: set[str]) -> set[str]:
    return {each.partition(" ")[2] for each in listening if each.startswith("tcp")}


def test_an_old_browser_without_a_login_is_told_what_to_type(bed: Bed, shared: Address) -> None:
    """Jupyter sends it to its login page, for which it asks over the same connection."""
    for place in ("/lab", "/login?next=%2Flab"):
        with contextlib.closing(shared.http()) as browser:
            where: str | None = place
            while where:
                browser.request("GET", where, headers={"Accept": "text/html"})
                answer = browser.getresponse()
                said, where = answer.read().decode(), answer.getheader("Location")
        assert answer.status == 403
        assert "Run <code>farlab open alice</code> in a terminal" in said
        assert shared.token not in said
    assert shared.say(asks_for("localhost", "/api/status", shared)).startswith(b"HTTP/1.1 200 ")


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
    said = shared.say(asks_for(name, path, shared))
    assert location(said) == shared.connected["url"].partition("?")[0]
    again = shared.say(asks_for(name, path, shared))
    assert again.startswith(b"HTTP/1.1 410 ")
    assert shared.token.encode() not in said + again


def test_jupyters_own_login_leads_on_whoever_brings_the_token(bed: Bed, shared: Address) -> None:
    """That is what a one-time address becomes where the system does not tell whose a connection is."""
    said = shared.say(asks_for("alice-main.localhost", "/login?next=/lab/tree/a%2520b.ipynb", shared))
    assert location(said) == "/lab/tree/a%20b.ipynb"
    assert re.search(rb"\r\nSet-Cookie: username-alice-main-localhost-", said)


def test_a_wrong_one_time_address_is_refused_here(bed: Bed, shared: Address) -> None:
    name, path = one_time_address(shared)
    for wrong in (path[:-1], path + "x", path.rpartition("/")[0] + "/", "/farlab/open/never-was-one"):
        said = shared.say(asks_for(name, wrong, shared))
        assert said.startswith(b"HTTP/1.1 410 ")
        assert shared.token.encode() not in said
    location(shared.say(asks_for(name, path, shared)))  # the right one is still good


def test_a_one_time_address_shares_no_connection_with_the_notebook(bed: Bed, shared: Address) -> None:
    """A browser would send it over an idle connection of the notebook's own name, which leads to Jupyter."""
    assert one_time_address(shared)[0] not in ("127.0.0.1", "localhost", "alice-main.localhost")
    assert one_time_address(shared)[0] != one_time_address(shared)[0]


# ----------------------------------------------------------------------------------------------------------
