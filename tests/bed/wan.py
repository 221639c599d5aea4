"""A wide-area link in user space, for kernels without sch_netem. Run as a program:

    wan.py NETNS_A:TAP NETNS_B:TAP CONTROL_SOCKET

Joins two TAP devices that exist in two network namespaces and carries Ethernet frames between them. Ends when standard
input (its bed's lifeline) ends. One line per connection to the control socket, answered by one JSON line:

    delay 25 | jitter 5 (ms one way) | loss 1.5 (%) | rate 20 (Mbit/s, 0 none) | blackhole on|off|up|down | heal | stats

A is the laptop's side: `up` is from A to B.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000  # linux/if_tun.h
QUEUE_SECONDS = 0.4
"""What a rate-limited way holds before it drops, like a home router."""
DOWN_PAUSE = 0.05
"""Between two looks at an interface that is down, which polls as ready for ever."""


def open_tap(namespace: str, name: str) -> int:
    """Attach to TAP `name` in a network namespace (`os.setns` needs Python 3.12)."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if libc.setns(there, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    try:
        tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    finally:
        libc.setns(here, CLONE_NEWNET)
        os.close(here)
        os.close(there)
    return tap


class Weather:
    """What is done to every frame."""

    def __init__(self) -> None:
        self.heal()

    def heal(self) -> None:
        self.number = {"delay": 0.0, "jitter": 0.0, "loss": 0.0, "rate": 0.0}
        self.lost_ways: tuple[str, ...] = ()

    def obey(self, words: list[str]) -> None:
        match words:
            case ["heal"]:
                self.heal()
            case ["blackhole", ("on" | "off" | "up" | "down") as which]:
                self.lost_ways = {"on": ("up", "down"), "off": ()}.get(which, (which,))
            case [name, value] if name in self.number:
                self.number[name] = float(value)
            case ["stats"]:
                pass
            case _:
                raise ValueError(f"cannot {' '.join(words)}")


class Way:
    """One direction: frames with the time they are due, written to `out`."""

    def __init__(self, name: str, out: int, weather: Weather) -> None:
        self.name, self.out, self.weather = name, out, weather
        self.queue: list[tuple[float, int, bytes]] = []
        self.free_at = 0.0
        self.seen = self.passed = self.lost = 0

    def put(self, frame: bytes, now: float) -> None:
        number = self.weather.number
        unlucky = number["loss"] and random.random() * 100 < number["loss"]
        too_long = number["rate"] and self.free_at - now > QUEUE_SECONDS
        if self.name in self.weather.lost_ways or unlucky or too_long:
            self.lost += 1
            return
        sent = now
        if number["rate"]:
            sent = self.free_at = max(now, self.free_at) + len(frame) * 8 / (number["rate"] * 1e6)
        due = sent + (number["delay"] + random.uniform(0, number["jitter"])) / 1e3
        self.seen += 1
        heapq.heappush(self.queue, (due, self.seen, frame))

    def flush(self, now: float) -> None:
        while self.queue and self.queue[0][0] <= now:
            frame = heapq.heappop(self.queue)[2]
            if self.name in self.weather.lost_ways:
                self.lost += 1
                continue
            try:
                os.write(self.out, frame)
                self.passed += 1
            except OSError:  # the interface is down, or its queue is full
                self.lost += 1


def take(tap: int, way: Way) -> None:
    """Read what is there, but not so much that the other way starves."""
    now = time.monotonic()
    for _ in range(64):
        try:
            frame = os.read(tap, 65600)
        except BlockingIOError:
            return
        except OSError:  # EIO: the interface is down
            time.sleep(DOWN_PAUSE)
            return
        way.put(frame, now)


def answer(control: socket.socket, weather: Weather, ways: dict[int, Way]) -> None:
    connection, _ = control.accept()
    with connection:
        try:
            weather.obey(connection.recv(200).decode().split())
            counts = {way.name: [way.passed, way.lost, len(way.queue)] for way in ways.values()}
            lost = sum(way.lost for way in ways.values())
            words: dict[str, object] = {**weather.number, "lost_ways": weather.lost_ways, "lost": lost, **counts}
        except ValueError as error:
            words = {"error": str(error)}
        connection.sendall(json.dumps(words).encode() + b"\n")


def main(a: str, b: str, path: str) -> None:
    tap_a, tap_b = open_tap(*a.split(":")), open_tap(*b.split(":"))
    weather = Weather()
    ways = {tap_a: Way("up", tap_b, weather), tap_b: Way("down", tap_a, weather)}
    control = socket.socket(socket.AF_UNIX)
    control.bind(path)
    control.listen(8)
    selector = selectors.DefaultSelector()
    for source in (tap_a, tap_b, control, sys.stdin):
        selector.register(source, selectors.EVENT_READ)
    while True:
        next_due = min((way.queue[0][0] for way in ways.values() if way.queue), default=None)
        timeout = None if next_due is None else max(0.0, next_due - time.monotonic())
        for key, _ in selector.select(timeout):
            if key.fileobj is control:
                answer(control, weather, ways)
            elif key.fileobj is sys.stdin:
                return
            else:
                take(key.fd, ways[key.fd])
        now = time.monotonic()
        for way in ways.values():
            way.flush(now)


if __name__ == "__main__":
    main(*sys.argv[1:])
