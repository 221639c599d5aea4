"""A small event loop for the host: asyncio's names, a third of its memory and start-up. Python 3.6.

An exception in a callback ends that callback and nothing else. Where it was about a descriptor, and the callback is a
method, its object is told: `failed(*args)`, if it has one, gives up the connection.
"""

import heapq
import itertools
import selectors
import time
from contextlib import suppress

MOST_FAULTS, MOST_FAULT = 20, 4096
"""Exceptions that are told in an hour, and characters of each: a log shall not fill."""
HOUR = 3600.0


class Faults(object):
    """Tells the log at `path` of exceptions."""

    def __init__(self, path):
        self._path, self._since, self._count = path, time.monotonic(), 0

    def tell(self):
        """Tell of the one that is being handled."""
        now = time.monotonic()
        if now - self._since > HOUR:
            self._since, self._count = now, 0
        self._count += 1
        if self._count > MOST_FAULTS:
            return
        import traceback  # 1 MiB, and nobody should ever need it

        with suppress(Exception), open(self._path, "a") as log:
            log.write("farlab: bug in the anchor; the session continues\n%s\n" % traceback.format_exc()[-MOST_FAULT:])


class Timer(object):
    """A call that is due; `cancel` takes it back."""

    __slots__ = ("args", "call", "due", "order")

    def __init__(self, due, order, call, args):
        self.due, self.order, self.call, self.args = due, order, call, args

    def __lt__(self, other):
        return (self.due, self.order) < (other.due, other.order)

    def cancel(self):
        self.call = None


class Reactor(object):
    """Waits for descriptors and times, one thread, until `stop`.

    `on_fault()` is called while an exception is handled; without it exceptions leave `run`.
    """

    def __init__(self, on_fault=None):
        self._on_fault = on_fault
        self._selector = selectors.DefaultSelector()
        self._timers = []
        self._order = itertools.count()
        self._stopped = False

    def add_reader(self, fd, call, *args):
        self._set(fd, 0, (call, args))

    def add_writer(self, fd, call, *args):
        self._set(fd, 1, (call, args))

    def remove_reader(self, fd):
        self._set(fd, 0, None)

    def remove_writer(self, fd):
        self._set(fd, 1, None)

    def call_later(self, delay, call, *args):
        """Call in `delay` seconds (monotonic). Returns the `Timer`."""
        timer = Timer(time.monotonic() + delay, next(self._order), call, args)
        heapq.heappush(self._timers, timer)
        return timer

    def stop(self):
        self._stopped = True

    def call(self, call, *args):
        """Call now. Returns whether it came to its end: an exception is told, and goes no further."""
        try:
            call(*args)
        except Exception:
            if self._on_fault is None:
                raise
            self._on_fault()
            return False
        return True

    def run(self):
        """Run until `stop`."""
        while not self._stopped:
            for key, mask in self._selector.select(self._timeout()):
                for side in (0, 1):
                    # a call before this one may have removed it
                    wanted = self._calls(key.fd)[side] if mask & (1, 2)[side] else None
                    if wanted is not None and not self.call(wanted[0], *wanted[1]):
                        failed = getattr(getattr(wanted[0], "__self__", None), "failed", None)
                        if failed is not None:
                            self.call(failed, *wanted[1])
            self._run_due()

    def _calls(self, fd):
        key = self._selector.get_map().get(fd)
        return key.data if key is not None else (None, None)

    def _set(self, fd, side, call):
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

    def _timeout(self):
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0].due - time.monotonic()) if self._timers else None

    def _run_due(self):
        now = time.monotonic()
        while self._timers and self._timers[0].due <= now:
            timer = heapq.heappop(self._timers)
            if timer.call is not None:
                self.call(timer.call, *timer.args)
