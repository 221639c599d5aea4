"""Bounds: what is kept while one end is away, who waits when that is full, and that nothing leaks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
import websocket

import steps
from address import Address, Kernel, read_all, session, write_big
from bed import Bed, Host, Laptop, wait_for
from host_parts import agents_of, descriptors, memory, most_descriptors, out_of_reach, pid_of

MIB = 1 << 20
LINES = 500_000
"""Of 100 bytes: some 48 MiB."""
PRINT = f"""
import os, time
print('ready')
while not os.path.exists('go'):
    time.sleep(0.05)
for number in range({LINES}):
    print('%09d' % number + 'x' * 90)
open('printed', 'w').close()
"""
OURS = ("host.anchor", "host.run_jupyter", "ipykernel_launcher")
"""What must live through it, by the words of its command line."""


def test_output_that_has_no_room_waits_in_jupyter_and_comes_in_order(laptop: Laptop, host: Host, bed: Bed) -> None:
    home = host.home("alice")
    with session(laptop, "alice", "--keep-host", "1M") as address, address.kernel() as kernel:
        messages = kernel.messages(kernel.start(PRINT))
        assert "ready" in next(text for text in map(text_of, messages) if text)
        before = [pid_of(host, words) for words in OURS]
        kept = memory(before[0])
        with out_of_reach(bed, laptop):
            (home / "go").touch()
            wait_for("all of it printed", (home / "printed").exists, timeout=120)
            assert memory(before[0]) < kept + 12  # MiB: a quarter of what was printed
        lines = "".join(map(text_of, messages)).split()
        assert [int(line[:9]) for line in lines] == list(range(LINES))
        assert [pid_of(host, words) for words in OURS] == before
        told = address.status()
        assert told["host_bytes_limit"] == MIB
        assert told["since"] - 120 < told["host_full_since"] < told["since"]
        assert told["host_full_seconds"] > 0
        shown = steps.done(laptop, "status", "alice").out
        assert "the host's buffer (1.0 MiB) was full from" in shown, shown
        assert "output was delayed by" in shown, shown
    for name in ("go", "printed"):
        (home / name).unlink()


def text_of(message: dict[str, Any]) -> str:
    return str(message["content"]["text"]) if message["msg_type"] == "stream" else ""


LITTLE = """
import os, time
print('ready')
while not os.path.exists('go'):
    time.sleep(0.05)
for number in range(140_000):
    print('%09d' % number + 'x' * 90)
open('printed', 'w').close()
"""
"""13 MiB of lines."""


def test_a_link_that_is_dead_but_stands_is_no_reason_to_keep_less(laptop: Laptop, host: Host, bed: Bed) -> None:
    home = host.home("alice")
    with session(laptop, "alice") as address, address.kernel() as kernel:
        messages = kernel.messages(kernel.start(LITTLE))
        assert "ready" in next(text for text in map(text_of, messages) if text)
        anchor = pid_of(host, "host.anchor")
        before = memory(anchor)
        bed.wan.blackhole("on")
        steps.kill(steps.links(laptop)[0])  # so that the next one has a new link; the host does not hear of it
        (home / "go").touch()
        wait_for("all of it printed", (home / "printed").exists, timeout=120)
        wait_for("it to be kept", lambda: memory(anchor) > before + 9, timeout=120)
        assert len(agents_of(host)) == 1
        bed.wan.blackhole("off")
        lines = "".join(map(text_of, messages)).split()
        assert [int(line[:9]) for line in lines] == list(range(140_000))
        told = address.status()
        assert (told["host_full_since"], told["host_full_seconds"]) == (None, 0)
    for name in ("go", "printed"):
        (home / name).unlink()


def test_an_upload_that_has_no_room_waits_and_arrives_whole(laptop: Laptop, host: Host, bed: Bed) -> None:
    content = random.Random(1).randbytes(12 * MIB)
    with session(laptop, "alice", "--keep-laptop", "1M") as address:
        with Sink(host) as sink:
            with out_of_reach(bed, laptop):
                sending = threading.Thread(target=sink.send, args=(address, content))
                sending.start()
                told = wait_for("the bound", lambda: full(address), timeout=60)
                assert told["bytes_limit"] == MIB
                assert told["bytes_held"] < 2 * MIB
                assert told["since"] - 60 < told["full_since"]
                shown = steps.done(laptop, "status", "alice").out
                assert "local buffer (1.0 MiB) full since" in shown, shown
                assert "uploads are paused" in shown, shown
            sending.join(100)
            assert sink.came() == hashlib.sha256(content).hexdigest()
        told = address.status()
        assert (told["full_since"], told["state"]) == (None, "up")


def full(address: Address) -> Any:
    """The status once a buffer here is full."""
    told = address.status()
    return told if told["full_since"] is not None else None


class Sink:
    """A file on the host that Jupyter's own API takes in: the upload that a user makes by drag and drop."""

    def __init__(self, host: Host) -> None:
        self._path = host.home("alice") / "upload"

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)

    def send(self, address: Address, content: bytes) -> None:
        words = {"type": "file", "format": "base64", "content": base64.b64encode(content).decode()}
        address.ask("PUT", "/api/contents/upload", json.dumps(words))

    def came(self) -> str:
        return hashlib.sha256(self._path.read_bytes()).hexdigest()


def test_an_answer_that_ends_while_the_laptop_is_away_comes_whole(laptop: Laptop, host: Host, bed: Bed) -> None:
    digest = write_big(host, "alice", 40)
    with session(laptop, "alice", "--keep-host", "256M") as address, contextlib.closing(address.http()) as connection:
        server = pid_of(host, "host.run_jupyter")
        assert len(address.ask("GET", "/files/big")[2]) == 40 * MIB  # so that all is loaded
        before = descriptors(server)
        connection.request("GET", "/files/big", headers={**address.login, "Connection": "close"})
        answer = connection.getresponse()
        assert descriptors(server) > before  # it has more to say than a stream may hold
        with out_of_reach(bed, laptop):
            wait_for("the server's end of it", lambda: descriptors(server) <= before, timeout=30)
        assert hashlib.sha256(answer.read()).hexdigest() == digest
    (host.home("alice") / "big").unlink()


@pytest.mark.usefixtures("small_jupyter")
def test_a_later_connect_changes_the_limits_of_a_mux_that_stands(laptop: Laptop, host: Host) -> None:
    with session(laptop, "alice") as address:
        told = address.status()
        assert (told["bytes_limit"], told["host_bytes_limit"]) == (16 * MIB, 64 * MIB)
        [link] = steps.links(laptop)
        again = steps.connect(laptop, "alice", "--keep-laptop", "2M", "--keep-host", "3M")
        assert again["notes"] == []
        wait_for("the host's word", lambda: address.status()["host_bytes_limit"] == 3 * MIB)
        assert address.status()["bytes_limit"] == 2 * MIB
        steps.connect(laptop, "alice")
        told = address.status()
        assert (told["bytes_limit"], told["host_bytes_limit"]) == (2 * MIB, 3 * MIB)  # not given: as they were
        assert steps.links(laptop) == [link]


def test_a_mux_without_a_link_is_kept_as_long_as_was_said(laptop: Laptop, host: Host, bed: Bed) -> None:
    with session(laptop, "alice", "--keep-hours", "0.0005") as address, address.kernel() as kernel:
        pid = address.connected["pid"]
        assert kernel.run("1") == ""
        server = pid_of(host, "host.run_jupyter")
        joined = descriptors(server)
        with out_of_reach(bed, laptop):
            wait_for("the server to lose the connection", lambda: descriptors(server) < joined, timeout=30)
        with pytest.raises((OSError, websocket.WebSocketException)):
            kernel.run("1")
        again = steps.connect(laptop, "alice")
        assert (again["pid"], again["token"]) == (pid, address.token)
        assert steps.answers(laptop, again)


def many(address: Address, count: int) -> None:
    """So many requests, each on a connection of its own."""
    for _ in range(count):
        assert address.ask("GET", "/api")[0] == 200


def test_lost_links_leave_nothing(laptop: Laptop, host: Host) -> None:
    """Descriptors and agents; what is left of memory, `bench/leaks.py` measures."""
    with session(laptop, "alice") as address, address.kernel() as kernel:
        lose_links(laptop, kernel, 2)  # what the first ones open once
        wait_for("one agent", lambda: len(agents_of(host)) == 1, timeout=60)
        before = {pid: descriptors(pid) for pid in (address.keeper(), pid_of(host, "host.anchor"))}
        lose_links(laptop, kernel, 8)
        wait_for("one agent", lambda: len(agents_of(host)) == 1, timeout=60)
        wait_for("all to be closed", lambda: all(descriptors(pid) <= held for pid, held in before.items()), timeout=60)


def lose_links(laptop: Laptop, kernel: Kernel, count: int) -> None:
    """Kill the `ssh` so many times, a kernel's connection living through all of it."""
    for number in range(count):
        [link] = wait_for("a link", lambda: steps.links(laptop), timeout=60)
        steps.kill(link)
        steps.connect(laptop, "alice")  # whoever connects does not wait for the back-off
        assert kernel.run(f"print({number})") == f"{number}\n"


HELD = 1500
ASK = b"GET /api HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_more_connections_than_a_shell_allows_wait_for_the_host(laptop: Laptop, host: Host, bed: Bed) -> None:
    shell = ("prlimit", "--nofile=1024:20000")
    began = laptop.run(*shell, *laptop.farlab_argv("connect", "alice", "--no-browser"), timeout=steps.PATIENCE)
    assert began.code == 0, began
    with session(laptop, "alice") as address, contextlib.ExitStack() as held:
        with out_of_reach(bed, laptop):
            ends = [held.enter_context(address.socket()) for _ in range(HELD)]
            for end in ends:
                end.sendall(ASK)
            told = wait_for("all of them", lambda: waits(address, HELD), timeout=60)
            assert told["bytes_held"] < HELD * 200
        for end in ends:
            assert read_all(end).startswith(b"HTTP/1.1 200")
            end.close()


def test_a_program_that_closes_nothing_does_not_lock_a_laptop_out(
    laptop: Laptop, host: Host, new_laptop: Callable[[], Laptop]
) -> None:
    with session(laptop, "alice") as address, contextlib.ExitStack() as held:
        anchor = pid_of(host, "host.anchor")
        most = most_descriptors(anchor)
        for _ in range(most + 500):
            held.enter_context(address.socket()).sendall(ASK)
        wait_for("its bound", lambda: descriptors(anchor) > most - 100, timeout=60)
        other = new_laptop()
        [listed] = steps.done(other, "list", "--host", "alice", "--json").json["sessions"]
        assert listed["state"] == "up", listed
        held.close()
        assert steps.answers(other, steps.connect(other, "alice"))
        steps.done(other, "disconnect", "alice")


def waits(address: Address, count: int) -> Any:
    """The status once so many connections wait."""
    told = address.status()
    return told if told["streams"] >= count else None


@pytest.mark.parametrize(("way", "rate", "size"), [("up", 0.3, 800_000), ("down", 0.3, 800_000), ("up", 0.1, 200_000)])
def test_a_slow_network_that_is_full_is_no_outage(
    laptop: Laptop, host: Host, bed: Bed, way: str, rate: float, size: int
) -> None:
    """So many megabits a second, full for half a minute: every heartbeat queues behind it, a frame takes a while."""
    content = random.Random(2).randbytes(size)
    with session(laptop, "alice") as address, Sink(host) as sink:
        (host.home("alice") / "download").write_bytes(content)
        [link] = steps.links(laptop)
        bed.wan.rate(rate)
        if way == "up":
            sink.send(address, content)
            assert sink.came() == hashlib.sha256(content).hexdigest()
        else:
            assert address.ask("GET", "/files/download")[2] == content
        bed.wan.rate(0)
        told = address.status()
        assert (told["outages"], told["state"], steps.links(laptop)) == (0, "up", [link])
        (host.home("alice") / "download").unlink()
