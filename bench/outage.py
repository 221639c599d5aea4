"""How soon a page is live again when the network is back: farlab, `ssh -L` in a loop and autossh in the same outage.

All three have a Jupyter server and a tab of their own, on the same host and laptop of the bed of the tests, and lose
the network at the same moment. In each tab a cell prints numbered lines with their times.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from host import Host
from measure import Table, say, verdict
from playwright.sync_api import BrowserContext
from ticks import PATIENCE, Seen, Tab, wait_for
from ways import Bed, Way, three

from bed import network, processes
from chromium import chromium  # of tests/, as is the bed

GOAL = 0.5
SLOWLY = "a line a second"
_numbers = itertools.count(3)


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of outage. `befall` lets it happen and returns when the network was back (Unix time)."""

    name: str
    befall: Callable[[Bed, list[Way]], float]
    pause: float = 0.1
    """Seconds between two lines."""
    delay: float = 0
    """Milliseconds each way."""


def silence(bed: Bed, ways: list[Way], *, seconds: float) -> float:
    """Every packet is lost, both ways, and nobody is told."""
    bed.wan.blackhole("on")
    time.sleep(seconds)
    back = time.time()
    bed.wan.blackhole("off")
    return back


def wifi(bed: Bed, ways: list[Way], *, seconds: float) -> float:
    """The laptop's interface is switched off, and on again with the same address."""
    bed.wifi(on=False)
    time.sleep(seconds)
    back = time.time()
    bed.wifi(on=True)
    return back


def killed(bed: Bed, ways: list[Way]) -> float:
    """`kill -9` of every `ssh`; the network stays."""
    for link in [link for way in ways for link in way.links()]:
        processes.end(link.pid, link.started)
    return time.time()


def roamed(bed: Bed, ways: list[Way]) -> float:
    """The laptop gets another address; its connections are dead without a word."""
    back = time.time()
    bed.roam(_address())
    return back


def slept(bed: Bed, ways: list[Way], *, seconds: float) -> float:
    """All of the laptop stands still, the browser too; the network is away and comes back with another address."""
    asleep = ways[0].laptop.processes()
    for each in asleep:
        os.kill(each.pid, signal.SIGSTOP)
    bed.wan.blackhole("on")
    time.sleep(seconds)
    bed.roam(_address())
    bed.wan.blackhole("off")
    back = time.time()
    for each in asleep:
        os.kill(each.pid, signal.SIGCONT)
    return back


def _address() -> str:
    return f"10.80.0.{100 + next(_numbers) % 100}"


SHORT = (
    Case("5 s", partial(silence, seconds=5)),
    Case(f"5 s, {SLOWLY}", partial(silence, seconds=5), pause=1),
    Case("5 s, round trip 20 ms", partial(silence, seconds=5), delay=10),
    Case("5 s, Wi-Fi off", partial(wifi, seconds=5)),
    Case("`ssh` killed", killed),
    Case("another address", roamed),
    Case(f"60 s, {SLOWLY}", partial(silence, seconds=60), pause=1),
    Case("60 s", partial(silence, seconds=60)),
    Case(f"60 s, Wi-Fi off, {SLOWLY}", partial(wifi, seconds=60), pause=1),
)
LONG = (
    Case(f"300 s, {SLOWLY}", partial(silence, seconds=300), pause=1),
    Case(f"asleep for 300 s, another address, {SLOWLY}", partial(slept, seconds=300), pause=1),
)


def measure(host: Host, rounds: int) -> Table:
    """Short outages."""
    return of(SHORT, host, rounds)


def of(cases: Iterable[Case], host: Host, rounds: int) -> Table:
    """Each case `rounds` times; a row for each case and way."""
    wanted = os.environ.get("FARLAB_BENCH_CASES", "")  # a pattern for names, while something is looked into
    found: dict[tuple[str, str], list[Seen]] = {}
    cases = [case for case in cases if re.search(wanted, case.name)]
    with ExitStack() as stack:
        bed = stack.enter_context(Bed())
        laptop = bed.add_laptop()
        ways = stack.enter_context(three(bed, laptop, host.source))
        floor = _logins(bed, ways[0], sorted({case.delay for case in cases}))
        context = stack.enter_context(chromium(laptop))
        for number in range(rounds):
            for case in cases:
                for way, seen in zip(ways, _once(bed, context, ways, case), strict=True):
                    found.setdefault((case.name, way.name), []).append(seen)
                    say(f"  {case.name}, round {number + 1}, {way.name}: {seen}")
        _tell_story(ways[0])
    return _table(found, floor)


def _logins(bed: Bed, way: Way, delays: list[float]) -> str:
    """What a login alone takes: nothing that needs one can be faster."""
    words = []
    for delay in delays:
        bed.wan.delay(delay)
        took = [way.laptop.ssh(way.person, "true").seconds for _ in range(6)][1:]
        words.append(f"{statistics.median(took):.2f} s" + (f" at a round trip of {2 * delay:g} ms" if delay else ""))
    bed.wan.delay(0)
    return f"a login alone, `ssh HOST true` on the quiet machine: {', '.join(words)}"


def _once(bed: Bed, context: BrowserContext, ways: list[Way], case: Case) -> list[Seen]:
    for way in ways:
        wait_for(f"{way.name} to answer", way.answers, timeout=2 * PATIENCE, pause=0.5)
    bed.wan.delay(case.delay)
    behind_a_router(bed)
    tabs = [Tab(context, way, case.pause) for way in ways]
    back = case.befall(bed, ways)
    found = [tab.finish(back) for tab in tabs]
    for tab in tabs:
        tab.close()
    return found


def behind_a_router(bed: Bed) -> None:
    """Laptop and host know each other's hardware address, as each would its router's: on one wire a lost question for
    it is put again after a second, which says nothing about a host that is far away."""
    names = {"laptop": network.laptop_address(bed.name), "login": network.PLACES["login"].wan}
    show = ["ip", "-json", "link", "show", "dev", "wan"]
    for (name, address), other in zip(names.items(), reversed(names), strict=True):
        shown = subprocess.run(["ip", "netns", "exec", f"{bed.name}-{name}", *show], capture_output=True, check=True)
        hardware = json.loads(shown.stdout)[0]["address"]
        network.ip(f"neigh replace {address} lladdr {hardware} dev wan nud permanent", namespace=f"{bed.name}-{other}")


def _tell_story(way: Way) -> None:
    log = way.laptop.farlab("logs", way.person, "--keeper").out
    say("\n".join(f"  {line}" for line in log.splitlines()))


def _table(found: dict[tuple[str, str], list[Seen]], floor: str) -> Table:
    times = ("live after, s", "caught up after, s")
    head = ("away", "way", *times, "dialogs", "WebSockets", "lines lost", "doubled", "goal")
    table = Table("Outages, as a page sees them", head, " ".join(ABOUT.split()))
    for (case, way), seen in found.items():
        live = [each.live for each in seen]
        goal_for = [each.caught_up for each in seen] if SLOWLY in case else live
        reached = statistics.median(PATIENCE if each is None else each for each in goal_for)
        lost, printed = sum(each.lost for each in seen), sum(each.printed for each in seen)
        table.add(
            case,
            way,
            _show(live),
            _show([each.caught_up for each in seen]),
            str(sum(each.dialogs for each in seen)),
            _each(each.sockets for each in seen),
            f"{lost} of {printed}",
            str(sum(each.doubled for each in seen)),
            verdict(reached, GOAL, unit="s") if way == "farlab" else "",
        )
    table.notes += [floor, *(" ".join(note.split()) for note in NOTES)]
    return table


def _show(values: list[float | None]) -> str:
    """`median (min-max)`; what did not come is more than the patience."""
    known = sorted(PATIENCE if value is None else value for value in values)
    words = [f"> {PATIENCE:g}" if value >= PATIENCE else f"{value:.2f}" for value in known]
    middle = statistics.median(known)
    shown = f"> {PATIENCE:g}" if middle >= PATIENCE else f"{middle:.2f}"
    return f"{shown} ({words[0]}-{words[-1]})"


def _each(values: Iterable[int]) -> str:
    found = sorted(set(values))
    return f"{found[0]}" if len(found) == 1 else f"{found[0]}-{found[-1]}"


ABOUT = """JupyterLab in headless Chromium; a cell prints ten numbered lines a second. Live: seconds from the
network's return to the first line in the page that was printed after it. Caught up: until the last line printed before
it. Median (min-max) of the rounds; dialogs, lines lost and doubled are sums over them, WebSockets those of one tab."""
NOTES = (
    """with a line a second, live includes the wait for the next line, so the goal is held against caught up; with ten,
    JupyterLab takes seconds to show the thousands of lines of a long outage, however they came""",
    """`ssh -L`: `while :; do ssh -N -L … -o ExitOnForwardFailure=yes -o ServerAliveInterval=15 -o
    ServerAliveCountMax=3 HOST; sleep 1; done`, so somebody who starts it anew a second after it has ended, every time;
    autossh: `autossh -M 0 -N -L …` with `ServerAliveInterval=10`, otherwise the same. Nobody touches the page""",
    """each way has a Jupyter server of its own on one host, and a tab of its own in one browser; all three are hit by
    the same outage at the same moment. For farlab Jupyter runs as farlab starts it, for the others as `jupyter lab`
    does""",
    """unless named otherwise every packet is lost both ways and nothing is reset; in the network of the tests' bed,
    round trip below 1 ms, and both ends know each other's hardware address as if a router were between them""",
)
