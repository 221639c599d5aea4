"""Three ways to one host, side by side on one laptop of the bed, each to a Jupyter server of its own: `outage`."""

from __future__ import annotations

import compileall
import contextlib
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from host import HERE

sys.path.append(str(HERE.parent / "tests"))
from address import Address, network_of, parent, session
from bed import Bed, Laptop, processes, wait_for

TOKEN = "0123456789abcdef"
LOOP = "while :; do {ssh}; sleep 1; done"
"""A person who restarts `ssh -N -L` a second after it ended, every time, day and night."""
ALIVE = "-o ExitOnForwardFailure=yes -o ServerAliveInterval={interval} -o ServerAliveCountMax=3"
PATIENCE = 150.0
FIRST_PORT = 18881
QUIET = subprocess.DEVNULL


@dataclass(slots=True)
class Way:
    """One contestant: where its page is, whose session it is, and what carries it on the laptop."""

    name: str
    bed: Bed
    laptop: Laptop
    person: str
    origin: str
    token: str
    top: Callable[[], int]
    """The process that replaces a lost `ssh`: its parent."""

    @property
    def page(self) -> str:
        """JupyterLab with no tab of before."""
        return f"{self.origin}/lab?token={self.token}&reset"

    @property
    def home(self) -> Path:
        """The person's home on the host."""
        return self.bed.login.home(self.person)

    def answers(self) -> bool:
        """Whether the server is within reach."""
        port = self.origin.rpartition(":")[2]
        place = f"http://127.0.0.1:{port}/api"
        try:
            with network_of(self.laptop.holder), urllib.request.urlopen(place, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def links(self) -> list[processes.Process]:
        """Every `ssh` of it; one, unless another is just being made."""
        top = self.top()
        return [each for each in self.laptop.processes() if each.name == "ssh" and parent(each.pid) == top]


@contextlib.contextmanager
def three(bed: Bed, laptop: Laptop, source: Path) -> Iterator[list[Way]]:
    """farlab from `source`, `ssh -N -L` in a loop, autossh; each answers."""
    copy = laptop.directory / "src"
    shutil.copytree(source, copy)
    compileall.compile_dir(copy, quiet=2)
    laptop.extra_env["PYTHONPATH"] = str(copy)
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(session(laptop, "alice"))
        ways = [
            Way("farlab", bed, laptop, "alice", address.origin, address.token, _keeper(address)),
            stack.enter_context(_forwarded(bed, laptop, "`ssh -L`", "bob", FIRST_PORT)),
            stack.enter_context(_forwarded(bed, laptop, "autossh", "zoe", FIRST_PORT + 1)),
        ]
        for way in ways:
            wait_for(f"{way.name} to answer", way.answers, timeout=PATIENCE, pause=0.2)
        yield ways


def _keeper(address: Address) -> Callable[[], int]:
    pid = address.keeper()
    return lambda: pid


@contextlib.contextmanager
def _forwarded(bed: Bed, laptop: Laptop, name: str, person: str, port: int) -> Iterator[Way]:
    """`jupyter lab` on a port of the host, and a tunnel to it that is made anew whenever it ends."""
    lab = f"exec jupyter lab --no-browser --port={port} --IdentityProvider.token={TOKEN} >lab.log 2>&1"
    server = bed.login.popen(person, ["bash", "-lc", f"cd; {lab}"], stdout=QUIET, stderr=QUIET)
    forward = f"-N -L 127.0.0.1:{port}:127.0.0.1:{port} {ALIVE.format(interval=10 if name == 'autossh' else 15)}"
    if name == "autossh":
        words = ["autossh", "-M", "0", *shlex.split(forward), person]
    else:
        words = ["sh", "-c", LOOP.format(ssh=f"ssh {forward} {person}")]
    tunnel = laptop.popen(*words, stdout=QUIET, stderr=QUIET)
    way = Way(name, bed, laptop, person, f"http://127.0.0.1:{port}", TOKEN, lambda: tunnel.pid)
    try:
        yield way
    finally:
        tunnel.kill()
        tunnel.wait()
        for each in [it for it in laptop.processes() if str(port) in " ".join(it.argv)]:
            processes.end(each.pid, each.started)
        for each in bed.login.processes(person):
            processes.end(each.pid, each.started)
        server.wait()
