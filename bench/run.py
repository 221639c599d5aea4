"""farlab's measures (issue 2): ratios within one run, in turns, medians.

    python bench/run.py [--rounds 5] [--write] [NAME ...]

Names: proxycheck startup cold warm latency bulk mux page rest leaks hostile bursts strangers outage nights;
all of them unless some are named.
`--write` puts each measured table into bench/RESULTS.md in place of its older one. `--noise` lets a second `ssh -L`
stand in for farlab.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from host import HERE, Host, standing
from measure import Table, load, say, wait_for_quiet
from ours import take_copy

RESULTS = HERE / "RESULTS.md"
NAMES = (
    *("proxycheck", "startup", "cold", "warm", "latency", "bulk", "mux", "page", "rest", "leaks", "hostile", "bursts"),
    "strangers",  # needs root
    *("outage", "nights"),  # need root, and the bed of the tests
)
"""Each is a module with `measure(host, rounds) -> Table`."""
HEAD = """# Results

Measured by `bench/run.py`, each table in one run with its contestants in turns. `median (min-max)` of the rounds that
count; a ratio is that of the medians, in brackets the span of the ratios of the single rounds. What is measured and
how to repeat it: [README.md](README.md). Look at the load at each table's end: where the cores are busy with other
work, times double, and what needs more CPU loses more.
"""


def main() -> None:
    """Measure what was named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAME", help=" ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (5)")
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md, besides stdout")
    parser.add_argument("--noise", action="store_true", help="`ssh -L` against itself (latency, bulk, page)")
    parser.add_argument("--patience", type=float, default=0, metavar="S", help="wait so long for a quiet machine")
    parser.add_argument("--commit", metavar="REV", help="measure this commit's farlab, not the working tree's")
    words = parser.parse_args()
    with standing() as host:
        host.noise = words.noise
        words.measured = take_copy(host, words.commit)
        for name in words.names or NAMES:
            _measure(name, host, words)


def _measure(name: str, host: Host, words: argparse.Namespace) -> None:
    say(f"{name} …")
    wait_for_quiet(words.patience)
    before, start = load(), time.monotonic()
    table: Table = importlib.import_module(name).measure(host, words.rounds)
    took = time.monotonic() - start
    command = f"python bench/run.py --rounds {words.rounds}{' --noise' if words.noise else ''} {name}"
    table.notes.append(f"`{command}`: {took:.0f} s; {machine(words.measured)}; load {before} before and {load()} after")
    print(table.text(), flush=True)
    if words.write:
        write(name + ("-noise" if words.noise else ""), table.text())


def machine(commit: str) -> str:
    ssh = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr.split(",")[0].split()[0]
    today, python = time.strftime("%Y-%m-%d"), platform.python_version()
    return f"{today}, commit {commit}, {os.cpu_count()} cores, Python {python}, {ssh}"


def write(name: str, text: str) -> None:
    """Put a table into RESULTS.md between its two marks, at the end if it is new."""
    old = RESULTS.read_text() if RESULTS.exists() else HEAD
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    block = begin + text + end
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    new, found = re.subn(pattern, lambda _: block, old, flags=re.DOTALL)
    draft = Path(f"{RESULTS}.new")
    draft.write_text(new if found else f"{old}\n{block}")
    draft.replace(RESULTS)


if __name__ == "__main__":
    sys.exit(main())
