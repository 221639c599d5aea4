"""Probes whether the host can be reached: a TCP connection to its `ssh` port, made and closed at once.

A link costs a login, and an `ssh` that waits in a dead network asks again after 1, 2, 4, 8 s; a probe costs one packet
and shows within a tenth of a second that the network is back. It is no login, and one answer at most is had for each
attempt: after that the back-off rules.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
from collections.abc import Callable, Sequence

from ...transport.base import Endpoint
from ..events import HostAnswered

NO_ANSWER = frozenset((errno.ETIMEDOUT, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL, errno.EINVAL))
"""What this machine says by itself. All else has come from the host or a router on the way (ICMP)."""
TIMEOUT = 3.0
"""Seconds that one probe waits for its answer."""


class TcpProber:
    """Calls `on_answer` once after each `start`, with the first answer."""

    def __init__(self, on_answer: Callable[[HostAnswered], None]) -> None:
        self._on_answer = on_answer
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None

    def start(self, endpoints: Sequence[Endpoint], interval: float) -> None:
        """Probe until there is an answer, or `stop`; nothing happens where that is being done."""
        if self._task is None or self._task.done():
            self._task = self._loop.create_task(self._probe_until_answered(endpoints, interval))

    def stop(self) -> None:
        """Probe no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _probe_until_answered(self, endpoints: Sequence[Endpoint], interval: float) -> None:
        first, pending = self._loop.time(), dict[asyncio.Task[int], float]()
        sent = first
        try:
            while True:
                pending.update({self._loop.create_task(self._probe(endpoint)): sent for endpoint in endpoints})
                due = sent + interval
                while pending and self._loop.time() < due:
                    wait = due - self._loop.time()
                    done, _ = await asyncio.wait(pending, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
                    for probe in done:
                        then, result = pending.pop(probe), probe.result()
                        if result in NO_ANSWER:
                            continue
                        self._task = None
                        was_away = then > first  # else the first would have been answered before
                        self._on_answer(HostAnswered(sent=then, was_away=was_away, is_refused=result != 0))
                        return
                await asyncio.sleep(due - self._loop.time())
                sent = self._loop.time()
        finally:
            for probe in pending:
                probe.cancel()

    async def _probe(self, endpoint: Endpoint) -> int:
        """0 where somebody accepted, else the error's number."""
        try:
            with socket.socket(endpoint.family, socket.SOCK_STREAM) as sock:
                sock.setblocking(False)
                _stay_half_open(sock)
                async with asyncio.timeout(TIMEOUT):
                    await self._loop.sock_connect(sock, endpoint.address)
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as error:
            return error.errno or errno.EIO
        return 0


def _stay_half_open(sock: socket.socket) -> None:
    """Make closing it a reset, and (Linux) the handshake's last packet late: `sshd` never learns of the connection.

    So a probe takes no place of `MaxStartups`, and leaves no line in a log that fail2ban reads.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
