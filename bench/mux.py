"""What the mux alone can carry: both drivers over a real `ssh`, with a plain source and sink in Jupyter's place."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import peers
from host import HERE, Host
from measure import Run, Table, interleave, ratio, verdict
from reach import Client, open_to
from served import Way

MIB = 1 << 20
CASES: tuple[tuple[str, float, float | None, int, float], ...] = (
    ("loopback", 0, None, 512, 0.5),
    ("1 Gbit/s, 20 ms", 20, 1000, 128, 0.95),
    ("no limit, 100 ms", 100, None, 64, 0.95),
)
"""Name, round trip, Mbit/s, MiB, goal."""


def measure(host: Host, rounds: int) -> Table:
    """MB/s down and up, mux against `ssh -L`."""
    head = ("network", "way", "mux", "without checks", "`ssh -L`", "straight to the socket", "mux / without")
    head += ("mux / `ssh -L`", "goal")
    about = "MB/s of one stream between a plain client and a plain server on a Unix socket: median (min-max)."
    table = Table("Bulk, the mux alone", head, about)
    with _source(host) as place:
        for name, rtt, rate, size, goal in CASES:
            alias = host.alias(rtt, rate)
            with (
                _mux(host, alias, place, 2) as ours,
                _mux(host, alias, place, 1) as unchecked,
                peers.forward(host, alias, place, path="/0") as theirs,
            ):
                ways: dict[str, Way] = {"mux": ours, "unchecked": unchecked, "ssh": theirs, "straight": place}
                for label, run in (("down", down), ("up", up)):
                    runs: dict[str, Run] = {way: partial(run, where, size * MIB) for way, where in ways.items()}
                    took = interleave(runs, rounds, label=f"mux {name} {label}")
                    shown = [took[way].show(scale=1e-6, digits=0) for way in took]
                    goal_met = verdict(took["mux"].median / took["ssh"].median, goal, at_least=True)
                    cost = ratio(took["mux"], took["unchecked"])
                    table.add(name, label, *shown, cost, ratio(took["mux"], took["ssh"]), goal_met)
    table.notes.append(
        "`mux/driver.py` and `mux/mux.py` at both ends of one `ssh`, as keeper and anchor use them; "
        "without checks: the same in version 1 of the protocol"
    )
    return table


@contextlib.contextmanager
def _source(host: Host) -> Iterator[Path]:
    place = host.work / "source.sock"
    with _talking([sys.executable, str(HERE / "source.py"), str(place)], dict(os.environ)):
        place.chmod(0o666)
        yield place


@contextlib.contextmanager
def _mux(host: Host, alias: str, place: Path, version: int) -> Iterator[int]:
    """The port of a mux's near end; version 1 of the protocol has no checks."""
    far = host.work / f"mux_host{version}.py"
    env = {**host.local_env(), "PYTHONPATH": str(host.source), "PYTHONPYCACHEPREFIX": str(host.work / "compiled")}
    pack = (
        "import sys; from farlab.transport import bootstrap as b; print(b.program(b.ANCHOR, open(sys.argv[1]).read()))"
    )
    argv = [sys.executable, "-c", pack, str(HERE / "mux_host.py")]
    far.write_bytes(subprocess.run(argv, env=env, check=True, capture_output=True).stdout)
    far.chmod(0o644)
    ssh = host.ssh(alias, "-T", command=f"exec /usr/bin/python3 -IS {far} {place} {version}")
    with _talking([sys.executable, str(HERE / "mux_laptop.py"), str(version), *ssh], env) as word:
        yield int(word)


@contextlib.contextmanager
def _talking(argv: list[str], env: dict[str, str]) -> Iterator[str]:
    """A process that says one line when it is ready and ends with its standard input."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=env) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def down(place: Way, size: int) -> float:
    """Bytes a second from the first byte of the body to the last."""
    client = Client(place, "")
    client.send(f"/{size}")
    client.head()
    missing = size - len(client.left)
    start = time.perf_counter()
    client.skip(missing)
    took = time.perf_counter() - start
    client.close()
    return missing / took


def up(place: Way, size: int) -> float:
    """Bytes a second until the far end has all and the answer is back."""
    block = bytes(MIB)
    with open_to(place) as end:
        start = time.perf_counter()
        end.sendall(b"PUT /%d HTTP/1.1\r\nHost: localhost\r\n\r\n" % size)
        for _ in range(size // MIB):
            end.sendall(block)
        end.recv(1024)
        return size / (time.perf_counter() - start)
