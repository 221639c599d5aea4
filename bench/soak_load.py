"""What runs while faults happen: kernels that count, downloads, uploads and page requests, each of which checks itself.

A connection that breaks is an offence, unless its session was told to `begin_anew`: then whoever is on it starts again,
and what was lost is counted apart.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import websocket

from address import Address, Kernel

MIB = 1 << 20
BIG = 20
"""MiB of the file that is downloaded again and again."""
_BROKEN = (OSError, websocket.WebSocketException, ValueError, KeyError)
_COUNT = """
import itertools, time
for number in itertools.count():
    print(number, time.time(), 'x' * (number % 40 * 25), flush=True)
    time.sleep(0.0 if number % 400 < 100 else 0.05)
"""
"""A hundred lines in a burst, then twenty a second."""


@dataclass
class Account:
    """What all loads of one session have found. Only ever counted up."""

    lost: int = 0
    doubled: int = 0
    broken: int = 0
    anew: int = 0
    done: Counter[str] = field(default_factory=Counter)
    offences: list[str] = field(default_factory=list)

    def offend(self, what: str) -> None:
        self.broken += 1
        self.offences.append(f"{time.strftime('%H:%M:%S')} {what}")


class Load:
    """Everything that goes on in one session. `big`: sha256 of the file `big` in the person's home."""

    def __init__(self, address: Address, home: Path, big: str, seed: int, *, kernels: int) -> None:
        self.address, self.home, self.big = address, home, big
        self.account = Account()
        self.begins_anew = threading.Event()
        """Set while a fault happens that no line survives."""
        self.over = threading.Event()
        self.counters = [Counting(self, number) for number in range(kernels)]
        works: list[Callable[[random.Random], None]] = [self._download, self._download, self._upload, self._ask]
        self._threads = [threading.Thread(target=self._repeat, args=(work, seed + at)) for at, work in enumerate(works)]
        self._threads += [threading.Thread(target=counter.run) for counter in self.counters]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let everything come to its end."""
        self.over.set()
        for thread in self._threads:
            thread.join(120)
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck:
            self.account.offend(f"never came to an end: {stuck}")
        for counter in self.counters:
            counter.close()

    def broke(self, what: str) -> None:
        """A connection has broken. Those that begin anew may notice some time after the fault."""
        if self.begins_anew.is_set():
            self.account.anew += 1
        else:
            self.account.offend(what)

    def _repeat(self, work: Callable[[random.Random], None], seed: int) -> None:
        rng = random.Random(seed)
        while not self.over.is_set():
            try:
                work(rng)
            except _BROKEN as error:
                self.broke(f"{work.__name__[1:]}: {type(error).__name__} {error}")
            self.over.wait(0.2)

    def _download(self, rng: random.Random) -> None:
        """In pieces, so slowly that faults happen on the way."""
        found, size, pause = hashlib.sha256(), 0, rng.uniform(0.005, 0.05)
        with contextlib.closing(self.address.http()) as connection:
            connection.request("GET", "/files/big", headers=self.address.login)
            answer = connection.getresponse()
            while part := answer.read(MIB // 8):
                found.update(part)
                size += len(part)
                time.sleep(pause)
        if size < BIG * MIB:
            self.broke(f"download: {size} bytes, then the end")
        elif found.hexdigest() != self.big:
            self.account.offend("download: other bytes than the host has")
        else:
            self.account.done["downloads"] += 1

    def _upload(self, rng: random.Random) -> None:
        content = rng.randbytes(rng.randrange(1, 4 * MIB))
        name = f"upload-{self.address.connected['name']}"
        words = {"type": "file", "format": "base64", "content": base64.b64encode(content).decode()}
        status, _, said = self.address.ask("PUT", f"/api/contents/{name}", json.dumps(words))
        if status not in (200, 201):
            self.broke(f"upload: status {status} {said[:200]!r}")
        elif (self.home / name).read_bytes() != content:
            self.account.offend("upload: the host has other bytes")
        else:
            self.account.done["uploads"] += 1

    def _ask(self, rng: random.Random) -> None:
        status, _, said = self.address.ask("GET", "/api/status")
        if status == 200:
            self.account.done["requests"] += 1
        else:
            self.broke(f"request: status {status} {said[:200]!r}")


class Counting:
    """A kernel that counts, and whoever listens to it on one WebSocket."""

    def __init__(self, load: Load, number: int) -> None:
        self._load, self._name = load, f"kernel {number}"
        status, _, content = load.address.ask("POST", "/api/kernels", "{}")
        if status != 201:
            raise RuntimeError(f"no kernel: {status} {content!r}")
        self.id = json.loads(content)["id"]
        self._kernel = Kernel(load.address, self.id)
        self._kernel.start(_COUNT)
        self._next: int | None = None
        self._asked, self.live = 0.0, 0.0
        self._tail = ""

    def ask(self, moment: float) -> None:
        """From here on `live` is the time at which the first line came that was printed after `moment`, 0 before."""
        self.live, self._asked = 0.0, moment

    def run(self) -> None:
        while not self._load.over.is_set():
            try:
                self._take(json.loads(self._kernel.websocket.recv()))
            except _BROKEN as error:
                self._load.broke(f"{self._name}: {type(error).__name__} {error}")
                self._again()

    def close(self) -> None:
        with contextlib.suppress(*_BROKEN):
            self._kernel.close()
            self._load.address.ask("DELETE", f"/api/kernels/{self.id}")

    def _again(self) -> None:
        """Another WebSocket; what the kernel says meanwhile is nobody's."""
        self._next, self._tail = None, ""
        while not self._load.over.wait(0.2):
            with contextlib.suppress(*_BROKEN):
                self._kernel = Kernel(self._load.address, self.id)
                return

    def _take(self, message: dict[str, object]) -> None:
        content = message.get("content")
        if message.get("msg_type") != "stream" or not isinstance(content, dict):
            return
        *lines, self._tail = (self._tail + content["text"]).split("\n")
        for line in lines:
            words = line.split()
            if len(words) < 2 or (self._next is None and not words[0].isdigit()):
                continue  # the rest of a line whose beginning was nobody's
            self._count(int(words[0]), float(words[1]))

    def _count(self, number: int, printed: float) -> None:
        if self._next is not None and number > self._next:
            self._load.account.lost += number - self._next
        elif self._next is not None and number < self._next:
            self._load.account.doubled += self._next - number
        self._next = number + 1
        self._load.account.done["lines"] += 1
        if not self.live and printed >= self._asked:
            self.live = time.time()
