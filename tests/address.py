"""A session's local address as a program on its laptop uses it, and kernels driven by a client made by others.

The sockets are made in the laptop's network and held by the test itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import socket
import urllib.parse
import uuid
from collections.abc import Iterator
from typing import Any

import websocket

from bed import Host, Laptop, processes

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
PATIENCE = 100.0
"""Seconds that anything through the address may take on a busy machine."""

Message = dict[str, Any]


@contextlib.contextmanager
def network_of(pid: int) -> Iterator[None]:
    """What this thread starts or opens meanwhile is in the network of that process (setns(2))."""
    ours, theirs = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", f"/proc/{pid}/ns/net"))
    try:
        _enter(theirs)
        yield
    finally:
        _enter(ours)
        os.close(ours)
        os.close(theirs)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


class Address:
    """`connected`: what `farlab connect --json` said."""

    def __init__(self, laptop: Laptop, connected: dict[str, Any]) -> None:
        self.laptop = laptop
        self.host: str = connected["host"]
        self.port: int = connected["port"]
        self.token: str = connected["token"]
        self.origin: str = connected["url"].partition("/lab")[0]
        self.base = urllib.parse.urlsplit(self.origin).path if "/lab" in connected["url"] else ""
        self.connected = connected

    def socket(self, timeout: float = PATIENCE) -> socket.socket:
        """A connection, as a browser makes one before it has anything to say."""
        with network_of(self.laptop.holder):
            return socket.create_connection(("127.0.0.1", self.port), timeout)

    def http(self, timeout: float = PATIENCE) -> http.client.HTTPConnection:
        """A connection for several requests."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        connection.sock = self.socket(timeout)
        return connection

    def ask(
        self, method: str, path: str, body: str | bytes | None = None, **fields: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request with the token on a connection of its own: status, header fields, content."""
        with contextlib.closing(self.http()) as connection:
            connection.request(method, path, body, {**self.login, **fields})
            answer = connection.getresponse()
            return answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()

    def say(self, content: bytes, *, timeout: float = PATIENCE) -> bytes:
        """Send these very bytes; all that comes back until the other end closes."""
        with self.socket(timeout) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(content)
            return read_all(sock)
        return b""

    @property
    def login(self) -> dict[str, str]:
        return {"Authorization": f"token {self.token}"}

    @contextlib.contextmanager
    def kernel(self) -> Iterator[Kernel]:
        """A new kernel, until the block ends."""
        status, _, content = self.ask("POST", f"{self.base}/api/kernels", "{}")
        assert status == 201, content
        kernel_id = json.loads(content)["id"]
        kernel = Kernel(self, kernel_id)
        try:
            yield kernel
        finally:
            kernel.close()
            self.ask("DELETE", f"{self.base}/api/kernels/{kernel_id}")

    def status(self) -> dict[str, Any]:
        """`farlab status --json`."""
        answer: dict[str, Any] = self.laptop.farlab("status", self.host, "--json").json
        return answer

    def keeper(self) -> int:
        """The number of the keeper's process."""
        return int(self.status()["keeper_pid"])

    def link(self) -> processes.Process | None:
        """The `ssh` that carries the line now."""
        keeper = self.keeper()
        found = [each for each in self.laptop.processes() if each.name == "ssh" and parent(each.pid) == keeper]
        return found[0] if found else None


class Kernel:
    """One kernel's WebSocket (the Jupyter messaging protocol in JSON), by websocket-client."""

    def __init__(self, address: Address, kernel_id: str, session: str = "") -> None:
        self.id = kernel_id
        self._session = session or uuid.uuid4().hex
        sock = address.socket()
        self.websocket = websocket.create_connection(
            f"ws://127.0.0.1:{address.port}{address.base}/api/kernels/{kernel_id}/channels?session_id={self._session}",
            socket=sock,
            header=[f"{key}: {value}" for key, value in address.login.items()],
        )

    def close(self) -> None:
        self.websocket.close(timeout=5)

    def again(self, address: Address) -> Kernel:
        """The same page's next WebSocket: what came meanwhile is given to it."""
        return Kernel(address, self.id, self._session)

    def start(self, code: str, *, allow_stdin: bool = False) -> str:
        """Run a cell, without waiting; returns its number."""
        return self._send(
            "shell",
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "allow_stdin": allow_stdin, "stop_on_error": False},
        )

    def answer(self, text: str) -> None:
        """Answer the cell's `input()`."""
        self._send("stdin", "input_reply", {"value": text, "status": "ok"})

    def messages(self, cell: str) -> Iterator[Message]:
        """What the cell brings forth, until the kernel is idle again; each message checked to be whole."""
        while True:
            received = self.websocket.recv()
            message: Message = json.loads(received)
            if message["parent_header"].get("msg_id") != cell:
                continue
            yield message
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return

    def run(self, code: str) -> str:
        """Run a cell to its end; what it printed, or how it failed."""
        return printed(self.messages(self.start(code)))

    def _send(self, channel: str, kind: str, content: Message) -> str:
        number = uuid.uuid4().hex
        header = {
            "msg_id": number,
            "msg_type": kind,
            "username": "test",
            "session": self._session,
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        words = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        self.websocket.send(json.dumps({**words, "buffers": []}))
        return number


def printed(messages: Iterator[Message]) -> str:
    """The text of a cell's output, the name of its error at the end."""
    text = ""
    for message in messages:
        if message["msg_type"] == "stream":
            text += message["content"]["text"]
        elif message["msg_type"] == "error":
            text += message["content"]["ename"]
    return text


def parent(pid: int) -> int:
    """The number of a process's parent, 0 where it has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def read_all(sock: socket.socket) -> bytes:
    """Everything until the other end closes."""
    content = b""
    while part := sock.recv(1 << 16):
        content += part
    return content


def connect(laptop: Laptop, host: str, *words: str) -> Address:
    """`farlab connect HOST`, which must work."""
    connected = laptop.farlab("connect", host, "--json", "--no-browser", *words, timeout=PATIENCE)
    assert connected.code == 0, connected
    return Address(laptop, connected.json)


@contextlib.contextmanager
def session(laptop: Laptop, host: str, *words: str) -> Iterator[Address]:
    """A session from `connect` to `terminate`."""
    address = connect(laptop, host, *words)
    try:
        yield address
    finally:
        ended = laptop.farlab("terminate", host, "--name", address.connected["name"], "--yes", timeout=PATIENCE)
    assert ended.code == 0, ended


def write_big(host: Host, user: str, size_mib: int) -> str:
    """A file `big` in the user's home in which no two places are alike; its sha256."""
    code = (
        "import hashlib, random, sys\nfound = hashlib.sha256()\n"
        "with open('big', 'wb') as file:\n"
        f"    for i in range({size_mib}):\n"
        "        part = random.Random(i).randbytes(1 << 20)\n        file.write(part)\n        found.update(part)\n"
        "print(found.hexdigest())"
    )
    ran = host.run(user, ["/usr/bin/python3", "-c", code])
    assert ran.returncode == 0, ran
    return ran.stdout.strip()
