"""What is left of thousands of connections, streams and links; and what a connection costs that waits for the host."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from host import Host
from measure import Table, say
from ours import Farlab
from rest import find

CONNECTIONS, STREAMS, LINKS, HELD = 1000, 10_000, 200, 5000
REQUEST = b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: " + b"x" * 500 + b"\r\n\r\n"
SETTLED = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """One process: descriptors, threads, MiB of RSS."""

    descriptors: int
    threads: int
    memory: float

    def growth(self, since: Size) -> str:
        counts = f"{self.descriptors - since.descriptors:+d} fds, {self.threads - since.threads:+d} threads"
        return f"{counts}, {self.memory - since.memory:+.1f} MiB"


class Session:
    """One living session and the processes that must not grow."""

    def __init__(self, host: Host, farlab: Farlab, alias: str, words: dict[str, object]) -> None:
        self.host, self.farlab, self.alias = host, farlab, alias
        self.port = int(str(words["port"]))
        self.server = int(str(words["pid"]))
        self.keeper = int(farlab.status(alias)["keeper_pid"])

    def sizes(self) -> dict[str, Size]:
        """Of the keeper, the anchor and, where there is one, the agent."""
        found = find(self.host, self.keeper, self.server)
        return {role: _size(found[role]) for role in ("keeper", "anchor", "agent") if role in found}

    def streams(self) -> int:
        return int(self.farlab.status(self.alias)["streams"])

    def ask(self) -> None:
        """A request on a connection of its own."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as end:
            end.sendall(REQUEST)
            if not _answer(end).startswith(b"HTTP/1.1 200"):
                raise RuntimeError("a request was not answered")


def measure(host: Host, rounds: int) -> Table:
    """One session for all of it."""
    del rounds
    head = ("what", "seconds", "streams left", "keeper", "anchor", "agent")
    table = Table("Leaks", head, "What each process has grown by, from before until all was over.")
    farlab, alias = Farlab(host), host.alias()
    with farlab.session(alias) as words:
        session = Session(host, farlab, alias, words)
        for _ in range(200):
            session.ask()  # until all that is loaded on demand is there
        works = {
            f"{CONNECTIONS} connections, half of them in the middle of a head": _connections,
            f"{STREAMS} streams, one after the other": _streams,
            f"{LINKS} links, each `ssh` killed": _links,
        }
        for what, work in works.items():
            _watch(table, session, what, work)
        _hold(table, session)
    return table


def _watch(table: Table, session: Session, what: str, work: Callable[[Session], None]) -> None:
    say(f"  {what}")
    before, began = session.sizes(), time.monotonic()
    work(session)
    took = time.monotonic() - began
    deadline = time.monotonic() + SETTLED
    while (left := session.streams()) and time.monotonic() < deadline:
        time.sleep(0.2)
    _is_alone(session)
    after = session.sizes()
    grown = (after[role].growth(before[role]) if role in after and role in before else "" for role in ROLES)
    table.add(what, f"{took:.0f}", str(left), *grown)


ROLES = ("keeper", "anchor", "agent")


def _is_alone(session: Session) -> None:
    """Wait until the agents of links that are over have ended."""
    deadline = time.monotonic() + SETTLED
    while len([pid for pid in session.host.strays() if _is_agent(pid)]) > 1 and time.monotonic() < deadline:
        time.sleep(0.2)


def _is_agent(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"farlab-agent" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _connections(session: Session) -> None:
    for number in range(CONNECTIONS):
        with socket.create_connection(("127.0.0.1", session.port), timeout=60) as end:
            if number % 2:
                end.sendall(REQUEST[:40])


def _streams(session: Session) -> None:
    for _ in range(STREAMS):
        session.ask()


def _links(session: Session) -> None:
    for _ in range(LINKS):
        _kill_ssh(session)
        session.farlab.connect(session.alias)  # who connects does not wait for the back-off
        session.ask()


def _kill_ssh(session: Session) -> None:
    found = find(session.host, session.keeper, session.server)
    for role, pid in found.items():
        if role.startswith("ssh"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _hold(table: Table, session: Session) -> None:
    """Thousands of requests while the host is away; then it is back."""
    config = session.host.config
    there = config.read_text()
    config.write_text(there.replace(f"Port {session.host.port}\n", "Port 9\n"))
    _kill_ssh(session)
    while session.farlab.status(session.alias)["state"] == "up":
        time.sleep(0.05)
    before, began = _size(session.keeper), time.monotonic()
    with contextlib.ExitStack() as stack:
        ends = [stack.enter_context(_begin(session)) for _ in range(HELD)]
        time.sleep(2)
        held, after = session.streams(), _size(session.keeper)
        cost = (after.memory - before.memory) * 1024 / max(held, 1)
        config.write_text(there)
        session.farlab.connect(session.alias)
        back = time.monotonic()
        good = sum(_answer(end).startswith(b"HTTP/1.1 200") for end in ends)
        took = time.monotonic() - back
    what = f"{HELD} requests while the host was away"
    table.add(what, f"{time.monotonic() - began:.0f}", "", after.growth(before), "", "")
    table.notes.append(
        f"{what}: {held} held, {cost:.1f} KiB of the keeper's memory each; with the host back {good} of them were"
        f" answered, the last after {took:.1f} s"
    )
    _watch(table, session, "the same when all is over, 10 s later", lambda _: time.sleep(10))


def _begin(session: Session) -> socket.socket:
    end = socket.create_connection(("127.0.0.1", session.port), timeout=60)
    end.sendall(REQUEST)
    return end


def _answer(end: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    content = b""
    with contextlib.suppress(OSError):
        while part := end.recv(1 << 16):
            content += part
    return content


def _size(pid: int) -> Size:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    memory = int(fields["VmRSS"].split()[0]) / 1024
    return Size(len(os.listdir(f"/proc/{pid}/fd")), int(fields["Threads"]), memory)
