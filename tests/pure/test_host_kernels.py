"""Which kernels are given private sockets, by what their commands say of them."""

from __future__ import annotations

import asyncio
import resource
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from farlab.host import kernels

FILE = ["-f", "{connection_file}"]


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (["python", "-m", "ipykernel_launcher", *FILE], "ipykernel_launcher"),
        (["/envs/a b/bin/python3.12", "-Xfrozen_modules=off", "-m", "ipykernel_launcher", *FILE], "ipykernel_launcher"),
        (["python3", "-X", "dev", "-W", "error", "-u", "-m", "bash_kernel", *FILE], "bash_kernel"),
        (["pypy3.10", "-m", "ipykernel", *FILE], "ipykernel"),
        (["conda", "run", "-n", "python", "python", "-m", "ipykernel_launcher", *FILE], "ipykernel_launcher"),
        (
            ["/opt/python", "-m", "nb_conda_kernels.runner", "/opt", "/envs/x", "python", "-m", "ipykernel", *FILE],
            "ipykernel",
        ),
    ],
)
def test_the_module_is_that_of_the_innermost_python(command: list[str], module: str) -> None:
    python, at = kernels.module_of(command)
    assert command[at : at + 2] == ["-m", module]
    assert "python" in command[python] or "pypy" in command[python]


@pytest.mark.parametrize(
    "command",
    [
        ["deno", "jupyter", "--kernel", "--conn", "{connection_file}"],
        ["R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"],
        ["/home/me/kernel.sh", "{connection_file}"],
        ["python", "kernel.py", *FILE],
        ["python", "-c", "import x; x.main()", "-m", "ipykernel_launcher"],
        ["xpython", *FILE],
        ["python", "-m"],
        [],
    ],
)
def test_other_commands_say_nothing_of_private_sockets(command: list[str]) -> None:
    assert kernels.module_of(command) is None


class Server:
    """What a Jupyter Server's manager of all kernels has, whose kernels are started one after another."""

    default_kernel_name = "other"

    def __init__(self, command: list[str], *managers: SimpleNamespace) -> None:
        spec = SimpleNamespace(argv=command, env={}, metadata={}, resource_dir="/kernels/other")
        self.kernel_spec_manager = SimpleNamespace(get_kernel_spec=lambda name: spec)
        self.started, self.ended = 0, 0
        self._managers = managers

    def get_kernel(self, kernel_id: str) -> SimpleNamespace:
        return self._managers[self.started - 1]

    def shutdown_kernel(self, kernel_id: str, now: bool) -> None:
        """As of a manager that is configured not to be asyncio's: there is nothing to wait for."""
        self.ended += 1

    async def start(self, **words: object) -> str:
        self.started += 1
        return "1"

    def begin(self, transports: Any) -> str:
        """Start a kernel, the way that `transports` has it."""
        return str(asyncio.run(transports.start(self, Server.start, {})))


def test_a_kernel_starts_though_nobody_hears_that_others_can_read_it() -> None:
    """The anchor may have been killed: whoever adopts the session hears of the next kernel of that kind."""
    said: list[str] = []
    is_there = False

    def tell(name: str) -> None:
        if not is_there:
            raise FileNotFoundError("anchor.sock")
        said.append(name)

    manager = SimpleNamespace(kernel_name="deno", farlab_private=False, farlab_ipc=False)
    server, transports = Server(["deno", "jupyter"], *[manager] * 3), kernels.KernelTransports(None, False, tell)
    assert server.begin(transports) == "1"
    assert said == []
    is_there = True
    for _ in range(2):
        server.begin(transports)
    assert said == ["deno"]


def test_a_kernel_without_private_sockets_is_started_once_more_by_any_manager(tmp_path: Path) -> None:
    dead = SimpleNamespace(ip=str(tmp_path / "kernel-1-ipc"), shell_port=1, has_kernel=True, is_alive=lambda: False)
    dead.farlab_ipc = dead.farlab_private = True
    after = SimpleNamespace(kernel_name="other", farlab_private=True, farlab_ipc=False)
    server = Server(["wrapper", "python", "-m", "ipykernel_launcher"], dead, after)
    transports = kernels.KernelTransports(None, False, lambda name: None)
    assert server.begin(transports) == "1"
    assert (server.started, server.ended) == (2, 1)


def test_what_starts_kernels_is_whole_or_not_there(tmp_path: Path) -> None:
    start = kernels.StartFile(str(tmp_path), "def main(module): pass\n" * 999)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (999, before[1]))  # as good as a full disk
    try:
        assert start.path() == ""
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(Path(start.path()).read_text()) > 9999
