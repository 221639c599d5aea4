"""What farlab costs at rest: memory and CPU of the keeper, the anchor, the agent and the `ssh` between them."""

from __future__ import annotations

import contextlib
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from host import Host
from measure import Table, say, verdict
from ours import Farlab
from websocket import WebSocket, create_connection

SECONDS = 30.0
BUDGETS = {"keeper": 30, "anchor": 20, "agent": 15}
"""MiB of RSS. All of them: less than 0.5 % of a core."""
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cost:
    """One process: MiB, MiB with what is shared divided among its users, % of a core."""

    rss: float
    pss: float
    cpu: float


def measure(host: Host, rounds: int) -> Table:
    """With nothing open, and with an idle kernel's WebSocket open and JupyterLab's own polling imitated."""
    del rounds
    farlab, alias = Farlab(host), host.alias()
    head = ("process", "open", "RSS, MiB", "PSS, MiB", "% of a core", "budget")
    table = Table("At rest", head, f"Over {SECONDS:.0f} s, 5 s after it became quiet.")
    with farlab.session(alias) as session:
        keeper = int(farlab.status(alias)["keeper_pid"])
        processes = find(host, keeper, int(session["pid"]))
        _add(table, "nothing", watch(processes, time.sleep))
        with kernel(int(session["port"]), str(session["token"])) as sleep:
            _add(table, "a kernel's WebSocket", watch(processes, sleep))
    table.notes.append(
        "PSS: what processes share is divided among them; the `ssh` and `sshd` are there for `ssh -L` too"
    )
    return table


def _add(table: Table, what: str, costs: dict[str, Cost]) -> None:
    for name, cost in costs.items():
        budget = ""
        if name in BUDGETS:
            budget = f"{verdict(cost.rss, BUDGETS[name], unit='MiB')}, {verdict(cost.cpu, 0.5, unit='%')}"
        table.add(name, what, f"{cost.rss:.1f}", f"{cost.pss:.1f}", f"{cost.cpu:.2f}", budget)


def find(host: Host, keeper: int, server: int) -> dict[str, int]:
    """Our processes by role: the keeper, its ssh, and on the host what is neither the server nor below it."""
    found = {"keeper": keeper}
    for pid in _children(keeper):
        found[f"{_name(pid)} (laptop)"] = pid
    found["anchor"] = _parent(server)
    for pid in host.strays():
        if pid in found.values() or pid == server or _is_below(pid, server):
            continue
        found["agent" if "agent" in _command(pid) else f"{_name(pid)} {pid} (host)"] = pid
    return found


def watch(processes: dict[str, int], sleep: Callable[[float], None]) -> dict[str, Cost]:
    """Each process's cost over `SECONDS`."""
    sleep(5)
    before = {name: _cpu(pid) for name, pid in processes.items()}
    start = time.monotonic()
    say("  watching")
    sleep(SECONDS)
    took = time.monotonic() - start
    costs = {}
    for name, pid in processes.items():
        rss, pss = _memory(pid)
        costs[name] = Cost(rss, pss, (_cpu(pid) - before[name]) / took * 100)
    return costs


@contextlib.contextmanager
def kernel(port: int, token: str) -> Iterator[Callable[[float], None]]:
    """An idle kernel with its WebSocket, and a `sleep` during which the page asks what JupyterLab asks each 10 s."""
    address, header = f"127.0.0.1:{port}", {"Authorization": f"token {token}"}
    request = urllib.request.Request(f"http://{address}/api/kernels", b"{}", header, method="POST")
    with urllib.request.urlopen(request) as answer:
        name = json.load(answer)["id"]
    socket: WebSocket = create_connection(f"ws://{address}/api/kernels/{name}/channels", header=header)

    def sleep(seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for path in ("kernels", "sessions", "terminals"):
                again = urllib.request.Request(f"http://{address}/api/{path}", headers=header)
                urllib.request.urlopen(again).read()
            time.sleep(min(10, left))

    yield sleep
    socket.close()


def _cpu(pid: int) -> float:
    """Seconds of CPU so far, proc(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def _memory(pid: int) -> tuple[float, float]:
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        sizes[name] = int(size) / 1024
    return sizes["Rss:"], sizes["Pss:"]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = _parent(pid)
        if pid == ancestor:
            return True
    return False
