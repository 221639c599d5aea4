"""What a kernel says in one burst arrives whole, and waits within bounds where nobody reads."""

from __future__ import annotations

import pytest

import steps
from address import Address, Kernel
from bed import Host, wait_for
from host_parts import memory, pid_of, server_of

BEGIN = """
import os, time
print('ready')
while not os.path.exists('go'):
    time.sleep(0.02)
"""
COMMS = """
from comm import create_comm
comm = create_comm(target_name='nobody')
for number in range(20_000):
    comm.send({'number': number})
"""
DISPLAYS = """
from IPython.display import display
for number in range(5_000):
    display({'text/plain': str(number)}, raw=True)
"""
LARGE = """
from IPython.display import display
for number in range(6_000):
    display({'text/plain': 'x' * 100_000}, raw=True)
"""
END = "\nopen('all', 'w').close()"


def say_all(host: Host, kernel: Kernel, code: str, timeout: float) -> str:
    """Run a cell while the server stands still; its number."""
    for name in ("go", "all"):
        (host.home("alice") / name).unlink(missing_ok=True)
    cell = kernel.start(BEGIN + code + END)
    next(each for each in kernel.messages(cell) if each["msg_type"] == "stream")
    with steps.frozen([server_of(host)]):
        (host.home("alice") / "go").touch()
        wait_for("all of it said", (host.home("alice") / "all").exists, timeout=timeout)
    return cell


@pytest.mark.parametrize(("code", "kind", "count"), [(COMMS, "comm_msg", 20_000), (DISPLAYS, "display_data", 5_000)])
def test_a_burst_is_whole_though_the_server_stands_still_meanwhile(
    shared: Address, host: Host, code: str, kind: str, count: int
) -> None:
    with shared.kernel() as kernel:
        cell = say_all(host, kernel, code, timeout=60)
        said = [each for each in kernel.messages(cell) if each["msg_type"] == kind]
    if kind == "comm_msg":
        assert [each["content"]["data"]["number"] for each in said] == list(range(count))
    else:
        assert [int(each["content"]["data"]["text/plain"]) for each in said] == list(range(count))


def test_a_kernel_whose_server_stands_still_goes_on_and_its_memory_is_bounded(shared: Address, host: Host) -> None:
    with shared.kernel() as kernel:
        before = memory(pid_of(host, "ipykernel_launcher"))
        say_all(host, kernel, LARGE, timeout=100)
        assert memory(pid_of(host, "ipykernel_launcher")) < before + 350  # of 600
