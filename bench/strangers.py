"""What another user of the laptop costs the person: a flood of their connections, and asking whose each one is."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack

from host import Host
from measure import Series, Table, say, verdict
from ours import Farlab
from reach import first_byte

from farlab.keeper.web import peer_uid

CONNECTIONS, QUESTIONS, BESIDE = 5000, 5000, 6000
MOST = 0.1
"""Seconds that a flood may cost a request."""
NOBODY = 65534
FLOOD = """
import socket, sys
kept, port = [], int(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    sock = socket.socket()
    try:
        sock.connect(("127.0.0.1", port))
        if number % 2:
            sock.send(b"GET /api HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
    except OSError:
        pass
    kept = kept[-500:] + [sock]
"""


def measure(host: Host, rounds: int) -> Table:
    """The time of one new connection's first byte, alone and while the flood lasts, in turns; then the questions."""
    if os.geteuid():
        raise SystemExit("`strangers` needs root: another user has to connect")
    farlab, alias = Farlab(host), host.alias()
    table = Table("Another user of the laptop", ("what", "median (min-max)", "budget"))
    with farlab.session(alias) as words:
        port, token = int(words["port"]), str(words["token"])
        alone, beside, took = _in_turns(port, token, rounds)
    worst = max(beside.values) - alone.median
    table.add("a new connection's first byte, ms, alone", alone.show(scale=1e3), "")
    within = f"the slowest costs {verdict(worst, MOST, unit='s')}"
    table.add(f"while another user makes {CONNECTIONS} connections, ms", beside.show(scale=1e3), within)
    table.add("how long that flood lasts, s", took.show(), "")
    for count in (0, BESIDE):
        for name, series in _questions(count).items():
            table.add(f"whose a connection is, {name}, beside {count} others, µs", series.show(scale=1e6, digits=1), "")
    return table


def _in_turns(port: int, token: str, rounds: int) -> tuple[Series, Series, Series]:
    alone: list[float] = []
    beside: list[float] = []
    took: list[float] = []
    for number in range(rounds):
        alone += [first_byte(port, token) for _ in range(50)]
        argv = ["/usr/bin/python3", "-I", "-S", "-c", FLOOD, str(port), str(CONNECTIONS)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=NOBODY, cwd="/") as flood:
            assert flood.stdin
            assert flood.stdout
            flood.stdout.readline()
            flood.stdin.write(b"go\n")
            flood.stdin.close()
            began = time.perf_counter()
            while flood.poll() is None:
                beside.append(first_byte(port, token))
            took.append(time.perf_counter() - began)
        say(f"  strangers {number + 1}: {len(beside)} requests beside it")
    return Series(tuple(alone)), Series(tuple(beside)), Series(tuple(took))


def _questions(beside: int) -> dict[str, Series]:
    """Seconds to learn one connection's owner, by netlink and from the table."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=beside + 1))
        port = listener.getsockname()
        ends = [stack.enter_context(socket.create_connection(port)) for _ in range(beside // 2 + 1)]
        theirs = ends[-1].getsockname()
        peers = peer_uid.PeerIdentifier(listener)
        found = {"netlink": _each(lambda: peers.identify(theirs, port), QUESTIONS)}
        found["`/proc/net/tcp`"] = _each(lambda: peer_uid.uid_in_proc_net(theirs, port), 20)
        return found


def _each(ask: Callable[[], object], count: int) -> Series:
    values = []
    for _ in range(count):
        start = time.perf_counter()
        ask()
        values.append(time.perf_counter() - start)
    return Series(tuple(values))
