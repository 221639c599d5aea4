"""How much of the laptop a hostile host can use up: known attacks and a generator's, each on a keeper of its own.

The host is a program in the place of `ssh` (`tests/stub_mux.py`): it lets a keeper join, and then says what it likes.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host import HERE, Host
from measure import Table, say, verdict
from ours import Farlab

sys.path.append(str(HERE.parent / "tests"))
import stub_mux
import stub_ssh

SECONDS = 10.0
"""That each attack lasts."""
MOST_MEMORY, MOST_DISK = 64.0, 8.0
"""MiB above rest; MiB."""

CALM = "join(); up(); serve()"
FOR_EVER = "join(); up(); serve(1)\nwhile True:\n    serve(0); "
GENERATOR = r"""
import random
chance = random.Random(os.getpid())
ODD = [None, True, -1, 0, 1.5, 1e30, float("nan"), float("inf"), 10**400, "", "x" * 60_000, "\x9d" * 20_000, "\ud800",
       [], [[]] * 5000, {}, {"a": {}}, "a\0b"]
KEYS = [*SESSION, "names", "kernels", "error", "other"]
def some():
    words = {key: chance.choice(ODD) for key in chance.sample(KEYS, 2)}
    words = words if chance.random() < 0.5 else dict(SESSION, **words)
    line = {"limit": chance.choice(ODD), "full": {"ago": chance.choice(ODD), "for": chance.choice(ODD)}}
    return {"session": words, "line": chance.choice([None, line]), "more": chance.choice(ODD)}
def something():
    kind = chance.choice([1, 2, 3, 4, 16, 17, 18, 19, 20, 21, 21, 21, 99])
    if kind == 21:
        return frame_of(21, 0, json.dumps(some()).encode()[:65536])
    return frame_of(kind, chance.choice([0, 0, 1, 2, 7, 1 << 31]), os.urandom(chance.choice([0, 4, 8, 16, 3000])))
join(); up(); serve(1)
while True:
    serve(0)
    raw(something() if chance.random() < 0.3 else frame_of(4, 0, struct.pack(">Q8s", counted, os.urandom(8))))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """What a host does, while on the laptop somebody `follows` (and is stopped), connects (`is_slow`: and is stopped),
    or holds `unread` connections."""

    body: str
    follows: bool = False
    is_slow: bool = False
    unread: int = 0
    is_up: bool = True


ATTACKS = {
    "none: a session at rest": Attack(body=CALM),
    "progress without end, `connect` is stopped": Attack(
        body="hear()\nwhile True:\n    say({'progress': 'x' * 900, 'text': '\\x9d' * 10_000})",
        is_slow=True,
        is_up=False,
    ),
    "another directory without end, `status --follow` is stopped": Attack(
        body="n = 0\n" + FOR_EVER + "n += 1; up(directory='/' + '%09d' % n * 400)", follows=True
    ),
    "another stage without end, a follower": Attack(body="n = 0\n" + FOR_EVER + "n += 1; up(stage='%09d' % n * 6000)"),
    "the greatest names, paths and texts": Attack(
        body=FOR_EVER + "up(names=['n%030d' % n for n in range(1500)], directory='/' * 4000, home='h' * 4000)",
        follows=True,
    ),
    "times beyond all numbers": Attack(
        body="join(); up(); serve(0.2)\nwhile True: message({'session': SESSION, 'line': {'full': {'ago': 10**400}}})"
    ),
    "times that are none": Attack(
        body=FOR_EVER + "message({'session': SESSION, 'line': {'limit': 1, 'full': {'ago': float('nan'), 'for': 1}}})"
    ),
    "messages nested 20,000 deep": Attack(body=FOR_EVER + "raw(frame_of(21, 0, b'[' * 60_000))"),
    "answers to no heartbeat": Attack(
        body=FOR_EVER + "raw(frame_of(4, 0, struct.pack('>Qd', counted, float('nan'))) * 999)"
    ),
    "heartbeats without end": Attack(body=FOR_EVER + "raw(frame_of(3, 0, struct.pack('>Qd', counted, 1.0)) * 99)"),
    "links that end at once": Attack(body="join(); up(); serve(0.1)"),
    "links that break the protocol": Attack(body="join(); up(); serve(0.1)\nwhile True: raw(os.urandom(65536))"),
    "errors of the greatest length": Attack(
        body="hear(); say({'error': {'code': 'disk-full', 'message': 'm' * 900, 'detail': 'd' * 60_000}}); wait()",
        is_up=False,
    ),
    "noise without end before a word": Attack(body="while True: raw(b'noise \\x1b[2J' * 5000)", is_up=False),
    "words of `ssh` without end": Attack(
        body="join(); up()\nwhile True:\n    serve(0); complain('x' * 4000 + chr(10))"
    ),
    "kernels of 4 MiB, nested": Attack(
        body="ANSWERS['/api/kernels'] = lambda: b'[' + b'[],' * 1_400_000 + b'{}]'\n" + CALM, follows=True
    ),
    "2 MiB on each of 24 connections that read nothing": Attack(
        body="ANSWERS['/big'] = lambda: bytes((2 << 20) - 500)\n" + CALM, unread=24
    ),
    "resets and windows without end": Attack(
        body=FOR_EVER + "raw((frame_of(19, 1) + frame_of(20, 1, bytes(4))) * 999)"
    ),
    "whatever a generator says": Attack(body=GENERATOR),
    "whatever a generator says, a stopped follower": Attack(body=GENERATOR, follows=True),
}


def measure(host: Host, rounds: int) -> Table:
    """Every attack once, for `SECONDS` each; `rounds` does not matter."""
    about = (
        f"Each for {SECONDS:.0f} s on a fresh keeper. Memory: the keeper's greatest RSS, MiB; disk: all of farlab's."
    )
    head = ("the host", "memory", "above rest", "disk", "log lines", "answers afterwards")
    table = Table("What a hostile host can use up", head, about)
    rest, most, largest = 0.0, 0.0, 0.0
    for name, attack in ATTACKS.items():
        found = Trial(host, attack).run()
        rest = rest or found.memory
        most, largest = max(most, found.memory - rest), max(largest, found.disk)
        cells = (
            f"{found.memory:.1f}",
            f"{found.memory - rest:+.1f}",
            f"{found.disk:.2f}",
            str(found.lines),
            found.answer,
        )
        say(f"  {name}: {cells}")
        table.add(name, *cells)
    table.notes.append(
        f"above rest {verdict(most, MOST_MEMORY, unit='MiB')}; disk {verdict(largest, MOST_DISK, unit='MiB')}"
    )
    return table


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one attack cost."""

    memory: float
    disk: float
    lines: int
    answer: str


class Trial:
    """One attack on one keeper."""

    def __init__(self, host: Host, attack: Attack) -> None:
        self._attack = attack
        self._farlab = Farlab(host)
        self._home = Path(tempfile.mkdtemp(dir=host.work, prefix="h"))
        (self._home / "bin").mkdir(parents=True)
        (self._home / "run").mkdir(mode=0o700)
        stub = self._home / "bin/ssh"
        stub.write_text(stub_ssh.source(stub_mux.program(attack.body)))
        stub.chmod(0o755)
        path = f"{self._home}/bin:{os.environ['PATH']}"
        more = {"HOME": str(self._home), "PATH": path, "XDG_RUNTIME_DIR": str(self._home / "run")}
        self._farlab.env |= more

    def run(self) -> Found:
        connecting = self._start("connect", "evil", "--no-browser", "--json", "--timeout", "60")
        try:
            keeper = self._keeper()
            if self._attack.is_slow:
                time.sleep(1.0)
                connecting.send_signal(signal.SIGSTOP)
            elif self._attack.is_up:
                connecting.wait(60)
            with self._company():
                memory, disk = self._watch(keeper)
                answer = self._answer()
                log = sum(path.read_bytes().count(b"\n") for path in self._home.rglob("*.log"))
        finally:
            connecting.kill()
            connecting.communicate()
            self._farlab.run("disconnect", "evil", check=False)
        return Found(memory=memory, disk=disk, lines=log, answer=answer)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", "farlab", *words]
        return subprocess.Popen(argv, env=self._farlab.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/")

    def _keeper(self) -> int:
        """The pid of the keeper, as soon as it listens."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit() and self._is_keeper(entry):
                    return int(entry.name)
            time.sleep(0.02)
        raise RuntimeError("no keeper was started")

    def _is_keeper(self, entry: Path) -> bool:
        with contextlib.suppress(OSError):
            is_one = b"farlab.keeper" in (entry / "cmdline").read_bytes()
            return is_one and f"HOME={self._home}\0".encode() in (entry / "environ").read_bytes()
        return False

    @contextlib.contextmanager
    def _company(self) -> Iterator[None]:
        """Whoever is there beside the attack."""
        with contextlib.ExitStack() as stack:
            if self._attack.follows:
                following = self._start("status", "evil", "--follow", "--json")
                stack.callback(following.communicate)
                stack.callback(following.kill)
                if following.stdout:
                    following.stdout.readline()
                following.send_signal(signal.SIGSTOP)
            for _ in range(self._attack.unread):
                port = json.loads(self._farlab.run("status", "evil", "--json").stdout)["port"]
                end = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                end.sendall(f"GET /big HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            yield

    def _watch(self, keeper: int) -> tuple[float, float]:
        """The most memory and disk, in MiB, while the attack lasts."""
        memory, disk, end = 0.0, 0.0, time.monotonic() + SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError, StopIteration):
                lines = Path(f"/proc/{keeper}/status").read_text().splitlines()
                memory = max(memory, next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024)
            disk = max(disk, self._disk())
            time.sleep(0.1)
        return memory, disk

    def _disk(self) -> float:
        sizes = 0
        for path in (self._home / ".local").rglob("*"):
            with contextlib.suppress(OSError):
                sizes += path.stat().st_size
        return sizes / (1 << 20)

    def _answer(self) -> str:
        """How the keeper answers while it is attacked."""
        began = time.monotonic()
        done = self._farlab.run("status", "evil", "--json", check=False)
        took = time.monotonic() - began
        try:
            told = json.loads(done.stdout, parse_constant=lambda name: 1 / 0)
        except (ValueError, ZeroDivisionError):
            return f"**no JSON**: {done.stdout[:60]!r}"
        return f"{told['state'] if told['ok'] else told['error']['code']}, {took:.1f} s"
