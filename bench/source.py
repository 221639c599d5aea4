"""A server that costs next to nothing: `python source.py SOCKET`, until stdin ends.

`GET /SIZE` is answered with SIZE bytes, `PUT /SIZE` takes SIZE bytes and then answers; one request a connection.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

MIB = 1 << 20


def answer(end: socket.socket) -> None:
    """Serve one connection."""
    with end, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = end.recv(65536)
            if not piece:
                return
            head += piece
        head, _, body = head.partition(b"\r\n\r\n")
        method, path = head.split(b" ")[:2]
        size = int(path[1:])
        if method == b"PUT":
            take(end, size - len(body))
            size = 0
        end.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        block = bytes(MIB)
        for start in range(0, size, MIB):
            end.sendall(block[: size - start])


def take(end: socket.socket, size: int) -> None:
    """Read `size` bytes for nothing."""
    block = bytearray(MIB)
    while size > 0:
        got = end.recv_into(block)
        if not got:
            raise ConnectionError("too short")
        size -= got


def main() -> None:
    """Accept, a thread a connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(sys.argv[1])
    listener.listen(64)
    print("listening", flush=True)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    sys.stdin.read()


def serve(listener: socket.socket) -> None:
    """Until the process ends."""
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
