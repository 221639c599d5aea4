"""One Jupyter server and the ways to it: through farlab, through `ssh -L`, and straight to its Unix socket."""

from __future__ import annotations

import contextlib
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import peers
from host import Host
from ours import Farlab, answers, server_socket

Way = int | Path


@dataclass(frozen=True, slots=True)
class Served:
    """The ways in the order in which they take turns."""

    ways: dict[str, Way]
    token: str


@contextlib.contextmanager
def served(host: Host, alias: str) -> Iterator[Served]:
    """A server for the time of a block. With `host.noise` a second `ssh -L` stands in farlab's place."""
    with contextlib.ExitStack() as stack:
        if host.noise:
            place, token = stack.enter_context(plain_server(host))
            first = stack.enter_context(peers.forward(host, alias, place))
        else:
            session = stack.enter_context(Farlab(host).session(alias))
            place, token, first = server_socket(int(session["pid"])), str(session["token"]), int(session["port"])
        second = stack.enter_context(peers.forward(host, alias, place))
        yield Served({"farlab": first, "ssh": second, "straight": place}, token)


@contextlib.contextmanager
def plain_server(host: Host, options: str = "") -> Iterator[tuple[Path, str]]:
    """JupyterLab on a Unix socket, started by one `ssh`, as somebody who knows Jupyter would."""
    place, token = host.home / "plain.sock", secrets.token_hex(16)
    options += f" --ServerApp.sock={place} --ServerApp.port=8888 --IdentityProvider.token={token}"
    argv = host.ssh(host.alias(), command=f"bash -lic 'jupyter lab --no-browser {options}'")
    with subprocess.Popen(argv, stdin=peers.QUIET, stdout=peers.QUIET, stderr=peers.QUIET, env=host.local_env()) as ssh:
        try:
            while not answers(place):
                if ssh.poll() is not None:
                    raise RuntimeError("`jupyter lab` ended on the bench's host")
                time.sleep(0.05)
            yield place, token
        finally:
            host.sweep()
            ssh.terminate()
