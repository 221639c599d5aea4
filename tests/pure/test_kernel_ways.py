"""Which kernels are given private sockets, by what their commands say of them."""

from __future__ import annotations

import pytest

from farlab.remote import kernels

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
