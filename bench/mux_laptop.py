"""The near end without the keeper: `python mux_laptop.py VERSION SSH_ARGV...` prints its port, carries until told."""

from __future__ import annotations

import asyncio
import secrets
import socket
import subprocess
import sys

from farlab.keeper.buffers import BufferLimits
from farlab.mux.driver import MuxDriver
from farlab.mux.mux import Mux
from farlab.mux.pipes import LinkPipes

WIDE = 1 << 20


def start_ssh(argv: list[str]) -> tuple[subprocess.Popen[bytes], int]:
    """An `ssh` on a socket pair, as the keeper's link has it; the process and our end."""
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        for kind in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, kind, WIDE)
    ours.setblocking(False)
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs)
    theirs.close()
    return process, ours.detach()


async def carry(version: int, argv: list[str]) -> None:
    """Give each connection to the port a stream of the mux."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    mux = Mux(secrets.token_hex(16), True, BufferLimits().laptop)
    driver = MuxDriver(loop, mux, lambda event: None, lambda reason: ended.set())
    process, descriptor = start_ssh(argv)
    driver.attach_link(mux.attach(version), LinkPipes(descriptor, descriptor))
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        sock, _ = listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        driver.connect_socket(mux.open(""), sock)
        driver.pump()

    loop.add_reader(listener.fileno(), accept)
    loop.add_reader(sys.stdin.fileno(), ended.set)
    print(listener.getsockname()[1], flush=True)
    await ended.wait()
    driver.close()
    process.terminate()
    process.wait()


if __name__ == "__main__":
    asyncio.run(carry(int(sys.argv[1]), sys.argv[2:]))
