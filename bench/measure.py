"""Rounds, medians, ratios, tables. Contestants take turns (A B, B A, …): what else the machine does hits all alike."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Run = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Series:
    """What one contestant measured, in the order in which it came."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def show(self, *, scale: float = 1.0, digits: int = 2) -> str:
        """`median (min-max)`, each value times `scale`."""
        three = (min(self.values), self.median, max(self.values))
        low, middle, high = (f"{value * scale:.{digits}f}" for value in three)
        return f"{middle} ({low}-{high})"


@dataclass(slots=True)
class Table:
    """One measure's Markdown: a title, what was done, rows, remarks."""

    title: str
    head: tuple[str, ...]
    about: str = ""
    rows: list[tuple[str, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """One row, a cell for each column."""
        self.rows.append(cells)

    def text(self) -> str:
        """The Markdown of it, ending in a newline."""
        lines = [f"## {self.title}", ""]
        lines += [self.about, ""] if self.about else []
        lines += ["| " + " | ".join(self.head) + " |", "|" + "---|" * len(self.head)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        lines += [""] + [f"- {note}" for note in self.notes] if self.notes else []
        return "\n".join(lines) + "\n"


def say(text: str) -> None:
    """Progress, to stderr."""
    print(text, file=sys.stderr, flush=True)


def interleave(runs: Mapping[str, Run], rounds: int, *, warm_up: int = 1, label: str = "") -> dict[str, Series]:
    """Let all run in turn, `warm_up` rounds for nothing and then `rounds` that count."""
    values: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(-warm_up, rounds):
        for name in list(runs)[:: -1 if number % 2 else 1]:  # A B, B A: coming second is nobody's lot
            value = runs[name]()
            if number >= 0:
                values[name].append(value)
            say(f"  {label} {'warm-up' if number < 0 else number + 1} {name}: {value:.4g}")
    return {name: Series(tuple(series)) for name, series in values.items()}


def ratio(ours: Series, theirs: Series) -> str:
    """The ratio of the medians, and the span of the ratios of the rounds."""
    pairs = [one / other for one, other in zip(ours.values, theirs.values, strict=True)]
    return f"{ours.median / theirs.median:.2f} ({min(pairs):.2f}-{max(pairs):.2f})"


def verdict(value: float, limit: float, *, unit: str = "", at_least: bool = False) -> str:
    """`≤ limit unit: yes` or `≤ limit unit: NO`."""
    holds = value >= limit if at_least else value <= limit
    return f"{'≥' if at_least else '≤'} {limit:g}{unit and ' ' + unit}: {'yes' if holds else '**NO**'}"


def slope(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Least squares through (x, y): (rise per x, y at 0)."""
    line = statistics.linear_regression([x for x, _ in points], [y for _, y in points])
    return line.slope, line.intercept


def clock(run: Callable[[], object]) -> float:
    """How many seconds a call takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def wait_for_quiet(patience: float) -> None:
    """Wait until the processors have been four fifths idle for 2 s, but no longer than `patience` seconds."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = _ticks()
        time.sleep(2)
        spent = [after - earlier for after, earlier in zip(_ticks(), before, strict=True)]
        if spent[3] >= 0.8 * sum(spent):
            return
    say("the machine is not quiet; going on")


def _ticks() -> list[int]:
    """What all processors together spent so far: user, nice, system, idle …, proc(5)."""
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]


def load() -> str:
    """The load average of the last minute, for the record."""
    return f"{os.getloadavg()[0]:.1f}"
