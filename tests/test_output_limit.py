"""What waits in the notebook server for a page that is away: all of it up to a bound, and word of what is missing."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import websocket

from address import Address, Kernel, session
from bed import Bed, Host, Laptop, wait_for
from farlab.host.output_limit import MESSAGE_OVERHEAD
from host_parts import out_of_reach

LEFT = 128
"""MiB of memory that the host says it has left."""
ROOM = LEFT / 4
"""MiB that may wait for one WebSocket."""
BEGIN = """
import os, time
from IPython.display import display
print('ready')
while not os.path.exists('go'):
    time.sleep(0.05)
"""
LINES = """
for number in range(1_200_000):
    print('%09d' % number + 'x' * 90)
"""
PICTURES = """
for number in range(1_200):
    display({'text/plain': '%09d' % number + 'x' * 100_000}, raw=True)
    time.sleep(0.002)
"""
END = "open('printed', 'w').close()"
ALL = 115
"""MiB, of either."""


@pytest.fixture
def little_memory(host: Host) -> Iterator[None]:
    """Whoever looks on the host finds this much left."""
    host.path("/tmp/meminfo").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {LEFT << 10} kB\n")
    made = host.run("root", ["mount", "--bind", "/tmp/meminfo", "/proc/meminfo"])
    assert made.returncode == 0, made
    yield
    host.run("root", ["umount", "/proc/meminfo"])
    for path in (host.path("/tmp/meminfo"), *(host.home("alice") / name for name in ("go", "printed"))):
        path.unlink(missing_ok=True)


def print_all(host: Host) -> None:
    (host.home("alice") / "go").touch()
    wait_for("all of it printed", (host.home("alice") / "printed").exists, timeout=200)


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return str(content.get("text") or content.get("data", {}).get("text/plain", ""))


def check(texts: list[str]) -> None:
    """All lines up to the bound, then the notice; what comes afterwards is in order."""
    gap = next(number for number, text in enumerate(texts) if text.startswith("Some output was dropped: "))
    before = "".join(texts[:gap]).split()
    assert [int(line[:9]) for line in before] == list(range(len(before)))
    assert ROOM * 0.8 < sum(map(len, before)) / (1 << 20) < ALL
    later = [int(line[:9]) for text in texts[gap:] if "was dropped" not in text for line in text.split()]
    assert later == sorted(set(later))
    assert not later or later[0] > len(before)


class Listener:
    """A second page on the kernel, in the protocol that JupyterLab has: parts of bytes behind their offsets."""

    def __init__(self, address: Address, kernel: Kernel) -> None:
        self._websocket = websocket.create_connection(
            f"ws://127.0.0.1:{address.port}/api/kernels/{kernel.id}/channels?session_id=listener",
            socket=address.socket(),
            header=[f"{key}: {value}" for key, value in address.login.items()],
            subprotocols=["v1.kernel.websocket.jupyter.org"],
        )

    def texts(self, cell: str) -> Iterator[str]:
        """All that cell shows, until it has ended."""
        while True:
            received = self._websocket.recv()
            count = int.from_bytes(received[:8], "little")
            at = [int.from_bytes(received[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
            _, header, parent, _, content, *_ = (received[start:end] for start, end in itertools.pairwise(at))
            message = {"kind": json.loads(header)["msg_type"], "content": json.loads(content)}
            if json.loads(parent).get("msg_id") != cell:
                continue
            if message["kind"] == "status" and message["content"]["execution_state"] == "idle":
                return
            yield text_of(message)

    def close(self) -> None:
        self._websocket.close(timeout=5)


def of_terminal(message: str | bytes) -> str:
    kind, *said = json.loads(message)
    return said[0] if kind == "stdout" else ""


@pytest.mark.parametrize("code", [LINES, PICTURES])
@pytest.mark.usefixtures("little_memory")
def test_above_the_bound_output_is_dropped_and_each_page_says_where(
    laptop: Laptop, host: Host, bed: Bed, code: str
) -> None:
    with session(laptop, "alice", "--keep-host", "1M") as address, address.kernel() as kernel:
        with contextlib.closing(Listener(address, kernel)) as listener:
            cell = kernel.start(BEGIN + code + END)
            messages = kernel.messages(cell)
            assert "ready" in next(text for text in map(text_of, messages) if text)
            with out_of_reach(bed, laptop):
                print_all(host)
            check([text_of(each) for each in messages])
            check([text for text in listener.texts(cell) if text.strip() != "ready"])  # its end may come by itself
        assert kernel.run("print('still there')") == "still there\n"


@pytest.mark.usefixtures("little_memory")
def test_what_is_kept_for_a_page_without_a_connection_is_bounded_too(laptop: Laptop, host: Host) -> None:
    with session(laptop, "alice") as address, address.kernel() as kernel:
        cell = kernel.start(BEGIN + LINES + END)
        assert "ready" in next(text for text in map(text_of, kernel.messages(cell)) if text)
        kernel.close()
        print_all(host)
        with contextlib.closing(kernel.again(address)) as again:
            check([text_of(each) for each in again.messages(cell)])
            assert again.run("print('still there')") == "still there\n"


@pytest.mark.usefixtures("little_memory")
def test_what_a_terminal_prints_for_a_page_that_is_away_is_bounded(laptop: Laptop, host: Host, bed: Bed) -> None:
    least = 16
    host.path("/tmp/meminfo").write_text("MemAvailable: 1024 kB\n")  # a page has 16 MiB all the same
    with session(laptop, "alice", "--keep-host", "1M") as address:
        name = json.loads(address.ask("POST", "/api/terminals")[2])["name"]
        terminal = websocket.create_connection(
            f"ws://127.0.0.1:{address.port}/terminals/websocket/{name}",
            socket=address.socket(),
            header=[f"{key}: {value}" for key, value in address.login.items()],
        )
        with contextlib.closing(terminal):
            flood = "echo rea''dy; until test -e go; do sleep 0.1; done; seq -w 4500000; touch printed; echo done\n"
            terminal.send(json.dumps(["stdin", "PS1=; stty -echo\n" + flood]))
            while "ready" not in terminal.recv():
                pass
            with out_of_reach(bed, laptop):
                print_all(host)
            kept = 0
            while "Some output was dropped" not in (text := of_terminal(terminal.recv())):
                kept += len(text) + MESSAGE_OVERHEAD  # many small pieces, where the machine is busy
            assert 0.8 * least < kept / (1 << 20) < 2.5 * least  # of 34 and as much for the pieces
            address.ask("DELETE", f"/api/terminals/{name}")
