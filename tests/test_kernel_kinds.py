"""Kernels of every kind start, and nobody else on the host hears those that are called private."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from address import Address, Kernel, session
from bed import LAB, Bed, Host, Laptop, processes, wait_for

PYTHON, FOLDER = f"{LAB}/bin/python", f"{LAB}/kernels"
MODULE = {"PYTHONPATH": FOLDER}
FILE = ["-f", "{connection_file}"]
IPYKERNEL = [PYTHON, "-m", "ipykernel_launcher", *FILE]
NO_IPC = ["/bin/sh", "-c", """grep -q '"ipc"' "$0" && exit 3; exec "$@" """, "{connection_file}"]
"""As a container that does not see our directory, or another machine."""
KINDS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "deno": ([f"{FOLDER}/bin/deno", "jupyter", "--kernel", "--conn", "{connection_file}"], {}, "console.log(6 * 7)"),
    "xpython": ([PYTHON, "-m", "xpython_launcher", *FILE], MODULE, "print(6 * 7)"),
    "bash": ([PYTHON, "-m", "bash_kernel", *FILE], MODULE, "echo $((6 * 7))"),
    "wrapped": (["/usr/bin/env", "A=b c", *IPYKERNEL], {}, "print(6 * 7)"),
    "away": ([*NO_IPC, *IPYKERNEL], {}, "print(6 * 7)"),
}
"""By name: the command, its variables, and a cell that prints 42."""
PRIVATE = {"bash", "wrapped"}


def specify(host: Host, name: str) -> None:
    """A kernelspec in alice's home."""
    argv, env, _ = KINDS[name]
    words = {"argv": argv, "env": env, "display_name": name, "language": "x"}
    place = f".local/share/jupyter/kernels/{name}"
    made = host.run("alice", ["sh", "-c", f'mkdir -p "$HOME/{place}"'])
    assert made.returncode == 0, made
    (host.home("alice") / place / "kernel.json").write_text(json.dumps(words))


@pytest.fixture(scope="module")
def shared(bed: Bed) -> Iterator[Address]:
    """A session of alice's."""
    laptop = bed.add_laptop()
    with session(laptop, "alice") as address:
        yield address
    bed.scrap(laptop)


@contextmanager
def kernel_of(address: Address, name: str) -> Iterator[Kernel]:
    status, _, content = address.ask("POST", "/api/kernels", json.dumps({"name": name}))
    assert status == 201, content
    kernel = Kernel(address, json.loads(content)["id"])
    try:
        yield kernel
    finally:
        kernel.close()
        address.ask("DELETE", f"/api/kernels/{kernel.id}")


@pytest.mark.parametrize("name", KINDS)
def test_a_kernel_of_any_kind_runs_a_cell(shared: Address, host: Host, name: str) -> None:
    specify(host, name)
    with kernel_of(shared, name) as kernel:
        assert kernel.run(KINDS[name][2]).split() == ["42"]
        told = json.loads(shared.ask("GET", f"/api/kernels/{kernel.id}")[2])
        assert told["farlab_private"] is (name in PRIVATE)
