"""The yardstick measured: the delay that `proxy.py` adds, and what it can carry."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from host import Host, start_proxy
from measure import Table, interleave

MIB = 1 << 20
CASES = ((0.0, None), (20.0, None), (100.0, None), (20.0, 1000.0))


def measure(_: Host, rounds: int) -> Table:
    """Echo time of one byte, first echo of a new connection, MB/s down and up, for each delay and rate."""
    head = ("proxy", "echo of a byte, ms", "the same on a new connection, ms", "MB/s down", "MB/s up")
    table = Table("The proxy itself", head, "The bench's latency proxy between two plain sockets: median (min-max).")
    for rtt, rate in CASES:
        with contextlib.ExitStack() as stack:
            port = stack.enter_context(_Peer()).port
            limit = ["--rate", str(rate)] if rate else []
            proxied = start_proxy(stack, ["--to", str(port), "--rtt", str(rtt), *limit])
            size = 64 * MIB if rate else 512 * MIB
            runs = {
                "echo": lambda port=proxied: _echo(port, times=5)[1],
                "new": lambda port=proxied: _echo(port, times=1)[0],
                "down": lambda port=proxied, size=size: _down(port, size),
                "up": lambda port=proxied, size=size: _up(port, size),
            }
            took = interleave(runs, rounds, label=f"proxy {rtt:g} ms")
            name = f"{rtt:g} ms, " + (f"{rate:g} Mbit/s" if rate else "no limit")
            milliseconds = [took[one].show(scale=1e3) for one in ("echo", "new")]
            table.add(name, *milliseconds, *[took[one].show(scale=1e-6, digits=0) for one in ("down", "up")])
    table.notes += [
        "a new connection costs one round trip before its first byte, as TCP's handshake does",
        "at 0 ms without a limit the benches go without the proxy",
    ]
    return table


class _Peer:
    """A server for one connection at a time: `e` echoes, `d`SIZE sends, `u`SIZE takes and then says so."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> _Peer:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def _serve(self) -> None:
        while True:
            try:
                end, _ = self.listener.accept()
            except OSError:
                return
            with end, contextlib.suppress(ConnectionError):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._answer(end)

    def _answer(self, end: socket.socket) -> None:
        word = end.recv(16)
        if word[:1] == b"d":
            block = bytes(MIB)
            for _ in range(int(word[1:]) // MIB):
                end.sendall(block)
        elif word[:1] == b"u":
            _drain(end, int(word[1:]))
            end.sendall(b"!")
        else:
            while word:
                end.sendall(word)
                word = end.recv(16)


def _drain(end: socket.socket, size: int) -> None:
    block = bytearray(MIB)
    while size > 0:
        got = end.recv_into(block)
        if not got:
            raise ConnectionError("too short")
        size -= got


def _reach(port: int) -> socket.socket:
    end = socket.create_connection(("127.0.0.1", port))
    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return end


def _echo(port: int, *, times: int) -> tuple[float, float]:
    """Seconds from connecting to the first echo, and of the last echo alone."""
    took = []
    start = time.perf_counter()
    with _reach(port) as end:
        for _ in range(times):
            end.sendall(b"x")
            end.recv(1)
            took.append(time.perf_counter() - start)
            start = time.perf_counter()
    return took[0], took[-1]


def _down(port: int, size: int) -> float:
    """Bytes a second from the first to the last."""
    with _reach(port) as end:
        end.sendall(b"d%d" % size)
        end.recv(1)
        start = time.perf_counter()
        _drain(end, size - 1)
        return (size - 1) / (time.perf_counter() - start)


def _up(port: int, size: int) -> float:
    """Bytes a second until the far side has all of them; the answer's way back is the delay, and is counted."""
    block = bytes(MIB)
    with _reach(port) as end:
        start = time.perf_counter()
        end.sendall(b"u%-15d" % size)
        for _ in range(size // MIB):
            end.sendall(block)
        end.recv(1)
        return size / (time.perf_counter() - start)
