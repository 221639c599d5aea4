"""Starts the one process that a link runs over, and ends it. Without an event loop: a keeper starts its first one
before it has loaded one, which takes as long as half a login."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import termios
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import IO, cast

from . import bootstrap, programs
from .base import Transport

_SOCKET_BUFFER = 1 << 20
_SYN_SENT = "02"
"""In /proc/net/tcp (include/net/tcp_states.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """How a link is to be made."""

    transport: Transport
    ask_socket: str | None = None
    """Path of the socket that answers a login's questions; None: nobody is there to answer."""
    bypass_master: bool = False
    patience: float | None = None
    """Seconds that a user would wait for the host's first word; None: as long as is usual."""

    @property
    def may_ask(self) -> bool:
        return self.ask_socket is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkProcess:
    """The process of a link, in a process group of its own. `nonce` marks what the agent says."""

    spec: LinkSpec
    process: subprocess.Popen[bytes]
    sock: socket.socket
    """Its standard input and output."""
    nonce: str
    is_plain: bool = False
    """Whether it runs a mere sh, which is yet to be told what to do."""
    terminal: tuple[int, int] | None = None
    """Both ends of the pseudo-terminal that it runs on, if a user is there to be asked."""

    @property
    def stderr(self) -> IO[bytes]:
        return cast("IO[bytes]", self.process.stderr)

    def has_ended(self) -> bool:
        """Whether it has. What it ran to reach a jump host, which waits for a dead network, ends with it.

        As long as nobody has waited for the process, its number, and so its group's, is nobody else's.
        """
        if self.process.returncode is None and _is_zombie(self.process.pid):
            self.signal(signal.SIGTERM)
        return self.process.poll() is not None

    def is_unanswered(self) -> bool:
        """Whether it waits for an address that does not answer at all; False where the system does not tell."""
        pid, states = self.process.pid, dict[str, str]()
        with suppress(OSError):
            for table in (f"/proc/{pid}/net/tcp", f"/proc/{pid}/net/tcp6"):
                with open(table, encoding="ascii") as file:
                    rows = [line.split() for line in file][1:]
                states.update({row[9]: row[3] for row in rows})
            names = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
            own = {states[name[8:-1]] for name in names if name.startswith("socket:[") and name[8:-1] in states}
            return own == {_SYN_SENT}
        return False

    def signal(self, number: int) -> None:
        """Signal the process and all that it runs."""
        if self.process.returncode is None:
            with suppress(OSError):  # it ends just now
                os.killpg(self.process.pid, number)


def dial(spec: LinkSpec) -> LinkProcess:
    """Start the process that runs the agent on the host. Raises where there is none."""
    nonce = os.urandom(8).hex()
    is_plain = spec.transport.splits_words
    command = bootstrap.PLAIN if is_plain else bootstrap.command(nonce)
    argv = spec.transport.argv(command, may_ask=spec.may_ask, bypass_master=spec.bypass_master, patience=spec.patience)
    env = spec.transport.environment(spec.ask_socket)
    try:
        ours, theirs = socket.socketpair()  # carries more at a time than a pipe
    except OSError as error:
        raise spec.transport.not_started(argv[0], error) from error
    for sock in (ours, theirs):
        for kind in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, kind, _SOCKET_BUFFER)
    ours.setblocking(False)
    terminal = _terminal() if spec.may_ask else None
    with theirs:
        try:
            process = programs.start(
                argv,
                env,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,
                preexec_fn=partial(_take, terminal[1]) if terminal else None,
            )
        except OSError as error:
            ours.close()
            for descriptor in terminal or ():
                os.close(descriptor)
            raise spec.transport.not_started(argv[0], error) from error
    return LinkProcess(spec=spec, process=process, sock=ours, nonce=nonce, is_plain=is_plain, terminal=terminal)


def _terminal() -> tuple[int, int] | None:
    """A pseudo-terminal; None where the system has none to give: then a program that needs one says so."""
    with suppress(OSError):
        return os.openpty()
    return None


def _take(terminal: int) -> None:
    """Make it the terminal of this process, which has just begun a session (ioctl_tty(2))."""
    with suppress(OSError):
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)


def _is_zombie(pid: int) -> bool:
    """Whether a child of ours has ended and waits to be waited for; False where the system does not tell."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return False
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # our parent ignores SIGCHLD: then no child is ever waited for
        return False
