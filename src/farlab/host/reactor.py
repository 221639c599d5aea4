"""A small event loop for the host: asyncio's names, a third of its memory and start-up. Python 3.6.

An exception in a callback ends that callback and nothing else. If it was about a descriptor, and the callback is a
method of an object that has a method `abandon`, the loop calls `abandon(*args)`, which gives up the connection.
"""

import heapq
import itertools
import selectors
import time
from contextlib import suppress

MYPY = False
if MYPY:
    from collections.abc import Callable
    from typing import Any

    Call = tuple[Callable[..., object], tuple[Any, ...]]
    Calls = tuple[Call | None, Call | None]

MAX_FAULTS, MAX_FAULT = 20, 4096
"""Exceptions that go into the log in an hour, and characters of each: a log shall not fill."""
HOUR = 3600.0


class Faults(object):
    """Writes exceptions into the log at `path`."""

    def __init__(self, path: str) -> None:
        self._path, self._since, self._count = path, time.monotonic(), 0

    def report(self) -> None:
        """Write the exception that is being handled."""
        now = time.monotonic()
        if now - self._since > HOUR:
            self._since, self._count = now, 0
        self._count += 1
        if self._count > MAX_FAULTS:
            return
        import traceback  # 1 MiB, and nobody should ever need it

        with suppress(Exception), open(self._path, "a") as log:
            log.write("farlab: bug in the anchor; the session continues\n%s\n" % traceback.format_exc()[-MAX_FAULT:])


class Timer(object):
    """A call that is due at some time."""

    __slots__ = ("args", "call", "due", "order")

    def __init__(self, due: float, order: int, call: "Callable[..., object]", args: "tuple[Any, ...]") -> None:
        self.due, self.order, self.args = due, order, args
        self.call = call  # type: Callable[..., object] | None

    def __lt__(self, other: "Timer") -> bool:
        return (self.due, self.order) < (other.due, other.order)

    def cancel(self) -> None:
        """Do not call."""
        self.call = None


class Reactor(object):
    """Waits for descriptors and times, in one thread, until `stop`.

    `on_fault()` is called while an exception is handled; without it exceptions leave `run`.
    """

    def __init__(self, on_fault: "Callable[[], object] | None" = None) -> None:
        self._on_fault = on_fault
        self._selector = selectors.DefaultSelector()
        self._timers = []  # type: list[Timer]
        self._order = itertools.count()
        self._is_stopped = False

    def add_reader(self, fd: int, call: "Callable[..., object]", *args: "Any") -> None:
        """Call whenever the descriptor can be read."""
        self._set(fd, 0, (call, args))

    def add_writer(self, fd: int, call: "Callable[..., object]", *args: "Any") -> None:
        """Call whenever the descriptor can be written."""
        self._set(fd, 1, (call, args))

    def remove_reader(self, fd: int) -> None:
        """Take `add_reader` back."""
        self._set(fd, 0, None)

    def remove_writer(self, fd: int) -> None:
        """Take `add_writer` back."""
        self._set(fd, 1, None)

    def call_later(self, delay: float, call: "Callable[..., object]", *args: "Any") -> Timer:
        """Call in `delay` seconds."""
        timer = Timer(time.monotonic() + delay, next(self._order), call, args)
        heapq.heappush(self._timers, timer)
        return timer

    def stop(self) -> None:
        """Let `run` return."""
        self._is_stopped = True

    def call(self, call: "Callable[..., object]", *args: "Any") -> bool:
        """Call now. Returns False after an exception, which is reported and goes no further."""
        try:
            call(*args)
        except Exception:
            if self._on_fault is None:
                raise
            self._on_fault()
            return False
        return True

    def run(self) -> None:
        """Run until `stop`."""
        while not self._is_stopped:
            for key, mask in self._selector.select(self._timeout()):
                for side in (0, 1):
                    # a call before this one may have removed it
                    wanted = self._calls(key.fd)[side] if mask & (1, 2)[side] else None
                    if wanted is not None and not self.call(wanted[0], *wanted[1]):
                        abandon = getattr(getattr(wanted[0], "__self__", None), "abandon", None)
                        if abandon is not None:
                            self.call(abandon, *wanted[1])
            self._run_due()

    def _calls(self, fd: int) -> "Calls":
        key = self._selector.get_map().get(fd)
        return key.data if key is not None else (None, None)

    def _set(self, fd: int, side: int, call: "Call | None") -> None:
        before = self._calls(fd)
        calls = (call, before[1]) if side == 0 else (before[0], call)
        mask = (1 if calls[0] else 0) | (2 if calls[1] else 0)
        if before == (None, None):
            if mask:
                self._selector.register(fd, mask, calls)
        elif mask:
            self._selector.modify(fd, mask, calls)
        else:
            self._selector.unregister(fd)

    def _timeout(self) -> "float | None":
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else None

    def _run_due(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            timer = heapq.heappop(self._timers)
            if timer.call is not None:
                self.call(timer.call, *timer.args)
