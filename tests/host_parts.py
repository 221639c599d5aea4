"""What of a session runs on a host, what it holds, and a kernel that remembers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import steps
from address import Address, Kernel
from bed import Bed, Host, Laptop, processes, wait_for


def anchor_of(host: Host, user: str = "alice") -> processes.Process:
    """The user's only anchor."""
    [found] = [
        each for each in host.processes(user) if {"farlab.host.anchor", "farlab.remote.anchor"} & {*each.argv[4:5]}
    ]
    return found


def server_of(host: Host, user: str = "alice") -> processes.Process:
    """The user's only notebook server."""
    [found] = [
        each for each in host.processes(user) if {"farlab.host.run_jupyter", "farlab.remote.launch"} & {*each.argv}
    ]
    return found


def agents_of(host: Host, user: str = "alice") -> list[processes.Process]:
    """The far ends of the user's links."""
    return [each for each in host.processes(user) if "farlab-agent" in each.argv]


def kernels_of(host: Host, user: str = "alice") -> list[processes.Process]:
    """The user's kernels."""
    return [each for each in host.processes(user) if "ipykernel_launcher" in each.argv]


def pid_of(host: Host, words: str) -> int:
    """The process of alice's whose command line has these words; of several the last that began."""
    return max(it.pid for it in host.processes("alice") if words in " ".join(it.argv))


def field(pid: int, name: str, file: str = "status") -> str:
    """What `/proc/PID/status` says of that name (proc(5))."""
    lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    return next(line.removeprefix(name).strip(" :\t") for line in lines if line.startswith(name))


def memory(pid: int) -> float:
    """MiB of a process's RSS."""
    return int(field(pid, "VmRSS").split()[0]) / 1024


def descriptors(pid: int) -> int:
    """How many files a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def most_descriptors(pid: int) -> int:
    """How many it may have open: the soft limit."""
    return int(field(pid, "Max open files", "limits").split()[0])


def wait_for_looks(pid: int, count: int) -> None:
    """Until a process that looks after something now and then has slept, and so looked, that many times more."""

    def slept() -> int:
        return int(field(pid, "voluntary_ctxt_switches"))

    before = slept()
    wait_for(f"{count} looks", lambda: slept() >= before + count, timeout=60)


@contextlib.contextmanager
def out_of_reach(bed: Bed, laptop: Laptop) -> Iterator[None]:
    """No link, and none to be had; both ends know it."""
    bed.wan.blackhole("on")
    for link in steps.links(laptop):
        steps.kill(link)
    bed.login.ends_connections()
    wait_for("the end of the agent", lambda: not agents_of(bed.login))
    try:
        yield
    finally:
        bed.wan.blackhole("off")


def write_home(host: Host, user: str, path: str, text: str) -> None:
    """Write a file in the user's home, as that user."""
    script = 'mkdir -p "$(dirname "$1")" && cat > "$1"'
    written = host.run(user, ["sh", "-c", script, "sh", path], stdin=text)
    assert written.returncode == 0, written


def kernel_with_a_variable(address: Address) -> str:
    """A kernel that remembers something, left alone; its number."""
    number = new_kernel(address)
    kernel = Kernel(address, number)
    assert kernel.run("x = 6 * 7") == ""
    kernel.close()
    return number


def new_kernel(address: Address) -> str:
    """A kernel that nobody talks with yet; its number."""
    status, _, content = address.ask("POST", "/api/kernels", "{}")
    assert status == 201, content
    number: str = json.loads(content)["id"]
    return number


def remembers(address: Address, number: str) -> bool:
    """Whether that kernel is still the one of `kernel_with_a_variable`."""
    return run(address, number, "print(x)") == "42\n"


def run(address: Address, number: str, code: str) -> str:
    """What a cell prints, run by a page that comes anew."""
    kernel = Kernel(address, number)
    try:
        return kernel.run(code)
    finally:
        kernel.close()
