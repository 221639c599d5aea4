"""What runs on a host for a person, and a kernel that remembers: for tests of what happens to them."""

from __future__ import annotations

import json

from address import Address, Kernel
from bed import Host, processes


def anchor_of(host: Host, person: str = "alice") -> processes.Process:
    """The person's only anchor."""
    [found] = [each for each in host.processes(person) if each.argv[4:5] == ("farlab.host.anchor",)]
    return found


def server_of(host: Host, person: str = "alice") -> processes.Process:
    """The person's only notebook server."""
    [found] = [each for each in host.processes(person) if "farlab.host.run_jupyter" in each.argv]
    return found


def agents_of(host: Host, person: str = "alice") -> list[processes.Process]:
    """The far ends of the person's links."""
    return [each for each in host.processes(person) if "farlab-agent" in each.argv]


def kernels_of(host: Host, person: str = "alice") -> list[processes.Process]:
    """The person's kernels."""
    return [each for each in host.processes(person) if "ipykernel_launcher" in each.argv]


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
