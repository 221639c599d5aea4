"""What the way through relay and line adds to each request, against a plain `ssh -L` to the same server."""

from __future__ import annotations

import select
import statistics
import time
from functools import partial

from host import Host
from measure import Run, Series, Table, interleave, ratio, verdict
from reach import Client, first_byte
from served import Served, Way, served

BLOCK = {0: 40, 20: 20, 100: 8}
"""Requests in a row at each round trip (ms)."""
TOGETHER = 8


def measure(host: Host, rounds: int) -> Table:
    """First byte of a new connection, a request on a kept one, requests a second; at three round trips."""
    head = ("round trip", "what", "farlab", "`ssh -L`", "straight to the socket", "farlab / `ssh -L`", "goal")
    table = Table(
        "Latency of a request", head, "`GET /api` of the same Jupyter server on its Unix socket: median (min-max)."
    )
    for rtt in (0, 20, 100):
        alias = host.alias(rtt)
        with served(host, alias) as server:
            add_rows(table, rtt, compare(server, rounds, rtt))
    table.notes += [
        "kept-alive: the median of 40, 20 or 8 requests one after the other is one value; "
        f"requests a second: {TOGETHER} connections, each always with one request under way",
        "round trips: the time over the round trip, after taking off what the same costs straight to the socket",
    ]
    return table


def compare(server: Served, rounds: int, rtt: float) -> dict[str, dict[str, Series]]:
    """The three measures of each way, the ways in turns."""
    kinds = {"first": _first, "kept": partial(_kept, block=BLOCK[int(rtt)])} | ({"rate": _rate} if rtt == 0 else {})
    took = {}
    for kind, run in kinds.items():
        runs: dict[str, Run] = {name: partial(run, place, server.token) for name, place in server.ways.items()}
        took[kind] = interleave(runs, 2 * rounds, warm_up=2, label=f"{kind} {rtt:g} ms")
    return took


def add_rows(table: Table, rtt: float, took: dict[str, dict[str, Series]]) -> None:
    """Put one round trip's series into the table."""
    first, kept = took["first"], took["kept"]
    shown = [first[name].show(scale=1e3) for name in first]
    goal = ""
    if rtt:
        trips = {name: (first[name].median - first["straight"].median) * 1e3 / rtt for name in ("farlab", "ssh")}
        goal = f"{trips['farlab']:.2f} round trips (`ssh -L` {trips['ssh']:.2f}), {verdict(trips['farlab'], 1.1)}"
    table.add(f"{rtt:g} ms", "first byte, new connection, ms", *shown, ratio(first["farlab"], first["ssh"]), goal)
    added = (kept["farlab"].median - kept["ssh"].median) * 1e3
    shown = [kept[name].show(scale=1e3) for name in kept]
    goal = f"{added:+.2f} ms, {verdict(added, 0.5, unit='ms')}"
    table.add(f"{rtt:g} ms", "request, kept-alive, ms", *shown, ratio(kept["farlab"], kept["ssh"]), goal)
    if "rate" in took:
        rate = took["rate"]
        shown = [rate[name].show(digits=0) for name in rate]
        table.add(f"{rtt:g} ms", "requests a second", *shown, ratio(rate["farlab"], rate["ssh"]), "")


def _first(place: Way, token: str) -> float:
    return statistics.median(first_byte(place, token) for _ in range(3))


def _kept(place: Way, token: str, *, block: int) -> float:
    client = Client(place, token)
    client.get()
    took = []
    for _ in range(block):
        start = time.perf_counter()
        client.get()
        took.append(time.perf_counter() - start)
    client.close()
    return statistics.median(took)


def _rate(place: Way, token: str, *, seconds: float = 1.0) -> float:
    """Answers a second over `TOGETHER` connections."""
    clients = {client.end: client for client in (Client(place, token) for _ in range(TOGETHER))}
    for client in clients.values():
        client.get()
        client.send("/api")
    start = time.perf_counter()
    answers = 0
    while time.perf_counter() - start < seconds:
        for end in select.select(list(clients), [], [])[0]:
            client = clients[end]
            client.left = client.left[client.head() :]
            client.send("/api")
            answers += 1
    took = time.perf_counter() - start
    for client in clients.values():
        client.close()
    return answers / took
