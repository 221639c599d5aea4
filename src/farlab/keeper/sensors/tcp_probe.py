"""Knocks on the host's door while the line is silent: a TCP connection to its `ssh` port, made and closed at once.

A link costs a login, and an `ssh` that waits in a dead network asks again after 1, 2, 4, 8 s; a knock costs one packet
and shows within a tenth of a second that the network is back. It is no login, and one success at most
is had for each try: after that the back-off rules.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

from ...transport.base import Endpoint

T = TypeVar("T")
PAUSES = ((600.0, 0.1), (3600.0, 1.0), (float("inf"), 5.0))
"""Seconds since the first knock, and between two of them until then."""
REFUSED_PAUSE = 1.0
"""Seconds between two where the host answers and `sshd` does not: it is being started."""
PATIENCE = 3.0
"""Seconds that one knock waits for its answer."""


async def in_background(function: Callable[[], T]) -> T:
    """What it returns, from a thread that holds nobody up: a lookup may take half a minute, and asyncio's own threads
    are waited for at the end. Raises what it raises, and RuntimeError where no thread can be had."""
    done: concurrent.futures.Future[T] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()  # whoever gives up waiting cannot cancel it

    def run() -> None:
        try:
            done.set_result(function())
        except Exception as error:  # whoever waits gets it
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


class TcpProber:
    """`on_there(sent, was_away)` is told of the first answer: when that knock was sent, and whether one before it was
    lost, so that the network has come back."""

    def __init__(self, on_there: Callable[[float, bool], None]) -> None:
        self.doors: list[Endpoint] = []
        self._on_there = on_there
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    @property
    def is_knocking(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self, round_trip: float) -> None:
        """Knock until there is an answer, or `stop`."""
        if self.doors and not self.is_knocking:
            self._task = self._loop.create_task(self._knock_until_answered(2 * round_trip))

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _knock_until_answered(self, least: float) -> None:
        first, on_their_way = self._loop.time(), dict[asyncio.Task[int], float]()
        sent = first
        try:
            while True:
                on_their_way.update({self._loop.create_task(self._knock(door)): sent for door in self.doors})
                next_one = sent + max(least, _pause(sent - first))
                while on_their_way and self._loop.time() < next_one:
                    wait = next_one - self._loop.time()
                    done, _ = await asyncio.wait(on_their_way, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                    for knock in done:
                        then, result = on_their_way.pop(knock), knock.result()
                        if result == 0:
                            self._on_there(then, then > first)  # else the first would have been answered before
                            return
                        if result == errno.ECONNREFUSED:
                            next_one = then + REFUSED_PAUSE
                await asyncio.sleep(next_one - self._loop.time())
                sent = self._loop.time()
        finally:
            for knock in on_their_way:
                knock.cancel()

    async def _knock(self, door: Endpoint) -> int:
        """0 where somebody opened, else the error's number."""
        try:
            with socket.socket(door.family, socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                async with asyncio.timeout(PATIENCE):
                    await self._loop.sock_connect(sock, door.address)
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as error:
            return error.errno or errno.EIO
        return 0


def _pause(since: float) -> float:
    return next(pause for until, pause in PAUSES if since < until)
