"""The keeper's private socket: whatever is said there, the keeper says what is wrong with it and stays within reach."""

from __future__ import annotations

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from farlab.keeper import control_connection
from farlab.keeper.control_client import ControlClient
from farlab.keeper.control_connection import MAX_UNSENT, ControlConnection
from farlab.keeper.control_server import ControlServer
from farlab.keeper.events import Order
from farlab.keeper.keeper import Keeper, KeeperSetup
from farlab.keeper.timing import Timing
from farlab.keeper.web.jupyter_api import JupyterApi
from farlab.keeper.web.proxy import Proxy
from farlab.keeper.web.site import LocalSite
from farlab.model import State, Target
from farlab.transport.choose import for_target

TALKS = 20_000
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    7,
    1.5,
    1e30,
    float("nan"),
    float("inf"),
    10**30,
    2**63,
    "",
    "x",
    "a\0b",
    "\ud800",
    "é" * 99,
    "x" * 70_000,
    [],
    {},
    [7],
    ["x"],
    [[]],
    {"a": 1},
    {"": None},
    [None] * 2000,
    "secret",
    "connect",
    "~/x",
    "64M",
]
OPS = [
    "connect",
    "status",
    "follow",
    "open",
    "kernels",
    "terminate",
    "disconnect",
    "ask",
    "forward",
    "",
    None,
    7,
    [],
    {},
]
KEYS = ["wish", "may_ask", "environment", "kernels", "id", "answer", "prompt", "kind", "link", "unknown"]
WISH = [
    "directory",
    "environment",
    "setup",
    "app",
    "notebook",
    "port",
    "timeout",
    "keep_output",
    "keep_host",
    "keep_laptop",
    "keep_hours",
]
RAW = [
    b"",
    b"\n",
    b"{",
    b"{}",
    b"null\n",
    b"7\n",
    b"[]\n",
    b'"x"\n',
    b"\xff\xfe\n",
    b"\0" * 50 + b"\n",
    b"[" * 100_000 + b"\n",
    b'{"a":' * 50_000 + b"\n",
    b'{"op": "connect"',
    b'{"op": 1e999}\n',
    b"9" * 5000 + b"\n",
    b'{"op": NaN}\n',
]


class Writer:
    """The end of a connection that remembers what was written to it."""

    def __init__(self) -> None:
        self.written = b""
        self.transport = self

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written += data


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for what the keeper remembers, and an environment that is put back."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@asynccontextmanager
async def keeping() -> AsyncIterator[tuple[Keeper, Proxy, LocalSite]]:
    """A keeper that finds no `ssh`."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    target, port = Target(host="far"), listener.getsockname()[1]
    setup = KeeperSetup(target=target, port=port, transport=for_target(target), ask_socket="/nowhere", timing=Timing())
    keeper = Keeper(setup, on_next_request=lambda _, data: data)
    site = LocalSite(keeper)
    proxy = Proxy([listener], keeper, site)
    try:
        yield keeper, proxy, site
    finally:
        proxy.close()
        await keeper.stop()
        await keeper.close({"bye": True})
        listener.close()


def some_talk(chance: random.Random) -> bytes:
    """What somebody says on one connection, to its end: a request that is nearly right, and perhaps more."""
    if chance.random() < 0.1:
        return chance.choice(RAW)
    said = {"op": chance.choice(OPS)} | {key: chance.choice(ODD) for key in chance.sample(KEYS, chance.randrange(4))}
    if chance.random() < 0.5:
        said["wish"] = {key: chance.choice(ODD) for key in chance.sample(WISH, chance.randrange(4))}
    if chance.random() < 0.3:
        said["environment"] = {
            key: chance.choice(ODD) for key in chance.sample(["SSH_AUTH_SOCK", "PATH", "LD_PRELOAD", "", "A=B"], 2)
        }
    lines = [json.dumps(said).encode() for _ in range(chance.choice([1, 1, 1, 2, 3]))]
    return b"\n".join(lines)[: chance.choice([None, None, None, 30])] + chance.choice([b"\n", b""])


async def talk(server: ControlServer, data: bytes) -> bytes:
    """Say `data` and leave; what was answered."""
    reader, writer = asyncio.StreamReader(limit=control_connection.MAX_LINE), Writer()
    reader.feed_data(data)
    reader.feed_eof()
    async with asyncio.timeout(20):
        await server.serve(ControlConnection(reader, writer))  # type: ignore[arg-type]
    return writer.written


def test_whatever_is_said_is_answered_or_refused_and_the_keeper_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    chance = random.Random(8)
    codes = dict[str, int]()

    async def run() -> None:
        async with keeping() as (keeper, proxy, site):
            server = ControlServer(keeper, proxy, site, JupyterApi(keeper, Timing()))
            for _ in range(TALKS):
                for line in (await talk(server, some_talk(chance))).splitlines():
                    answer = json.loads(line, parse_constant=pytest.fail)
                    if "error" in answer:
                        codes[answer["error"]["code"]] = codes.get(answer["error"]["code"], 0) + 1
                if server.should_end.is_set():  # the only client that waited has gone, or `disconnect` was sent
                    server = ControlServer(keeper, proxy, site, JupyterApi(keeper, Timing()))
            assert 1 << 20 <= keeper.status_facts()["bytes_limit"] <= 1 << 62
            assert keeper.state in State
            [answer] = (await talk(server, b'{"op": "status"}\n')).splitlines()
            assert json.loads(answer)["status"]["host"] == "far"

    asyncio.run(run())
    assert set(codes) <= {"usage", "internal", "no-session"}
    assert codes["usage"] > TALKS // 20


def test_who_asks_for_what_cannot_be_is_told_so_and_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with keeping() as (keeper, proxy, site):
            for wish in ({"keep_laptop": "x"}, {"keep_hours": float("nan")}, {"port": 70000}, [], 7, None):
                server, before = ControlServer(keeper, proxy, site, JupyterApi(keeper, Timing())), keeper.status_facts()
                said = {"op": "connect", "wish": wish, "environment": {"SSH_AUTH_SOCK": "/bad"}}
                answer = json.loads(await talk(server, json.dumps(said).encode() + b"\n"))
                assert answer["error"]["code"] == "usage"
                assert keeper.status_facts() == before
                assert not server.should_end.is_set()

    asyncio.run(run())


def test_whatever_the_policy_orders_somebody_performs() -> None:
    async def run() -> None:
        async with keeping() as (keeper, _, _):
            assert set(keeper._orders) == set(Order)

    asyncio.run(run())


async def serve_a_stopped_client(directory: Path, handle: Callable[[ControlConnection], Awaitable[None]]) -> None:
    """Have `handle` serve one client that connects and reads nothing; returns when it is done."""
    done = asyncio.Event()

    async def serve(peer: ControlConnection) -> None:
        await handle(peer)
        done.set()

    directory.chmod(0o700)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "s"))
    listener.listen()
    server = await control_connection.serve(listener, serve)
    with socket.socket(socket.AF_UNIX) as stopped:
        stopped.connect(str(directory / "s"))
        async with asyncio.timeout(60):
            await done.wait()
    server.close()


def test_a_client_that_does_not_read_costs_a_mebibyte_and_is_left(tmp_path: Path) -> None:
    most = 0

    async def tell(peer: ControlConnection) -> None:
        nonlocal most
        for number in range(100_000):
            peer.send(progress={"stage": str(number), "text": "x" * 200})
            most = max(most, peer._writer.transport.get_write_buffer_size())
            if peer._writer.is_closing():
                return
            await asyncio.sleep(0)
        pytest.fail("it was never left")

    asyncio.run(serve_a_stopped_client(tmp_path, tell))
    assert MAX_UNSENT < most < 2 * MAX_UNSENT


def test_a_client_that_does_not_read_does_not_keep_its_connection_open(tmp_path: Path) -> None:
    async def leave(peer: ControlConnection) -> None:
        peer.send(text="x" * MAX_UNSENT)
        await peer.close()

    asyncio.run(serve_a_stopped_client(tmp_path, leave))


@pytest.mark.parametrize("said", [b"", b"[" * 200_000 + b"\n", b"{\n", b"7\n", b"\xff\n", b"x" * (9 << 20)], ids=len)
def test_a_keeper_that_says_nonsense_has_ended_for_whoever_asks_it(said: bytes) -> None:
    """`ControlClient` has come to somebody of ours by the name of a keeper that was."""
    name = b"\0farlab-test-" + random.randbytes(8).hex().encode()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(name)
        listener.listen()
        channel = ControlClient(name)
        other, _ = listener.accept()
        other.setblocking(False)
        with other:
            at = 0
            while at < len(said):
                try:
                    at += other.send(said[at : at + 65536])
                except BlockingIOError:
                    break
            other.shutdown(socket.SHUT_WR)
            assert channel.receive(10.0) is None
        channel.close()
