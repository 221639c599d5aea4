"""A user in this process whom `farlab-askpass` asks, and the ways to let it ask."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farlab.transport.ssh import askpass

CANCEL: dict[str, object] = {"cancel": True}


class User:
    """Listens where askpass asks, and answers with what `answer` returns for each question; None: says nothing."""

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], object]) -> None:
        self.path = path
        self.answer = answer
        self.questions: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.left = threading.Event()
        self.bytes_seen = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._hear(connection)

    def _hear(self, connection: socket.socket) -> None:
        line = connection.makefile("rb").readline()
        self.bytes_seen += line
        if not line:
            return
        self.questions.append(json.loads(line))
        self.asked.set()
        answer = self.answer(self.questions[-1])
        if isinstance(answer, str):
            answer = {"answer": answer}
        if isinstance(answer, dict):
            connection.sendall(json.dumps(answer).encode() + b"\n")
        elif answer is None:
            connection.settimeout(30)
            assert connection.recv(1) == b""
            self.left.set()


@contextmanager
def meeting(directory: Path) -> Iterator[Callable[..., User]]:
    """Makes users, each with an answer or a function that finds one; all have gone at the end."""
    met: list[User] = []

    def one(answer: object = None) -> User:
        met.append(User(directory / f"ask{len(met)}", answer if callable(answer) else lambda _: answer))
        return met[-1]

    yield one
    for user in met:
        user.close()


def write_program(tmp_path: Path) -> str:
    directory = tmp_path / 'it\'s "a" $(place)'
    directory.mkdir(mode=0o700)
    return askpass.write_program(str(directory))


def environment(user: User | Path, program: str, **more: str) -> dict[str, str]:
    path = user if isinstance(user, Path) else user.path
    return {**askpass.environment(os.environ, str(path), program), **more}


def ask(program: str, user: User | Path, prompt: str = "Password: ", **more: str) -> subprocess.CompletedProcess[bytes]:
    """Run askpass as `ssh` does."""
    settings = environment(user, program, **more)
    return subprocess.run([program, prompt], env=settings, capture_output=True, timeout=30, check=False)
