"""Starts one `ssh` with pipes, and nothing more: without an event loop, so that a keeper can dial before it has
loaded one, which takes as long as half a login."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass

from ..errors import Internal
from ..model import Target
from . import bootstrap
from .ssh import askpass, options
from .ssh.config_query import no_program

_WIDE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSpec:
    """How links to a target are made: what `ssh -G` says, and where `ssh` may put its questions."""

    target: Target
    resolved: options.Resolved
    ask_socket: str | None = None
    """Path of the socket that answers askpass; None: nobody is there to answer."""
    around_master: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SshProcess:
    """An `ssh` that is on its way. `nonce` marks what the agent says; `sock` is its standard input and output."""

    way: LinkSpec
    process: subprocess.Popen[bytes]
    sock: socket.socket
    nonce: str


def dial(way: LinkSpec) -> SshProcess:
    """Start the `ssh` that runs the agent. Raises where there is none."""
    nonce = os.urandom(8).hex()
    may_ask = way.ask_socket is not None
    argv = options.link_argv(
        way.target,
        bootstrap.command(nonce),
        resolved=way.resolved,
        may_ask=may_ask,
        around_master=way.around_master,
    )
    try:
        ours, theirs = socket.socketpair()  # carries more at a time than a pipe
    except OSError as error:
        raise no_program(argv[0], error) from error
    for sock in (ours, theirs):
        for kind in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            sock.setsockopt(socket.SOL_SOCKET, kind, _WIDE)
    ours.setblocking(False)
    with theirs:
        try:
            process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env=_environment(way, nonce),
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise no_program(argv[0], error) from error
    return SshProcess(way=way, process=process, sock=ours, nonce=nonce)


def _environment(way: LinkSpec, nonce: str) -> dict[str, str]:
    if way.ask_socket is None:
        return askpass.silent_environment(os.environ)
    program = askpass.find_program()
    if program is None:
        try:
            program = askpass.write_program(os.path.dirname(way.ask_socket))
        except OSError as error:
            raise Internal("no place for the program that asks for ssh", detail=str(error)) from error
    return askpass.environment(os.environ, way.ask_socket, nonce, program)
