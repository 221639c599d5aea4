"""What another user on a machine tries. A program of its own: it reads what to try as JSON from standard input and
prints what it got hold of. Needs pyzmq where there are kernels to listen to."""

import json
import os
import socket
import sys

PATIENCE = 2500
"""Milliseconds in which a kernel that is listened to says something."""


def main():
    wanted = json.load(sys.stdin)
    got = []
    for path in wanted["sockets"]:
        with socket.socket(socket.AF_UNIX) as sock:
            attempt(got, "connect", path, sock.connect, path)
    for path in wanted["files"]:
        attempt(got, "read", path, read, path)
        attempt(got, "write", path, write, path)
    for path in wanted["directories"]:
        attempt(got, "list", path, os.listdir, path)
        attempt(got, "remove", path, os.rename, path, path + "-stolen")
    for pid in wanted["pids"]:
        own = f"/proc/{pid}"
        for name in ("environ", "mem", "maps"):
            attempt(got, "read", f"{own}/{name}", read, f"{own}/{name}")
        attempt(got, "list", f"{own}/fd", os.listdir, f"{own}/fd")
        attempt(got, "signal", pid, os.kill, pid, 0)
    if wanted["kernels"]:
        got += overhear(wanted["kernels"])
    sys.stdout.write(json.dumps(got))


def attempt(got, what, of, function, *words):
    try:
        function(*words)
    except OSError:
        return
    got.append([what, of])


def write(path):
    os.close(os.open(path, os.O_WRONLY))


def read(path):
    with open(path, "rb", 0) as file:
        if not path.endswith("/mem"):
            file.read(1)


def overhear(addresses):
    """Subscribe to everything that these addresses publish."""
    import zmq

    context, poller, names = zmq.Context(), zmq.Poller(), {}
    for address in addresses:
        sock = context.socket(zmq.SUB)
        sock.setsockopt(zmq.SUBSCRIBE, b"")
        try:
            sock.connect(address)
        except zmq.ZMQError:
            continue
        poller.register(sock, zmq.POLLIN)
        names[sock] = address
    heard = [["overhear", names[sock]] for sock, _ in poller.poll(PATIENCE)]
    context.destroy(linger=0)
    return heard


main()
