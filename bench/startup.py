"""What the command costs before it does anything: over a bare Python, byte-compiled."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from host import Host
from measure import Series, Table, clock, interleave, verdict
from ours import Farlab

BUDGETS = {"--version": 60, "list": 90}
"""Milliseconds over bare Python."""


def measure(host: Host, rounds: int) -> Table:
    """`python -c pass`, `farlab --version` and `farlab list` with nothing running, in turns."""
    farlab = Farlab(host)
    bare = [sys.executable, "-c", "pass"]
    runs = {"python -c pass": partial(clock, lambda: subprocess.run(bare, check=True, env=farlab.env))}
    for word in BUDGETS:
        runs[f"farlab {word}"] = partial(clock, partial(farlab.run, word))
    took = interleave(runs, 4 * rounds, warm_up=2, label="startup")
    floor = took["python -c pass"]
    about = "Milliseconds from outside, byte-compiled: median (min-max). Over Python: medians, and of the fastest runs."
    table = Table("Start-up", ("command", "ms", "over Python", "over Python, fastest", "budget"), about)
    table.add("`python -c pass`", floor.show(scale=1e3, digits=0), "", "", "")
    for word, budget in BUDGETS.items():
        table.add(*_row(f"farlab {word}", took[f"farlab {word}"], floor, budget))
    return table


def _row(name: str, series: Series, floor: Series, budget: int) -> tuple[str, ...]:
    over = (series.median - floor.median) * 1e3
    least = (min(series.values) - min(floor.values)) * 1e3
    return f"`{name}`", series.show(scale=1e3, digits=0), f"+{over:.0f}", f"+{least:.0f}", verdict(over, budget)
