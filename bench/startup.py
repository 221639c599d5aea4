"""What the command costs before it does anything: over a bare Python, byte-compiled."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from host import Host
from measure import Series, Table, say, verdict
from ours import Farlab

BUDGETS = {"--version": 60, "list": 90}
"""Milliseconds over bare Python."""
Both = tuple[Series, Series]
"""Seconds by the clock, and of CPU."""


def measure(host: Host, rounds: int) -> Table:
    """`python -c pass`, `farlab --version` and `farlab list` with nothing running, in turns."""
    farlab = Farlab(host)
    words = {"python -c pass": ["-c", "pass"]} | {f"farlab {word}": ["-m", "farlab", word] for word in BUDGETS}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in words}
    for number in range(-2, 4 * rounds):
        for name, argv in words.items():
            both = _spend([sys.executable, *argv], farlab.env)
            if number >= 0:
                took[name].append(both)
        say(f"  startup {number + 1}")
    series: dict[str, Both] = {name: (_series(values, 0), _series(values, 1)) for name, values in took.items()}
    floor = series.pop("python -c pass")
    head = ("command", "ms", "over Python", "ms of CPU", "over Python, CPU", "budget")
    about = "Milliseconds from outside, byte-compiled: median (min-max). CPU time is what a quiet machine would take."
    table = Table("Start-up", head, about)
    table.add("`python -c pass`", _show(floor[0]), "", _show(floor[1]), "", "")
    for (name, (wall, cpu)), budget in zip(series.items(), BUDGETS.values(), strict=True):
        more, more_cpu = ((one.median - bare.median) * 1e3 for one, bare in zip((wall, cpu), floor, strict=True))
        cells = (_show(wall), f"+{more:.0f}", _show(cpu), f"+{more_cpu:.0f}")
        table.add(f"`{name}`", *cells, f"{verdict(round(more), budget)} (CPU: {verdict(round(more_cpu), budget)})")
    return table


def _spend(argv: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds and CPU seconds of one process."""
    start = time.perf_counter()
    process = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"`{' '.join(argv)}` ended with {process.returncode}")
    return took, used.ru_utime + used.ru_stime


def _series(values: list[tuple[float, float]], which: int) -> Series:
    return Series(tuple(value[which] for value in values))


def _show(series: Series) -> str:
    return series.show(scale=1e3, digits=0)
