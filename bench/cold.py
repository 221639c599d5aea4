"""Cold: nothing runs on either side; how long until the address answers."""

from __future__ import annotations

import time
from functools import partial

import peers
from host import Host
from measure import Table, clock, interleave, ratio, verdict
from ours import Farlab
from reach import until_answers

GOALS = {0: 0.65, 100: 0.85}
"""Round trip in ms → the largest ratio to (b) that issue 2 allows."""


def measure(host: Host, rounds: int) -> Table:
    """farlab, the recipe and by hand, at three round trips."""
    farlab = Farlab(host)
    head = ("round trip", "farlab", "(a) the recipe", "(b) by hand", "farlab / (b)", "(a) / (b)", "goal")
    table = Table("Cold `connect`", head, "Seconds until the address answers `GET /api` with 200: median (min-max).")
    for rtt in (0, 20, 100):
        alias = host.alias(rtt)
        runs = {
            "farlab": partial(connect_and_end, farlab, alias),
            "recipe": partial(peers.by_recipe, host, alias),
            "hand": partial(peers.by_hand, host, alias),
        }
        took = interleave(runs, rounds, label=f"cold {rtt} ms")
        ours, recipe, hand = (took[name] for name in runs)
        goal = verdict(ours.median / hand.median, GOALS[rtt]) if rtt in GOALS else ""
        shown = (ours.show(), recipe.show(), hand.show(), ratio(ours, hand), ratio(recipe, hand))
        table.add(f"{rtt} ms", *shown, goal)
    table.notes += [
        "(a): paramiko logs in, uploads and runs a port finder, `tmux new-session -d`, then `ssh -N -L`",
        "(b): one `ssh -L … 'bash -lic \"jupyter lab …\"'`",
        "farlab's time ends with the answer to a new request after the command has ended; "
        "for the peers a new attempt goes off every 20 ms and the first answer counts",
    ]
    return table


def connect_and_end(farlab: Farlab, alias: str) -> float:
    """Seconds from the command to the answer; the session is ended afterwards, and must leave nothing."""

    def connect() -> None:
        until_answers(int(farlab.connect(alias)["port"]))

    took = clock(connect)
    farlab.terminate(alias)
    end = time.monotonic() + 2
    while farlab.host.strays() and time.monotonic() < end:
        time.sleep(0.05)
    if farlab.host.strays():
        raise AssertionError(f"processes left on the host after `terminate`: {farlab.host.strays()}")
    return took
