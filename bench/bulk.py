"""A big download through Jupyter: farlab against `ssh -L`, on bare loopback and over 1 Gbit/s with 20 ms."""

from __future__ import annotations

import os
import time
from functools import partial

from host import Host
from measure import Run, Table, interleave, ratio, verdict
from reach import Client
from served import Way, served

MIB = 1 << 20
CASES: tuple[tuple[str, float, float | None, int, float], ...] = (
    ("loopback", 0, None, 256, 0.5),
    ("1 Gbit/s, 20 ms", 20, 1000, 64, 0.95),
)
"""Name, round trip, Mbit/s, MiB, goal."""


def measure(host: Host, rounds: int) -> Table:
    """MB/s from the first byte of the body to the last."""
    head = ("network", "farlab", "`ssh -L`", "straight to the socket", "farlab / `ssh -L`", "goal")
    about = "MB/s of one file from Jupyter's `/files/`, from the body's first byte to its last: median (min-max)."
    table = Table("Bulk, through Jupyter", head, about)
    for name, rtt, rate, size, goal in CASES:
        alias = host.alias(rtt, rate)
        put_file(host, size)
        with served(host, alias) as server:
            runs: dict[str, Run] = {way: partial(download, place, server.token) for way, place in server.ways.items()}
            took = interleave(runs, rounds, label=f"bulk {name}")
        shown = [took[way].show(scale=1e-6, digits=0) for way in took]
        verdicts = verdict(took["farlab"].median / took["ssh"].median, goal, at_least=True)
        table.add(name, *shown, ratio(took["farlab"], took["ssh"]), verdicts)
    table.notes.append("the server is in the way of all three: what the line alone can carry is the next table's")
    return table


def put_file(host: Host, size_mib: int) -> None:
    """A file of random bytes in the person's home."""
    path = host.home / "bulk.bin"
    block = os.urandom(MIB)
    with path.open("wb") as target:
        for _ in range(size_mib):
            target.write(block)
    path.chmod(0o644)
    os.chown(path, host.home.stat().st_uid, host.home.stat().st_gid)


def download(place: Way, token: str) -> float:
    """Bytes a second from the first byte of the body to the last."""
    client = Client(place, token)
    client.send("/files/bulk.bin")
    size = client.head()
    if not client.left:
        client.left = client.end.recv(1)
    missing = size - len(client.left)
    start = time.perf_counter()
    client.skip(missing)
    took = time.perf_counter() - start
    client.close()
    return missing / took
