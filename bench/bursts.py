"""What a kernel says in one burst, counted at a WebSocket: farlab beside a plain server, while four processes are busy.

Every round starts a new kernel at each. The plain server is as fair to it as it can be: TCP as by hand, without
Jupyter's own limit of the rate, which would drop half.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from functools import partial
from http.client import HTTPConnection
from pathlib import Path

import websocket
from host import Host
from measure import Run, Table, interleave
from ours import Farlab
from served import Way, plain_server

BUSY = 4
CASES = {
    "20,000 comm messages": (
        "from comm import create_comm\n"
        "comm = create_comm(target_name='nobody')\n"
        "for number in range(20_000): comm.send({'number': number})",
        "comm_msg",
        20_000,
    ),
    "5,000 display()": (
        "from IPython.display import display\n"
        "for number in range(5_000): display({'text/plain': str(number)}, raw=True)",
        "display_data",
        5_000,
    ),
}
"""Name: the cell, the kind of its messages, how many."""
SILENCE = 20.0
"""Seconds without a message after which nothing more will come."""


def measure(host: Host, rounds: int) -> Table:
    """Messages lost of each burst, `idle` among them."""
    head = ("burst", "way", "rounds with a loss", "messages lost", "`idle` lost")
    table = Table(
        "Bursts", head, f"Of one cell's messages, with {BUSY} busy processes beside; a new kernel each round."
    )
    alias = host.alias()
    unlimited = "--ZMQChannelsWebsocketConnection.limit_rate=False"
    # the plain server's end sweeps all of the person's processes away: it comes last
    with plain_server(host, unlimited) as (place, token), Farlab(host).session(alias) as session, busy():
        ways: dict[str, tuple[Way, str]] = {
            "farlab": (int(session["port"]), str(session["token"])),
            "plain server": (place, token),
        }
        for name, (code, kind, count) in CASES.items():
            idle: dict[str, int] = dict.fromkeys(ways, 0)
            runs: dict[str, Run] = {
                way: partial(lost, end, code, kind, count, partial(_count, idle, way)) for way, end in ways.items()
            }
            for way, series in interleave(runs, rounds, warm_up=0, label=name).items():
                bad = sum(value > 0 for value in series.values)
                table.add(
                    name, way, f"{bad} of {rounds}", f"{sum(series.values):.0f} of {rounds * count}", str(idle[way])
                )
    return table


def _count(where: dict[str, int], name: str) -> None:
    where[name] += 1


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Processes that take all they can get."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(BUSY)]
    try:
        yield
    finally:
        for each in others:
            each.kill()
            each.wait()


def lost(end: tuple[Way, str], code: str, kind: str, count: int, no_idle: Run | partial[None]) -> float:
    """How many of a cell's messages did not come, with a kernel of its own."""
    place, token = end
    login = {"Authorization": f"token {token}"}
    kernel = json.loads(ask(place, "POST", "/api/kernels", login))["id"]
    try:
        found, is_idle = count_of(place, kernel, login, code, kind)
    finally:
        ask(place, "DELETE", f"/api/kernels/{kernel}", login)
    if not is_idle:
        no_idle()
    return float(count - found + (not is_idle))


def reach(place: Way) -> socket.socket:
    """A connection to a port, or to a Unix socket."""
    if not isinstance(place, Path):
        return socket.create_connection(("127.0.0.1", place), 60)
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    sock.connect(str(place))
    return sock


def ask(place: Way, method: str, path: str, login: dict[str, str]) -> bytes:
    """One request to Jupyter's API."""
    connection = HTTPConnection("localhost")
    connection.sock = reach(place)
    with contextlib.closing(connection):
        connection.request(method, path, "{}" if method == "POST" else None, {**login, "Host": host_name(place)})
        return connection.getresponse().read()


def host_name(place: Way) -> str:
    """What stands in the Host header: farlab looks at the port, too."""
    return f"127.0.0.1:{place}" if isinstance(place, int) else "localhost"


def count_of(place: Way, kernel: str, login: dict[str, str], code: str, kind: str) -> tuple[int, bool]:
    """How many messages of that kind came, and whether the cell's `idle` did."""
    session = uuid.uuid4().hex
    sock = websocket.create_connection(
        f"ws://{host_name(place)}/api/kernels/{kernel}/channels?session_id={session}",
        socket=reach(place),
        header=[f"{key}: {value}" for key, value in login.items()],
    )
    header = {"msg_id": session, "msg_type": "execute_request", "username": "", "session": session, "version": "5.3"}
    header["date"] = "2026-01-01T00:00:00Z"
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False, "stop_on_error": True}
    words = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    found, is_idle = 0, False
    with contextlib.closing(sock), contextlib.suppress(websocket.WebSocketTimeoutException):
        sock.send(json.dumps({**words, "buffers": []}))
        sock.settimeout(SILENCE)
        while not is_idle:
            message = json.loads(sock.recv())
            if message["parent_header"].get("msg_id") == session:
                found += message["msg_type"] == kind
                is_idle = message["msg_type"] == "status" and message["content"]["execution_state"] == "idle"
    return found, is_idle
