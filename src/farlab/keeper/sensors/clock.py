"""Ticks, and reports when time went by without us: this machine slept, the process stood still, a virtual machine was
put aside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ...durations import format_duration
from ..events import Ticked
from ..timing import Timing


class Clock:
    """Calls `on_tick` when it is due, and at least once in each `Timing.tick`."""

    def __init__(self, timing: Timing, on_tick: Callable[[Ticked], None]) -> None:
        self._timing, self._on_tick = timing, on_tick
        self._loop = asyncio.get_running_loop()
        self._before = _clocks()
        self._timer = self._loop.call_later(timing.tick, self._tick)

    def set(self, due: float) -> None:
        """The next tick is due then (of the loop's clock)."""
        if due != self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(due, self._tick)

    def stop(self) -> None:
        """Tick no more."""
        self._timer.cancel()

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._timing.tick, self._tick)  # whatever comes of this one
        self._on_tick(Ticked(slept=self._slept()))

    def _slept(self) -> str:
        """What has happened since the last tick, in words; empty where it was nothing to speak of."""
        before, self._before = self._before, _clocks()
        ran, up, wall = (now - then for now, then in zip(self._before, before, strict=True))
        slept = up - min(self._timing.tick, ran)
        if slept > self._timing.sleep_threshold:
            return f"this machine was asleep or suspended for {format_duration(slept)}"
        jumped = wall - up  # all that tells of a virtual machine that was put aside
        if jumped > self._timing.sleep_threshold:
            return f"the clock of this machine jumped forward by {format_duration(jumped)}, or it was suspended"
        return ""


def _clocks() -> tuple[float, float, float]:
    """Seconds of a clock that stands still while the machine sleeps, of one that does not (Linux), and Unix time."""
    asleep = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.monotonic(), time.clock_gettime(asleep), time.time()
