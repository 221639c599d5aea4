"""Feels the line's pulse, and finds out as early as it can be known that the host is within reach again.

What it goes by: `watch` (answers that stay out), `network` (the addresses of this machine), its clocks (sleep), and
`knock` (the host's door). What to do about it is the keeper's.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Protocol

from ..durations import format_duration
from ..transport.base import Endpoint
from .failure_detector import FailureDetector, Verdict
from .sensors.network import NetworkChanges, has_address, source_address
from .sensors.tcp_probe import TcpProber, in_background

TICK = 1.0
DOUBTING_TICK = 0.1
SLEPT = 5.0
"""Seconds by which the clocks must have parted, or we be late, to mean that this machine has slept."""
LOOKUP_PAUSE = 3.0
"""Least seconds between two looks at where the host is."""
UNHURRIED = 5.0
"""Least seconds between two changes of the network that count, where it cannot be seen whether they concern us."""


class MonitoredLink(Protocol):
    """What the pulse needs of the keeper."""

    @property
    def is_linked(self) -> bool:
        """Whether a link carries the line."""

    @property
    def bytes_in(self) -> int:
        """Bytes that have come over all links."""

    @property
    def is_sending(self) -> bool:
        """Whether so much is on its way to the host that an answer may have to wait behind it."""

    @property
    def tries(self) -> int:
        """How many links were begun so far."""

    @property
    def is_looking(self) -> bool:
        """Whether a link is wanted and does not come at once."""

    def endpoints(self) -> list[Endpoint]:
        """Where the host can be probed. Blocks."""

    def ping(self) -> None:
        """Ask the other end for a sign of life."""

    def heard(self) -> None:
        """Bytes have come."""

    def silent(self, since: float) -> None:
        """Nothing has come since then (of the loop's clock), and that is too long."""

    def cut_off(self, since: float) -> None:
        """The link was made from an address that is gone: whatever comes will not come over it."""

    def reachable(self, since: float) -> None:
        """The host, which did not answer before, has answered what was sent at that time."""

    def stirred(self, why: str) -> None:
        """This machine's network has changed, or it has slept: what failed before may work now."""


class LinkMonitor:
    """Runs beside the keeper, over all its links."""

    def __init__(self, patient: MonitoredLink) -> None:
        self._patient = patient
        self._loop = asyncio.get_running_loop()
        self.watch = FailureDetector(self._loop.time())
        self._knocker = TcpProber(self._answered)
        self._stir = asyncio.Event()
        self._clocks = _Clocks()
        self._source: str | None = None
        """The address that this machine has towards the host now."""
        self._linked_from: str | None = None
        """The one that the link was made from."""
        self._stirred_at = self._awake_since = self._loop.time()
        self._is_stuck = False
        """Whether a silence of less than the full length was told of a host within reach."""
        self._lookup = asyncio.Event()
        self._answered_in: tuple[bool, float] | None = None
        """Silence or try in which the host has answered a knock."""

    async def run(self) -> None:
        """Ends only by being cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feel())
            tasks.create_task(self._learn_the_way())

    async def _feel(self) -> None:
        changes = NetworkChanges(self._network_changed)
        try:
            while True:
                tick = TICK if self._verdict is Verdict.FINE else DOUBTING_TICK
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stir.wait(), tick)
                self._stir.clear()
                self._look()
        finally:
            changes.close()
            self._knocker.stop()

    async def _learn_the_way(self) -> None:
        """Find out where to knock; again and again while nobody opens, since a host may have moved."""
        while True:
            await self._lookup.wait()
            self._lookup.clear()
            found: list[Endpoint] = []
            with suppress(Exception):  # no thread to be had, a name that cannot be one: then as it was
                found = await in_background(self._patient.endpoints)
            if found and found != self._knocker.doors:
                self._knocker.stop()
                self._knocker.doors = found
                self._source = source_address(found)
                self._linked_from = self._linked_from or self._source
            await asyncio.sleep(LOOKUP_PAUSE)

    def reached(self) -> None:
        """The session is up: now is the time to learn the way to it."""
        self._lookup.set()

    def linked(self) -> None:
        """A link has been joined."""
        self._knocker.stop()
        self.watch.begin(self._loop.time())
        self._answered_in, self._is_stuck = None, False
        self._source = self._linked_from = source_address(self._knocker.doors)

    def look(self) -> None:
        """Look at once, not with the next tick."""
        self._stir.set()

    def greeted(self) -> None:
        """The other end has answered over the new link: find out how far away it is."""
        self.watch.ask(self._loop.time())
        self._stir.set()

    @property
    def _verdict(self) -> Verdict:
        return self.watch.verdict(self._loop.time()) if self._patient.is_linked else Verdict.FINE

    def _look(self) -> None:
        now, patient = self._loop.time(), self._patient
        if missed := self._clocks.missed():
            self._awake_since = now
            self._stirred(missed, now)
        if patient.is_linked:
            self._listen(now)
        if self._verdict is not Verdict.FINE or patient.is_looking:
            if self._answered_in != self._moment:
                self._lookup.set()
                self._knocker.start(self.watch.round_trip or 0.0)
        else:
            self._knocker.stop()

    @property
    def _quiet_since(self) -> float:
        """When an outage began that is noticed now: sleep is none."""
        return max(self.watch.last_heard, self._awake_since)

    @property
    def _moment(self) -> tuple[bool, float]:
        looking = self._patient.is_looking
        return looking, self._patient.tries if looking else self.watch.last_heard

    def _listen(self, now: float) -> None:
        if self.watch.received(self._patient.bytes_in, now):
            if self._is_stuck:
                self.watch.was_wrong()
            self._is_stuck = False
            self._patient.heard()
        if self.watch.is_due(now):
            self._patient.ping()
        if self.watch.verdict(now) is Verdict.SILENCE:
            self._patient.silent(self._quiet_since)

    def _answered(self, sent: float, was_away: bool) -> None:
        now, is_linked = self._loop.time(), self._patient.is_linked
        if is_linked and self.watch.received(self._patient.bytes_in, now):
            return  # the line was faster
        self._answered_in = self._moment
        # a slow network that is full of what we send loses knocks and delays answers, and no link is stuck
        is_full = is_linked and self._patient.is_sending
        if was_away:
            if is_linked and not is_full:
                self._patient.silent(self._quiet_since)
            self._patient.reachable(sent)
        elif not is_full:
            self._is_stuck = is_linked
            self.watch.reachable()
        self._stir.set()

    def _network_changed(self) -> None:
        now, source = self._loop.time(), source_address(self._knocker.doors)
        if self._knocker.doors:
            if source == self._source:
                return  # no affair of this line's
        elif now - self._stirred_at < UNHURRIED:
            return
        self._source = source
        is_lost = source is None and bool(self._knocker.doors)  # without doors nobody knows
        self._stirred("the network of this machine is down" if is_lost else "the network of this machine changed", now)
        if source and self._linked_from and not has_address(self._linked_from):
            self._patient.cut_off(self._quiet_since)
        if source:
            self._patient.reachable(now)

    def _stirred(self, why: str, now: float) -> None:
        self._stirred_at, self._answered_in = now, None
        self._knocker.stop()  # and begin anew, in the quick rhythm
        self.watch.stir(now)
        self._patient.stirred(why)
        self._stir.set()


class _Clocks:
    """Notices that time went by without us: a suspended machine, a stopped process, a virtual machine put aside."""

    def __init__(self) -> None:
        self._before = _clocks()

    def missed(self) -> str:
        """What has happened since the last call, in words; empty where it was nothing to speak of."""
        before, self._before = self._before, _clocks()
        ran, up, wall = (now - then for now, then in zip(self._before, before, strict=True))
        slept = up - min(TICK, ran)
        if slept > SLEPT:
            return f"this machine was asleep or suspended for {format_duration(slept)}"
        jumped = wall - up  # all that tells of a virtual machine that was put aside
        return (
            f"the clock of this machine jumped forward by {format_duration(jumped)}, or it was suspended"
            if jumped > SLEPT
            else ""
        )


def _clocks() -> tuple[float, float, float]:
    """Seconds of a clock that stands still while the machine sleeps, of one that does not (Linux), and Unix time."""
    asleep = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.monotonic(), time.clock_gettime(asleep), time.time()
