"""Warm: the session runs. How long `connect` takes without a keeper, and with one."""

from __future__ import annotations

import json
import subprocess
from functools import partial

from host import Host
from measure import Series, Table, clock, interleave, slope, verdict
from ours import Farlab
from reach import until_answers

TRIPS = (0, 20, 100)


def measure(host: Host, rounds: int) -> Table:
    """`connect` to a running session at three round trips, with a plain `ssh HOST echo` as the yardstick."""
    farlab = Farlab(host)
    took: dict[str, Series] = {}
    for rtt in TRIPS:
        alias = host.alias(rtt)
        with farlab.session(alias):
            again = {
                f"farlab {rtt}": partial(connect_again, farlab, alias),
                f"ssh {rtt}": partial(first_line, host, alias),
            }
            took |= interleave(again, rounds, label="warm")
            took |= interleave({"living": partial(clock, partial(farlab.connect, alias))}, 2 * rounds, warm_up=2)
    return _table(took)


def connect_again(farlab: Farlab, alias: str) -> float:
    """End the keeper; seconds from the next `connect` to an answer at the address."""
    farlab.disconnect(alias)

    def connect() -> None:
        answer = farlab.connect(alias)
        if not answer["reused"]:
            raise AssertionError(f"a new session instead of the running one: {json.dumps(answer)}")
        until_answers(int(answer["port"]))

    return clock(connect)


def first_line(host: Host, alias: str) -> float:
    """Seconds until a plain `ssh HOST echo` has printed: a login and one command."""

    def line() -> None:
        argv = host.ssh(alias, "-T", command="echo x")
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=host.local_env()) as ssh:
            assert ssh.stdout is not None
            ssh.stdout.readline()

    return clock(line)


def _table(took: dict[str, Series]) -> Table:
    head = ("round trip", "farlab, no keeper", "`ssh HOST echo`", "budget 11 RTT + 0.4 s")
    table = Table("`connect` to a running session", head, "Seconds until the address answers: median (min-max).")
    for rtt in TRIPS:
        ours, ssh = took[f"farlab {rtt}"], took[f"ssh {rtt}"]
        table.add(f"{rtt} ms", ours.show(), ssh.show(), verdict(ours.median, round(11 * rtt / 1000 + 0.4, 2)))
    for name, label in (("farlab", "farlab"), ("ssh", "`ssh HOST echo`")):
        rise, rest = slope([(rtt / 1000, took[f"{name} {rtt}"].median) for rtt in TRIPS])
        table.notes.append(f"{label}: {rise:.1f} round trips + {rest:.2f} s (least squares; TCP's handshake is one)")
    living = took["living"]
    shown = f"{living.show(scale=1e3, digits=0)} ms, {verdict(living.median * 1e3, 150, unit='ms')}"
    table.notes.append(f"with a living keeper, the whole process from outside (round trip 100 ms): {shown}")
    return table
