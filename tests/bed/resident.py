"""The command line, imported once: each command runs in a fork of its own, on the laptop and as the user it is for.

For tests that look again and again: starting Python and importing farlab takes ten times as long as looking does.

    python resident.py DESCRIPTOR        # serves the socket that it inherits, until its other end closes
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
import traceback
from typing import Any

import farlab.cli
import farlab.client
import farlab.text

_LIBC = ctypes.CDLL(None, use_errno=True)
_LONGEST_ANSWER = 1 << 20
"""Bytes; the socket keeps each whole."""


class Resident:
    """The end of it that tests have."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._socket, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _LONGEST_ANSWER)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env={name: value for name, value in os.environ.items() if name != "FARLAB_TEST"},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def run(self, words: list[str], *, inside: int, uid: int, env: dict[str, str], timeout: float) -> Any:
        """Run `farlab WORDS…` in the mount and network namespaces of process `inside`: [status, stdout, stderr]."""
        request = json.dumps([words, uid, env]).encode()
        self._socket.settimeout(timeout)
        namespaces = [os.open(f"/proc/{inside}/ns/{kind}", os.O_RDONLY) for kind in ("mnt", "net")]
        try:
            socket.send_fds(self._socket, [request], namespaces)
        finally:
            for namespace in namespaces:
                os.close(namespace)
        return json.loads(self._socket.recv(_LONGEST_ANSWER))

    def close(self) -> None:
        """End it, and what it runs."""
        self._socket.close()
        self._process.kill()
        self._process.wait()


def serve(client: socket.socket) -> None:
    """Answer one request after another."""
    for package in (farlab.cli, farlab.client, farlab.text):  # what the commands would import themselves
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    while True:
        request, namespaces, _, _ = socket.recv_fds(client, _LONGEST_ANSWER, 2)
        if not request:
            return
        words, uid, env = json.loads(request)
        outputs = [os.memfd_create(name) for name in ("stdout", "stderr")]
        child = os.fork()
        if child == 0:
            client.close()
            _become(namespaces, uid, env)
            _run(words, outputs)
        for namespace in namespaces:
            os.close(namespace)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        client.send(json.dumps([status, *map(_text, outputs)]).encode())


def _become(namespaces: list[int], uid: int, env: dict[str, str]) -> None:
    for namespace in namespaces:
        if _LIBC.setns(namespace, 0):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(namespace)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    os.environ.clear()
    os.environ.update(env)
    os.chdir(env["HOME"])
    os.setsid()


def _run(words: list[str], outputs: list[int]) -> None:
    for output, ours in zip(outputs, (1, 2), strict=True):
        os.dup2(output, ours)
    status = 1
    try:
        status = farlab.cli.main(words)
        sys.stdout.flush()
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def _text(output: int) -> str:
    with open(output, "rb") as written:
        written.seek(0)
        return written.read().decode("utf-8", "replace")


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
