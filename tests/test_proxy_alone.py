"""The proxy without a keeper: what it hands on, one-time addresses as time goes by, and 20,000 odd connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bed import wait_for
from farlab.keeper.web.listener import listen
from farlab.keeper.web.one_time import LIFETIME
from farlab.keeper.web.peer_uid import NO_UID, PeerIdentifier, PeerUser, SockDiag, uid_in_proc_net
from farlab.keeper.web.proxy import Proxy

NAME, NOTEBOOK = "there.localhost", "/lab/tree/a%20b.ipynb"
PAGE = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: none\r\nAccept: text/html\r\n"
RESET = struct.pack("ii", 1, 0)


class Session:
    """What a proxy needs of the keeper: answers each connection itself, and remembers what it was handed."""

    name, base_path, page_delay = NAME, "/", 0.3

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.token, self.strangers = "secret", 0

    def open_stream(self, sock: socket.socket, head: bytes) -> int:
        self.heads.append(head)
        with contextlib.suppress(OSError):
            sock.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        sock.close()
        return len(self.heads)

    def is_unanswered(self, stream: int) -> bool:
        return False

    def take_back(self, stream: int) -> socket.socket | None:
        return None

    def status_page(self) -> str | None:
        return None if self.token else "still starting"

    def sign_in_page(self) -> str:
        return "sign in"

    def log_refused_user(self) -> None:
        self.strangers += 1


class Peers:
    """As a system that tells whose a connection is, or does not."""

    def __init__(self, *, can_identify: bool, strangers: Callable[[int], bool] = lambda port: False) -> None:
        self.can_identify, self._strangers = can_identify, strangers

    def identify(self, peer: Any, local: Any) -> PeerUser:
        return PeerUser.OTHER if self._strangers(peer[1]) else PeerUser.US


class Running:
    """A proxy in a thread of its own. `faults`: what its loop complained of."""

    def __init__(self, peers: Peers | None = None) -> None:
        self.session, self.now = Session(), 1000.0
        self.faults: list[Any] = []
        self._peers, self._ready, self._loop = peers, threading.Event(), asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.set_exception_handler(lambda _, fault: self.faults.append(fault))

        async def begin() -> None:
            self.proxy = Proxy(listen(0), self.session, self.session, self._peers, lambda: self.now)
            self._ready.set()

        self._loop.run_until_complete(begin())
        self._loop.run_forever()

    def __enter__(self) -> Running:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.within(self.proxy.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def within(self, function: Callable[[], Any]) -> Any:
        """What a function says that is called by the loop."""

        async def call() -> Any:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result()

    def get(self, path: str, host: str = "", fields: str = PAGE, address: str = "127.0.0.1") -> bytes:
        """All that is said to one request."""
        head = f"GET {path} HTTP/1.1\r\nHost: {host or NAME}:{self.proxy.port}\r\n{fields}\r\n"
        with socket.create_connection((address, self.proxy.port), 10) as sock:
            sock.sendall(head.encode())
            said = b""
            while data := sock.recv(65536):
                said += data
        return said

    def one_time(self) -> tuple[str, str]:
        """Host name and path of a fresh one-time address."""
        found = re.fullmatch(r"http://([^:]+):\d+(/.*)", self.within(lambda: self.proxy.one_time_address(NOTEBOOK)))
        assert found
        return found[1], found[2]


@pytest.fixture
def running() -> Iterator[Running]:
    with Running() as running:
        yield running
        assert running.faults == []


@pytest.fixture
def blind() -> Iterator[Running]:
    """Where the system does not tell whose a connection is."""
    with Running(Peers(can_identify=False)) as running:
        yield running


def location(said: bytes) -> str:
    found = re.search(rb"\r\nLocation: (\S+)\r\n", said)
    assert said.startswith(b"HTTP/1.1 302 "), said
    assert found
    return found[1].decode()


def test_this_system_tells(running: Running) -> None:
    with contextlib.ExitStack() as stack:
        for listener in listen(0):
            assert PeerIdentifier(stack.enter_context(listener)).can_identify


@pytest.mark.parametrize("ask", [SockDiag().uid, uid_in_proc_net], ids=["netlink", "table"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_the_owner_of_a_living_socket_is_told_and_of_no_other(
    ask: Callable[[tuple[str, int], tuple[str, int]], int], address: str
) -> None:
    """A request whose sender has gone already can still be read, and older kernels say that it was root's."""
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(each) for each in listen(0)]
        listener = listeners[address == "::1"]
        for end, expected in (
            (lambda sock: None, os.getuid()),
            (lambda sock: sock.shutdown(socket.SHUT_WR), os.getuid()),
            (lambda sock: sock.close(), NO_UID),
            (lambda sock: (sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET), sock.close()), NO_UID),
        ):
            theirs = stack.enter_context(socket.create_connection((address, listener.getsockname()[1]), 9))
            theirs.send(b"GET /")
            end(theirs)
            ours, peer = listener.accept()
            with ours:
                assert ask(peer[:2], ours.getsockname()[:2]) == expected
                assert ours.recv(9) == b"GET /"


def test_a_program_of_ones_own_that_leaves_at_once_is_not_called_another_user(running: Running) -> None:
    running.within(lambda: socket.create_connection(("127.0.0.1", running.proxy.port), 9).close())  # before it accepts
    assert running.get("/lab").startswith(b"HTTP/1.1 200 ")
    assert running.session.strangers == 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_a_user_who_goes_to_a_page_of_the_app_gets_the_login(running: Running, address: str) -> None:
    assert running.get("/lab?reset", address=address).startswith(b"HTTP/1.1 200 ")
    [head] = running.session.heads
    assert head.startswith(b"GET /lab?reset HTTP/1.1\r\nAuthorization: token secret\r\nHost: there.localhost:")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/api/kernels", PAGE),
        ("/files/x.html", PAGE),
        ("/lab", ""),
        ("/lab", PAGE.replace("none", "cross-site")),
        ("/lab", PAGE.replace("none", "same-site")),
        ("/lab", PAGE.replace("document", "iframe")),
        ("/lab", PAGE.replace("navigate", "cors")),
        ("/lab", PAGE + "Authorization: token mine\r\n"),
        ("/api/kernels/1/channels", "Upgrade: websocket\r\nConnection: Upgrade\r\n" + PAGE),
        ("/lab?token=secret", PAGE.replace("none", "cross-site")),
    ],
)
def test_nothing_else_is_touched(running: Running, path: str, fields: str) -> None:
    running.get(path, fields=fields)
    [head] = running.session.heads
    assert head == f"GET {path} HTTP/1.1\r\nHost: {NAME}:{running.proxy.port}\r\n{fields}\r\n".encode()
    assert running.within(lambda: running.proxy.on_next_request(1, head)) == head


def test_a_token_that_was_typed_is_taken_out_of_the_address(running: Running) -> None:
    assert location(running.get("/lab?token=old&reset")) == "/lab?reset"
    assert running.session.heads == []


def test_the_login_is_given_on_a_connection_that_is_kept_too(running: Running) -> None:
    head = f"GET /lab HTTP/1.1\r\nHost: {NAME}:{running.proxy.port}\r\n{PAGE}\r\n".encode()
    again = lambda data: running.within(lambda: running.proxy.on_next_request(1, data))  # noqa: E731
    with_login = b"1.1\r\nAuthorization: token secret\r\n"
    assert again(head) == head.replace(b"1.1\r\n", with_login, 1)
    typed = again(head.replace(b"/lab ", b"/lab/tree/a%20b?token=old&reset "))
    assert typed.startswith(b"GET /login?next=/lab/tree/a%2520b%3Freset HTTP/" + with_login), "Jupyter leads there"
    stranger = head.replace(NAME.encode(), b"evil.localhost")
    for content in (head + b"x", b"x" + head, head[:-1], stranger, b"\x81\x05GET /"):
        assert again(content) == content


def test_a_page_waits_for_a_session_that_starts(running: Running) -> None:
    running.session.token = ""
    threading.Timer(0.15, lambda: setattr(running.session, "token", "late")).start()
    assert running.get("/lab").startswith(b"HTTP/1.1 200 ")
    assert b"token late" in running.session.heads[0]


def test_a_page_that_has_waited_long_is_told_why(running: Running) -> None:
    running.session.token = ""
    ask = threading.Thread(target=lambda: said.append(running.get("/lab")))
    said: list[bytes] = []
    ask.start()
    wait_for("the page", lambda: setattr(running, "now", running.now + 1) or said)
    ask.join()
    assert said[0].startswith(b"HTTP/1.1 503 ")
    assert b"still starting" in said[0]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_speaks_another_protocol_is_answered_at_once(data: bytes, running: Running) -> None:
    with socket.create_connection(("127.0.0.1", running.proxy.port), 5) as sock:
        sock.sendall(data)
        assert sock.recv(65536).startswith(b"HTTP/1.1 400 ")


def test_our_own_pages_are_framed_by_nobody_and_run_nothing(running: Running) -> None:
    for said in (running.get("/lab", "evil.example"), running.get("/farlab/open/x")):
        assert b"\r\nX-Frame-Options: DENY\r\n" in said
        assert b"\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-anc" in said
        assert b"\r\nX-Content-Type-Options: nosniff\r\n" in said


@pytest.mark.parametrize("can_identify", [True, False])
def test_a_one_time_address_expires(can_identify: bool) -> None:
    with Running(Peers(can_identify=can_identify)) as running:
        early, late, later = running.one_time(), running.one_time(), running.one_time()
        running.now += LIFETIME - 1
        assert location(running.get(early[1], early[0]))
        assert running.get(early[1], early[0]).startswith(b"HTTP/1.1 410 ")
        running.now += 2
        assert running.get(late[1], late[0]).startswith(b"HTTP/1.1 410 ")
        assert running.get(later[1]).startswith(b"HTTP/1.1 410 ")
        assert running.session.heads == []


def test_where_nobody_tells_a_one_time_address_leads_to_jupyters_own_login_once(blind: Running) -> None:
    """No address that a browser keeps has the token, and none opens anything twice."""
    name, path = blind.one_time()
    place = location(blind.get(path, name))
    assert place.startswith(f"http://{NAME}:{blind.proxy.port}/farlab/open/")
    assert "secret" not in place
    word = place.partition(str(blind.proxy.port))[2]
    assert word != path
    assert blind.get(word).startswith(b"HTTP/1.1 200 ")
    assert blind.session.heads[0].startswith(
        b"GET /login?next=/lab/tree/a%2520b.ipynb HTTP/1.1\r\nAuthorization: token secret\r\n"
    )
    for again in (word, path):
        assert blind.get(again).startswith(b"HTTP/1.1 410 ")
    assert blind.get("/lab").startswith(b"HTTP/1.1 200 ")
    assert b"Authorization" not in blind.session.heads[1]


@pytest.mark.parametrize("fields", [PAGE, "Accept: text/html\r\n"])
def test_where_nobody_tells_a_browser_without_a_login_is_told_how_to_sign_in(blind: Running, fields: str) -> None:
    """Jupyter's own page asks for a token, and says how to find it on the host."""
    said = blind.get("/login?next=%2Flab", fields=fields)
    assert said.startswith(b"HTTP/1.1 403 ")
    assert said.endswith(b"sign in")
    assert blind.session.heads == []
    blind.get("/login?token=mine&next=%2Flab", fields=fields)
    blind.get("/login?next=%2Flab", fields=f"Authorization: token mine\r\n{fields}")
    blind.get("/login", fields="Accept: */*\r\n")  # a program
    assert len(blind.session.heads) == 3


def test_a_head_is_shorter_where_nobody_tells_whose_it_is(blind: Running, running: Running) -> None:
    fields = "X: " + "a" * 20_000 + "\r\n"
    assert blind.get("/api", fields=fields).startswith(b"HTTP/1.1 431 ")
    assert running.get("/api", fields=fields).startswith(b"HTTP/1.1 200 ")


# any connections ------------------------------------------------------------------------------------------

CONNECTIONS = 20_000
PIECES = (
    b"GET ", b"POST ", b"/lab", b"/farlab/open/", b"?token=x", b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r\n\r\n",
    b"Host: ", b"there.localhost:", b"localhost", b"x.there.localhost:", b"evil", b": ", b"\0", b"\xff\xfe", b" x",
    b"Content-Length: 9\r\n", PAGE.encode(), b"a" * 3000, b"Upgrade: websocket\r\n",
)  # fmt: skip


def attack(port: int, chance: random.Random) -> None:
    """One connection that says anything and ends anyhow."""
    family, address = chance.choice([(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
    with socket.socket(family) as sock, contextlib.suppress(OSError):
        sock.settimeout(5)
        sock.connect((address, port))
        said = b"".join(chance.choices(PIECES, k=chance.randrange(12)))
        if chance.random() < 0.3:
            said = b"GET /api HTTP/1.1\r\nHost: there.localhost:%d\r\n" % port + said + b"\r\n\r\n"
        sock.send(said)
        end = chance.random()
        if end < 0.6:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif end < 0.7:
            sock.shutdown(socket.SHUT_WR)
            sock.recv(100)


@pytest.mark.parametrize("can_identify", [True, False])
def test_twenty_thousand_odd_connections_leave_nothing_and_raise_nothing(can_identify: bool) -> None:
    peers = Peers(can_identify=can_identify, strangers=lambda port: can_identify and port % 3 == 0)
    chance = random.Random(8)
    with Running(peers) as running:
        before = open_files()
        for _ in range(CONNECTIONS // 2):
            attack(running.proxy.port, chance)
        wait_for("all to be let go", lambda: open_files() <= before, timeout=90)
        wait_for("an answer", lambda: attempt(running))
        assert running.faults == []
        assert running.session.strangers == can_identify


def attempt(running: Running) -> bool:
    with contextlib.suppress(OSError):  # a third of all are strangers
        return running.get("/api/status").startswith(b"HTTP/1.1 200 ")
    return False


def open_files() -> int:
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
