"""Random faults for a while, under load, in the bed of the tests: what survives them, how fast, and what leaks.

    python bench/soak.py [--minutes 30] [--seed N] [--write] [--only "ssh killed" ...]

Needs root. Two sessions, one of them behind a jump host, with kernels that count, downloads, uploads and requests, each
of which checks what it gets. Ends with status 1 where a fault that a line survives cost a byte or a connection.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import random
import shutil
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))
MARK = "FARLAB_TEST"
os.environ[MARK] = f"soak-{os.getpid()}"

from measure import Table, load, say  # noqa: E402
from ours import commit_of_now  # noqa: E402
from run import machine, write  # noqa: E402
from soak_faults import ANEW, FAULTS, FIRST, ONE, Place, World  # noqa: E402
from soak_load import BIG, Load  # noqa: E402

from address import session, write_big  # noqa: E402 - of the tests
from bed import Bed, Laptop, leftovers  # noqa: E402

RECOVERY = 120.0
"""Seconds after which a session that has not come back is a fault that was not survived."""
GRACE = 5.0
FOUND = ("lost", "doubled", "broken", "anew")
"""Of an account: lines lost and doubled, connections broken against the rules, and by them."""
ROLES = ("keeper", "anchor", "agent")


@dataclass
class Tally:
    """What one kind of fault did."""

    times: int = 0
    survived: int = 0
    found: Counter[str] = field(default_factory=Counter)
    live: list[float] = field(default_factory=list)


@dataclass
class Size:
    """A process's open descriptors and MiB of RSS."""

    descriptors: int
    memory: float


class Soak:
    """One run: faults, what they did, and the sizes of our processes, by session and role."""

    def __init__(self, world: World, only: list[str]) -> None:
        self.world = world
        self.kinds = only or list(FAULTS)
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.first: dict[tuple[str, str, int], Size] = {}
        self.last: dict[tuple[str, str, int], Size] = {}

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.measure(30)
        bag: list[str] = []
        while time.monotonic() < end:
            bag = bag or self.world.rng.sample(self.kinds, len(self.kinds))  # each kind equally often
            self._let_happen(bag.pop())
            self.measure(0.1)
            self.world.pause(1, 5)

    def _let_happen(self, kind: str) -> None:
        place = self.world.rng.choice(self.world.places)
        if kind == "jump host crashed":
            place = self.world.places[-1]
        if kind in FIRST:
            place = self.world.places[0]
        hit = [place] if kind in ONE else list(self.world.places)
        before = self._found()
        for each in hit if kind in ANEW else ():
            each.load.begins_anew.set()
        moment = FAULTS[kind](self.world, place)
        live = self._wait_until_live(hit, moment)
        while self.world.mendings:
            self.world.mendings.pop()()
        tally = self.tallies[kind]
        tally.times += 1
        tally.live += [live] if live is not None else []
        if kind in ANEW:
            time.sleep(GRACE)  # until whoever was on the line has noticed
        for each in hit:
            each.load.begins_anew.clear()
        found = self._found() - before
        tally.found += found
        is_survived = live is not None and not any(found[each] for each in ("lost", "doubled", "broken"))
        tally.survived += is_survived
        back = "never" if live is None else f"{live:.2f} s"
        say(f"{time.strftime('%H:%M:%S')} {kind} ({place.name}): {back} {dict(found) or ''}")

    def _found(self) -> Counter[str]:
        """What all loads have found until now."""
        accounts = [place.load.account for place in self.world.places]
        return Counter({key: sum(getattr(each, key) for each in accounts) for key in FOUND})

    def _wait_until_live(self, hit: list[Place], moment: float) -> float | None:
        """Seconds from `moment` until every kernel was heard again."""
        counters = [counter for place in hit for counter in place.load.counters]
        for counter in counters:
            counter.ask(moment)
        deadline = time.monotonic() + RECOVERY
        while not all(counter.live for counter in counters):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        return max(counter.live for counter in counters) - moment

    def measure(self, settle: float) -> None:
        """The sizes of now; of a process that is new, as its first ones, after `settle` seconds."""
        time.sleep(settle)
        for place in self.world.places:
            found = {"keeper": self.world.keeper(place), "anchor": place.on_host("farlab.host.anchor"),
                     "agent": place.on_host("farlab-agent")}  # fmt: skip
            for role, process in found.items():
                with contextlib.suppress(OSError):
                    if process is not None:
                        key = (place.name, role, process.pid)
                        self.last[key] = _size(process.pid)
                        self.first.setdefault(key, self.last[key])


def _size(pid: int) -> Size:
    text = Path(f"/proc/{pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS"))
    return Size(len(os.listdir(f"/proc/{pid}/fd")), memory / 1024)


@contextlib.contextmanager
def loaded(bed: Bed, laptop: Laptop, seed: int) -> Iterator[World]:
    """Two sessions under load; both, and the load, have ended when this is left."""
    big = write_big(bed.login, "alice", BIG)
    with contextlib.ExitStack() as stack:
        places = []
        for host, alias, name, kernels in ((bed.login, "login", "main", 2), (bed.node1, "node1", "behind", 1)):
            address = stack.enter_context(session(laptop, alias, "--name", name))
            work = Load(address, bed.login.home("alice"), big, seed, kernels=kernels)
            places.append(Place(alias, name, host, work))
        for place in places:
            stack.callback(place.load.stop)
            place.load.start()
        yield World(bed, laptop, tuple(places), seed)


def new_laptop(bed: Bed) -> Laptop:
    """With a copy of farlab's source, so that nobody's editing disturbs the run."""
    laptop = bed.add_laptop()
    source = bed.site.directory / "source"
    shutil.copytree(HERE.parent / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(source, quiet=1)
    laptop.extra_env = {**laptop.extra_env, "PYTHONPATH": str(source)}
    return laptop


def run(minutes: float, seed: int, only: list[str]) -> tuple[Soak, str]:
    """The soak, and what is left over after it."""
    with Bed() as bed:
        laptop = new_laptop(bed)
        before = leftovers.take(bed)
        with loaded(bed, laptop, seed) as world:
            soak = Soak(world, only)
            soak.run(minutes * 60)
            bed.restore()
            for place in world.places:
                place.load.stop()
            soak.measure(10)  # at rest
        deadline = time.monotonic() + GRACE
        while (left := leftovers.since(before, f"{MARK}={os.environ[MARK]}", bed)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return soak, str(left)


ABOUT = """Random faults under load: three kernels that count, four downloads, two uploads and page requests at a time,
in two sessions, one of them behind a jump host."""


def report(soak: Soak, left: str) -> Table:
    """All that was found, as a table."""
    head = ("fault", "times", "survived", "lines lost", "doubled", "broken", "anew", "back, s", "worst, s")
    table = Table("Soak", head, ABOUT)
    for kind in (kind for kind in FAULTS if kind in soak.tallies):
        it = soak.tallies[kind]
        numbers = (it.times, it.survived, *(it.found[key] for key in FOUND))
        times = (f"{statistics.median(it.live):.2f}", f"{max(it.live):.2f}") if it.live else ("never", "never")
        table.add(kind, *map(str, numbers), *times)
    accounts = [place.load.account for place in soak.world.places]
    done: Counter[str] = sum((account.done for account in accounts), Counter())
    whole = [f"{done[what]} {what}" for what in ("lines", "downloads", "uploads", "requests")]
    table.notes += [
        f"checked: {', '.join(whole)}; offences: {sum(len(account.offences) for account in accounts)}",
        "back: from the fault's end (or a process's death) to the first line printed later, of the slowest kernel",
        "broken: connections that a fault cost; anew: those of faults that no line survives, which begin anew",
        *_growth(soak),
        f"left over: {left.replace(chr(10), '; ') or 'nothing'}",
    ]
    return table


def _growth(soak: Soak) -> Iterator[str]:
    """What each role's processes have grown by since their first measure, at most; and the sizes at the end."""
    for role in ROLES:
        keys = [key for key in soak.first if key[1] == role]
        last = [soak.last[key] for key in keys]
        fds = max(soak.last[key].descriptors - soak.first[key].descriptors for key in keys)
        memory = max(soak.last[key].memory - soak.first[key].memory for key in keys)
        most, open_ = max(size.memory for size in last), max(soak.last[keys[at]].descriptors for at in (0, -1))
        yield (
            f"{role}: {len(keys)} processes, grown by {fds:+d} descriptors and {memory:+.1f} MiB at most;"
            f" the largest {most:.1f} MiB, {open_} descriptors at the end"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--only", nargs="+", choices=list(FAULTS), metavar="FAULT", default=[], help=", ".join(FAULTS))
    parser.add_argument("--write", action="store_true", help="into bench/RESULTS.md, besides stdout")
    words = parser.parse_args()
    quiet, began, commit = load(), time.monotonic(), commit_of_now()
    soak, left = run(words.minutes, words.seed, words.only)
    table = report(soak, left)
    took = time.monotonic() - began
    command = f"python bench/soak.py --minutes {words.minutes:g} --seed {words.seed}"
    table.notes.append(f"`{command}`: {took:.0f} s; {machine(commit)}; load {quiet} before and {load()} after")
    print(table.text(), flush=True)
    if words.write:
        write("soak", table.text())
    offences = [offence for place in soak.world.places for offence in place.load.account.offences]
    for offence in offences:
        say(offence)
    return int(bool(left or offences) or any(it.survived < it.times for it in soak.tallies.values()))


if __name__ == "__main__":
    sys.exit(main())
