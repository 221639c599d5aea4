"""What another user of the laptop gets of a session's address: nothing, whatever they listen on, know or send."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

import steps
from address import PATIENCE, Address, connect, network_of
from bed import Bed, Laptop, processes, wait_for
from bed.laptop import EVE_UID, UID

HELD = ("127.0.0.1", "::1", "0.0.0.0", "::")
SIT = """
import socket, sys
address, port, reuse, listens = sys.argv[1], *map(int, sys.argv[2:])
sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
if reuse:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if ":" in address:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address == "::1")
try:
    sock.bind((address, port))
    if listens:
        sock.listen(9)
except OSError as error:
    sys.exit(f"refused: {error}")
print(sock.getsockname()[1], flush=True)
sys.stdin.read()
"""
TAKE = """
import socket, sys
address, port, request, closes = sys.argv[1:]
with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
    sock.settimeout(60)
    try:
        sock.connect((address, int(port)))
        sock.sendall(request.encode())
        if closes == "half":
            sock.shutdown(socket.SHUT_WR)
        while closes != "at once" and (data := sock.recv(65536)):
            sys.stdout.write(data.decode())
    except OSError:  # of a socket that was reset, ENOTCONN too
        pass
"""
FLOOD = """
import socket, struct, sys
port, count = map(int, sys.argv[1:])
request = b"GET /farlab/open/x HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n"
kept = []
for number in range(count):
    sock = socket.socket()
    try:
        sock.connect(("127.0.0.1", port))
        if number % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.send(request)
            sock.close()
        elif number % 4:
            sock.send(b"GET / HTTP/1.1\\r\\nX: " + b"a" * 60000)
            kept.append(sock)
        else:
            kept.append(sock)
    except OSError:
        pass
print("done", flush=True)
sys.stdin.read()
"""


OWNER = "zoe"


@contextlib.contextmanager
def eve(laptop: Laptop, code: str, *words: object) -> Iterator[str]:
    """A program of eve's until the block ends; the first line it prints."""
    argv = laptop.command([sys.executable, "-c", code, *map(str, words)], user="eve")
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().decode().strip()
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(timeout=20)


def free_port(laptop: Laptop) -> int:
    with network_of(laptop.holder), socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


# the port -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("listens", [0, 1])
@pytest.mark.parametrize("address", HELD)
def test_nobody_listens_beside_a_keeper(bed: Bed, shared: Address, address: str, listens: int) -> None:
    """`*.localhost` is `::1` before it is 127.0.0.1 to a browser: who listened there had the token."""
    for reuse in (0, 1):
        with eve(shared.laptop, SIT, address, shared.port, reuse, listens) as said:
            assert said == "", (address, reuse, said)
    assert shared.ask("GET", "/api/status")[0] == 200


@pytest.mark.parametrize("address", HELD[:3])
def test_a_port_that_another_has_on_any_address_is_not_taken(laptop: Laptop, existing: object, address: str) -> None:
    first = steps.connect(laptop, "alice")["port"]
    steps.done(laptop, "disconnect", "alice")
    with eve(laptop, SIT, address, first, 1, 1) as said:  # what an earlier test has left in TIME_WAIT is nobody's
        assert said == str(first)
        where = re.escape(f"[::1]:{first}" if ":" in address else f"127.0.0.1:{first}")
        code, error = steps.refused(laptop, "connect", "alice", "--port", str(first))
        assert (code, error["code"]) == (1, "port-busy")
        assert re.search(where, error["detail"]), error
        second = steps.connect(laptop, "alice")
        assert second["port"] != first
        assert f"port {first} is in use" in second["notes"][0]
    steps.done(laptop, "disconnect", "alice")


@contextlib.contextmanager
def without_ipv6(laptop: Laptop) -> Iterator[None]:
    set_to = "sysctl -qw net.ipv6.conf.lo.disable_ipv6={}"
    enter = ["nsenter", f"--net=/proc/{laptop.holder}/ns/net", "sh", "-c"]
    subprocess.run([*enter, set_to.format(1)], check=True)
    try:
        yield
    finally:
        subprocess.run([*enter, set_to.format(0)], check=True)


def test_a_laptop_without_ipv6_is_served_and_the_port_is_held_for_later(laptop: Laptop, existing: object) -> None:
    with without_ipv6(laptop):
        address = connect(laptop, "alice")
        assert address.ask("GET", "/api/status")[0] == 200
    with eve(laptop, SIT, "::1", address.port, 1, 1) as said:
        assert said == ""
    with network_of(laptop.holder), socket.create_connection(("::1", address.port), 9) as sock:
        sock.sendall(b"GET /api HTTP/1.0\r\n\r\n")
        assert sock.recv(12) == b"HTTP/1.1 200"
    steps.done(laptop, "disconnect", "alice")


# what they know -------------------------------------------------------------------------------------------


def cookie_of(address: Address, host: str) -> str:
    """The login cookie as a browser gets it there."""
    said = address.say(f"GET /lab?token={address.token} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    found = re.search(rb"\r\nSet-Cookie: (username-[^;]+)", said, re.IGNORECASE)
    assert found, said[:500]
    return found[1].decode()


@pytest.mark.parametrize(
    ("address", "closes"),
    [("127.0.0.1", ""), ("::1", ""), ("::ffff:127.0.0.1", ""), ("127.0.0.1", "half"), ("::1", "half")],
)
def test_a_login_is_worth_nothing_to_others(bed: Bed, shared: Address, address: str, closes: str) -> None:
    """Cookie, token and one-time word, each of which opens everything to its user."""
    own = f"zoe-main.localhost:{shared.port}"
    laptop, cookie = shared.laptop, cookie_of(shared, own)
    opened = laptop.farlab("open", "zoe")
    assert opened.code == 0, opened
    one_time = opened_address(laptop)
    name, _, path = one_time.removeprefix("http://").partition("/")
    asked = {
        "cookie": (own, "/api/kernels", f"Cookie: {cookie}\r\n"),
        "token": (own, f"/api/kernels?token={shared.token}", ""),
        "word": (name, f"/{path}", ""),
    }
    for host, target, fields in asked.values():
        request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}\r\n"
        words = [sys.executable, "-c", TAKE, address, str(shared.port), request]
        stolen = laptop.run(*words, closes, user="eve")
        assert (stolen.code, stolen.out) == (0, ""), stolen
        mine = laptop.run(*words, "")  # whole: Jupyter forgets an answer whose asker has half closed
        assert re.match(r"HTTP/1.1 (200|302) ", mine.out), mine


def opened_address(laptop: Laptop) -> str:
    wait_for("the browser", lambda: laptop.opened)
    return laptop.opened[-1]


def test_what_another_sends_and_leaves_reaches_no_server(bed: Bed, shared: Address) -> None:
    """They need no answer to start something: a request whose sender has gone is nobody's."""
    request = f"GET /blind-{{}}-x HTTP/1.0\r\nAuthorization: token {shared.token}\r\n\r\n"
    for number in range(20):
        words = [sys.executable, "-c", TAKE, "127.0.0.1", str(shared.port), request.format(number), "at once"]
        assert shared.laptop.run(*words, user="eve").code == 0
    assert shared.ask("GET", "/friend-x")[0] == 404
    log = bed.login.home("zoe") / ".local/state/farlab/main/log"
    wait_for("the friend in the log", lambda: "/friend-x" in log.read_text(errors="replace"))
    assert "/blind-" not in log.read_text(errors="replace")


def test_what_was_learnt_between_two_keepers_is_worth_nothing(laptop: Laptop, existing: object) -> None:
    """A tab gives its cookie, by itself, to whoever listens on its port meanwhile."""
    before = connect(laptop, "alice")
    own = f"alice-main.localhost:{before.port}"
    cookie = cookie_of(before, own)
    steps.done(laptop, "disconnect", "alice")
    with eve(laptop, SIT, "127.0.0.1", before.port, 1, 1) as said:
        assert said == str(before.port)
        now = connect(laptop, "alice")
        request = f"GET /api/kernels HTTP/1.1\r\nHost: {own}\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
        stolen = laptop.run(sys.executable, "-c", TAKE, "127.0.0.1", str(now.port), request, "", user="eve")
        assert (stolen.code, stolen.out) == (0, ""), stolen
        assert now.say(request.encode()).startswith(b"HTTP/1.1 403 ")  # nor do we answer to another port's name
    steps.done(laptop, "disconnect", "alice")


# what they send -------------------------------------------------------------------------------------------


def test_a_flood_of_theirs_fills_nothing_and_locks_nobody_out(bed: Bed, shared: Address) -> None:
    keeper, log = shared.keeper(), next(shared.laptop.home.rglob("@keepers/*.log"))
    files = len(os.listdir(f"/proc/{keeper}/fd"))
    with eve(shared.laptop, FLOOD, shared.port, 4000) as said:
        assert said == "done"
        assert shared.ask("GET", "/api/status")[0] == 200
        wait_for("them to be let go", lambda: len(os.listdir(f"/proc/{keeper}/fd")) <= files + 5)
        assert shared.status()["state"] == "up"
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("another user") == 1
    assert log.stat().st_size < 10_000


# what they take first -------------------------------------------------------------------------------------


def test_a_directory_that_another_made_first_costs_another_name(laptop: Laptop, bed: Bed) -> None:
    made, env = f"/tmp/farlab-{UID}", {"XDG_RUNTIME_DIR": ""}
    assert laptop.run("mkdir", "-m", "777", made, f"{made}-trap", user="eve").code == 0
    try:
        connected = laptop.farlab("connect", "bob", "--json", "--no-browser", env=env, timeout=PATIENCE)
        assert connected.code == 0, connected
        [ours] = [path for path in laptop.tmp.iterdir() if path.stat().st_uid == UID]
        assert re.fullmatch(rf"farlab-{UID}-[0-9a-f]{{8}}", ours.name)
        assert ours.stat().st_mode & 0o077 == 0
        assert laptop.run("rmdir", made, user="eve").code == 0  # later commands find the same one all the same
        again = laptop.farlab("connect", "bob", "--json", "--no-browser", env=env, timeout=PATIENCE)
        assert (again.code, again.json["port"]) == (0, connected.json["port"]), again
        assert len(steps.keepers(laptop)) == 1
        assert laptop.farlab("status", "bob", "--json", env=env).json["state"] == "up"
        assert laptop.farlab("terminate", "bob", "--yes", env=env, timeout=PATIENCE).code == 0
        assert [path for path in laptop.tmp.iterdir() if path.stat().st_uid == UID] == []
        assert list((laptop.tmp / f"{made}-trap".removeprefix("/tmp/")).iterdir()) == []
    finally:
        for path in laptop.tmp.glob(f"farlab-{UID}*"):
            if path.stat().st_uid == EVE_UID:
                path.rmdir()


SQUAT = """
import socket, sys
name = b"\\0" + sys.argv[1].encode()
with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as filler:
    listener.bind(name)
    listener.listen(0)
    filler.connect(name)
    print("full", flush=True)
    sys.stdin.read()
"""


def test_an_abstract_name_that_another_took_first_costs_nothing(laptop: Laptop, existing: object) -> None:
    others = processes.listening(laptop.holder)
    connect(laptop, "alice")
    new = processes.listening(laptop.holder) - others
    [name] = [word.split("@")[1] for word in new if "unix @farlab-" in word]
    steps.done(laptop, "disconnect", "alice")
    with eve(laptop, SQUAT, name) as said:
        assert said == "full"
        assert steps.connect(laptop, "alice")["reused"]
        assert laptop.farlab("status", "alice", "--json").json["state"] == "up"
        steps.done(laptop, "disconnect", "alice")
