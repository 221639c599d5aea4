"""A small event loop for the host: asyncio's names, a third of its memory and start-up. Python 3.6."""

import heapq
import itertools
import selectors
import time


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
    """Waits for descriptors and times, one thread, until `stop`."""

    def __init__(self):
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

    def run(self):
        """Run until `stop`."""
        while not self._stopped:
            for key, mask in self._selector.select(self._timeout()):
                for side in (0, 1):
                    # a call before this one may have removed it
                    wanted = self._calls(key.fd)[side] if mask & (1, 2)[side] else None
                    if wanted is not None:
                        wanted[0](*wanted[1])
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
                timer.call(*timer.args)
