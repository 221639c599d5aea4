"""A TCP proxy that adds delay (and, if told, a rate) and nothing else. One port, any number of connections.

    python proxy.py --to PORT --rtt 20 [--rate 1000] [--no-handshake]

Every byte leaves half a round trip after it came; order is kept; nothing is lost; reading never waits for writing, so
no window of the proxy's own is felt. With `--rate` (Mbit/s, each way, per connection) bytes leave one after another at
that pace, and reading stops while more than 50 ms of them wait, as at a router. A new connection costs one round trip
before its first byte, as TCP's handshake does. What it does not imitate: TCP's slow start, loss, and
late acknowledgements: it gives them at once, so that Nagle's algorithm (on in the sshd of a plain `ssh -N -L`) never
waits for its 40 ms timer.

It prints `PORT` when it listens and ends at the end of its standard input, so it cannot outlive who started it.
"""

from __future__ import annotations

import argparse
import select
import socket
import sys
import time
from collections import deque

CHUNK = 256 * 1024
ROUTER_QUEUE = 0.05
"""Seconds of bytes that may wait for their turn where there is a rate."""

Due = tuple[float, bytes]


class Way:
    """One direction of one connection: what was read, and when each piece may leave. An empty piece is the end."""

    def __init__(self, source: socket.socket, target: socket.socket, *, delay: float, rate: float | None) -> None:
        self.source, self.target = source, target
        self.delay, self.rate = delay, rate
        self.queue: deque[Due] = deque()
        self.not_before = 0.0
        self.free_at = 0.0
        """When the line has sent all it was given (only with a rate)."""
        self.reading = True
        self.blocked = False
        self.ended = False

    def wants_bytes(self, now: float) -> bool:
        """False after the end, and while the router's queue is full."""
        return self.reading and (self.rate is None or self.free_at - now < ROUTER_QUEUE)

    def read(self, now: float) -> None:
        """Take what is there and stamp it with the time at which it leaves."""
        piece = self.source.recv(CHUNK if self.rate is None else 16 * 1024)
        self.source.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.reading = bool(piece)
        start = max(now, self.not_before)
        if self.rate is not None:
            self.free_at = start = max(start, self.free_at) + len(piece) / self.rate
        self.queue.append((start + self.delay, piece))

    def write(self, now: float) -> None:
        """Send every piece whose time has come, as far as the target takes it."""
        self.blocked = False
        while self.queue and self.queue[0][0] <= now:
            due, piece = self.queue.popleft()
            if not piece:
                self.target.shutdown(socket.SHUT_WR)
                self.ended = True
                return
            try:
                sent = self.target.send(piece)
            except BlockingIOError:
                sent = 0
            if sent < len(piece):
                self.queue.appendleft((due, piece[sent:]))
                self.blocked = True
                return

    def next_time(self, now: float) -> float | None:
        """Seconds until something can be done without a socket becoming ready; None if nothing can."""
        waits = []
        if self.queue and not self.blocked:
            waits.append(self.queue[0][0] - now)
        if self.reading and not self.wants_bytes(now):
            waits.append(self.free_at - now - ROUTER_QUEUE)
        return max(0.0, min(waits)) if waits else None


class Pair:
    """One connection: two ways, and the moment at which the far side learns of it."""

    def __init__(self, near: socket.socket, *, delay: float, rate: float | None, handshake: bool) -> None:
        self.near, self.far = near, socket.socket()
        for end in (self.near, self.far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.up = Way(self.near, self.far, delay=delay, rate=rate)
        self.down = Way(self.far, self.near, delay=delay, rate=rate)
        self.connect_at = time.monotonic() + (3 * delay if handshake else 0.0)
        self.up.not_before = self.connect_at - delay
        self.connected = False

    def connect(self, port: int) -> None:
        """Reach the far side (loopback: at once)."""
        self.far.connect(("127.0.0.1", port))
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.connected = True

    def ways(self) -> list[Way]:
        """The directions in which something can be read by now."""
        return [self.up, self.down] if self.connected else [self.up]

    def close(self) -> None:
        """Drop both ends."""
        self.near.close()
        self.far.close()


class Proxy:
    """The loop over all connections. `select` and not `epoll`: its time-out has microseconds."""

    def __init__(self, listener: socket.socket, port: int, *, rtt: float, rate: float | None, handshake: bool) -> None:
        self.listener, self.port = listener, port
        self.delay, self.rate, self.handshake = rtt / 2, rate, handshake
        self.pairs: list[Pair] = []

    def run(self) -> None:
        """Carry bytes until standard input ends."""
        while True:
            now = time.monotonic()
            ways = [way for pair in self.pairs for way in pair.ways()]
            readers = {way.source: way for way in ways if way.wants_bytes(now)}
            writers = {way.target: way for way in ways if way.blocked}
            readable, writable, _ = select.select(
                [self.listener, sys.stdin, *readers], list(writers), [], self._timeout(now, ways)
            )
            if sys.stdin in readable and not sys.stdin.buffer.raw.read(1):  # type: ignore[attr-defined]
                return
            if self.listener in readable:
                self._accept()
            self._carry([readers[end] for end in readable if end in readers], [writers[end] for end in writable])

    def _timeout(self, now: float, ways: list[Way]) -> float | None:
        waits = [wait for wait in (way.next_time(now) for way in ways) if wait is not None]
        waits += [pair.connect_at - now for pair in self.pairs if not pair.connected]
        return max(0.0, min(waits)) if waits else None

    def _accept(self) -> None:
        near, _ = self.listener.accept()
        self.pairs.append(Pair(near, delay=self.delay, rate=self.rate, handshake=self.handshake))

    def _carry(self, readers: list[Way], writers: list[Way]) -> None:
        now = time.monotonic()
        for pair in list(self.pairs):
            try:
                if not pair.connected and pair.connect_at <= now:
                    pair.connect(self.port)
                self._serve(pair, readers, writers, now)
            except OSError:
                pair.up.ended = pair.down.ended = True
            if pair.up.ended and pair.down.ended:
                pair.close()
                self.pairs.remove(pair)

    def _serve(self, pair: Pair, readers: list[Way], writers: list[Way], now: float) -> None:
        for way in pair.ways():
            if way in readers:
                way.read(now)
            if pair.connected and (way in writers or not way.blocked):
                way.write(now)


def main() -> None:
    """Listen on a free loopback port, say which, and carry."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=int, required=True, metavar="PORT")
    parser.add_argument("--rtt", type=float, default=0.0, metavar="MS")
    parser.add_argument("--rate", type=float, metavar="MBIT", help="Mbit/s each way; without it there is no limit")
    parser.add_argument("--no-handshake", action="store_true", help="a new connection costs nothing")
    words = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    rate = words.rate * 1e6 / 8 if words.rate else None
    Proxy(listener, words.to, rtt=words.rtt / 1000, rate=rate, handshake=not words.no_handshake).run()


if __name__ == "__main__":
    main()
