"""`farlab-askpass`: the program that `ssh` runs to ask something. It carries the question to the user who is attached.

    ssh ── argv[1]: the prompt ──> farlab-askpass ── one JSON line over a private Unix socket ──> keeper, or the CLI
    ssh <── stdout: the answer ─── farlab-askpass <── one JSON line: {"answer": "…"} or {"cancel": true} ──

Rules: it waits for as long as the user needs; it ends when `ssh` does; exit status 0 is an answer, 1 is none; it
tells nothing to a socket that is not ours. It must start fast, and without site-packages, so it
imports little but the standard library.

Sources: ssh(1), ENVIRONMENT (`SSH_ASKPASS`; `SSH_ASKPASS_REQUIRE` since 8.4); readpass.c of OpenSSH 9.2 (the first
line counts, 1023 bytes at most; `SSH_ASKPASS_PROMPT` is `confirm`, `none` or absent).
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Mapping

from ...protocol import json_lines, peer
from ...protocol.askpass import Ask, Asked

SOCKET = "FARLAB_ASKPASS_SOCKET"
"""Path of the private Unix socket where the process listens that can ask the user."""

SECRET, YES_NO, NOTICE = "secret", "yes-no", "notice"  # the values of model.QuestionKind, which costs an import
_PROGRAM = "farlab-askpass"
_LONGEST_ANSWER = 1023  # bytes, readpass.c
_LONGEST_REPLY = 65536
_YES_NO_MARKS = ("(yes/no", "please type 'yes'", "add key ", "allow use of key", "allow shared connection")


def classify(prompt: str, hint: str = "") -> str:
    """What kind of question this is: a value of `model.QuestionKind`.

    `hint` is `SSH_ASKPASS_PROMPT`; clients before 8.4 set none, so the words count too. Whatever is not known to be
    harmless is a secret, so that it is not shown while it is typed.
    """
    if hint == "none":
        return NOTICE
    words = prompt.strip().lower()
    if hint == "confirm" or any(mark in words for mark in _YES_NO_MARKS[:2]) or words.startswith(_YES_NO_MARKS[2:]):
        return YES_NO
    return SECRET


def environment(
    base: Mapping[str, str], socket_path: str, program: str, *, needs_display: bool = False
) -> dict[str, str]:
    """The environment for an `ssh` (and the jump hosts' it starts) that asks through `program`.

    Clients before 8.4 need a `DISPLAY`: they run askpass only where one is set, and no terminal is there. The one given
    here cannot be connected to. Others get none: programs that `ssh` runs choose by it how to talk to the user.
    """
    ours = {"SSH_ASKPASS": program, "SSH_ASKPASS_REQUIRE": "force", SOCKET: socket_path}
    return {**({"DISPLAY": ":farlab"} if needs_display else {}), **base, **ours}


def silent_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment for an `ssh` that must not ask: every question is declined at once.

    `BatchMode=yes` alone does not reach the `ssh` that `ProxyJump` starts, which would ask on `/dev/tty`.
    """
    refuse = next((path for path in ("/bin/false", "/usr/bin/false") if os.path.exists(path)), "/bin/false")
    kept = {name: value for name, value in base.items() if name != SOCKET}
    return {**kept, "SSH_ASKPASS": refuse, "SSH_ASKPASS_REQUIRE": "force"}


def find_program() -> str | None:
    """Absolute path of the `farlab-askpass` that was installed with this Python, or None."""
    import sysconfig  # slow, and needed on this side of ssh only

    directories = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    if os.sep in sys.argv[0]:  # not `-c`, which would mean the current directory
        directories += [os.path.dirname(os.path.abspath(sys.argv[0])), os.path.dirname(os.path.realpath(sys.argv[0]))]
    for directory in directories:
        path = os.path.join(os.path.abspath(directory), _PROGRAM)
        if directory and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def write_program(directory: str) -> str:
    """Write a `farlab-askpass` (0700) into a private directory of ours and return its absolute path.

    A shell script, not a Python one: a `#!` line ends after 127 or 255 bytes and cannot be quoted.
    Raises OSError where that is impossible, PermissionError where the file system runs no programs (`noexec`).
    """
    home = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
    code = f"import sys; sys.path.append({home!r}); from {__name__} import main; sys.exit(main())"
    words = (sys.executable, "-I", "-S", "-c", code)
    script = b"#!/bin/sh\nexec " + b" ".join(_quoted(word) for word in words) + b' "$@"\n'
    path = os.path.join(os.path.abspath(directory), _PROGRAM)
    unfinished = f"{path}.{os.getpid()}"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
    with open(descriptor, "wb") as file:
        file.write(script)
    os.chmod(unfinished, 0o700)
    os.replace(unfinished, path)
    if not os.access(path, os.X_OK):
        os.unlink(path)
        raise PermissionError(f"`{directory}` is on a file system mounted noexec")
    return path


def main() -> int:
    """Ask what argv[1] says and print the answer. Returns the exit status: 0 for an answer, else 1."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    prompt = os.fsencode(sys.argv[1] if len(sys.argv) > 1 else "").decode("utf-8", "replace")
    hint = os.environ.get("SSH_ASKPASS_PROMPT", "")
    kind = classify(prompt, hint)
    if kind == NOTICE:
        signal.signal(signal.SIGTERM, lambda _number, _frame: os._exit(0))  # how ssh says that the key was touched
    question = Ask(op="ask", prompt=prompt, kind=kind)
    try:
        answer = _ask(os.environ.get(SOCKET, ""), question)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{_PROGRAM}: cannot ask: {error}\n")
        return 1
    if answer is None or (hint == "confirm" and answer.strip().lower() != "yes"):
        return 1  # an empty answer to `confirm` would count as a yes
    return _print(answer)


def _ask(path: str, question: Ask) -> str | None:
    """The answer, or None where the user declined or nobody is left to ask."""
    with contextlib.closing(_connect(path)) as connection:
        connection.sendall(json_lines.encoded(question))
        reply = _receive(connection)
    return Asked.read(reply).answer if reply else None


def _connect(path: str) -> socket.socket:
    """Connect to a socket that only we can have made and only we can open. Raises OSError."""
    found = os.lstat(path)
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise PermissionError(f"`{path}` is not a private socket of ours")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(path)
        if not peer.is_same_user(connection):
            raise PermissionError(f"another user listens on `{path}`")
    except OSError:
        connection.close()
        raise
    return connection


def _receive(connection: socket.socket) -> dict[str, object] | None:
    """The reply, however late it comes; None where none will: the other side or `ssh` has gone."""
    parent, lines = os.getppid(), json_lines.JsonLines(_LONGEST_REPLY)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while (message := lines.next()) is None:
        if poll.poll(1000):
            data = connection.recv(4096)
            if not data:
                return None
            lines.feed(data)
        elif os.getppid() != parent:
            return None
    return message


def _print(answer: str) -> int:
    encoded = answer.encode("utf-8", "surrogateescape").split(b"\n")[0].rstrip(b"\r")
    if len(encoded) > _LONGEST_ANSWER:
        sys.stderr.write(f"{_PROGRAM}: the answer is longer than the {_LONGEST_ANSWER} bytes that ssh takes\n")
        return 1
    sys.stdout.buffer.write(encoded + b"\n")
    sys.stdout.buffer.flush()
    return 0


def _quoted(word: str) -> bytes:
    """One word for `sh`, whatever is in it."""
    return b"'" + os.fsencode(word).replace(b"'", b"'\\''") + b"'"
