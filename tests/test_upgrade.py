"""farlab is upgraded while sessions and keepers of the first protocol run, and one laptop is upgraded before another.

`cases/farlab-7dfdd6d.whl` is that first one, as `pip wheel` makes it of that commit; Python imports from it as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import steps
from address import Address, Kernel, connect
from bed import Host, Laptop, wait_for
from host_parts import anchor_of, kernel_with_a_variable, remembers, server_of

OLD = Path(__file__).parent / "cases/farlab-7dfdd6d.whl"
PATIENCE = 100.0


@pytest.fixture
def old(new_laptop: Callable[[], Laptop]) -> Laptop:
    """A laptop that has the first farlab, until `upgrade`."""
    laptop = new_laptop()
    laptop.extra_env["PYTHONPATH"] = str(OLD)
    said = laptop.farlab("connect", "--help")
    assert (said.code, "--keep-host" in said.out) == (0, False), said
    return laptop


def upgrade(laptop: Laptop) -> None:
    del laptop.extra_env["PYTHONPATH"]
    assert "--keep-host" in laptop.farlab("connect", "--help").out


def survives(address: Address) -> None:
    """An open page lives through the end of its link, and so does what comes after."""
    laptop, outages = address.laptop, steps.status(address.laptop, "alice")["outages"]
    number = kernel_with_a_variable(address)
    page = Kernel(address, number)
    steps.kill(steps.links(laptop)[0])
    wait_for("the outage", lambda: steps.status(laptop, "alice")["outages"] == outages + 1, timeout=PATIENCE)
    assert page.run("print(x)") == "42\n"
    page.close()
    assert remembers(address, number)


def test_a_keeper_of_the_first_farlab_is_spoken_to_by_every_verb(old: Laptop, host: Host) -> None:
    began = connect(old, "alice")
    survives(began)
    upgrade(old)
    again = connect(old, "alice")
    for key in ("pid", "port", "token", "url"):
        assert again.connected[key] == began.connected[key], key
    told = steps.status(old, "alice")
    assert (told["state"], told["outages"], told["pid"]) == ("up", 1, began.connected["pid"])
    [listed] = old.farlab("list", "--json").json["sessions"]
    assert (listed["state"], listed["port"]) == ("up", began.port)
    for words in (["list"], ["status", "alice"], ["url", "alice"], ["logs", "alice"], ["logs", "alice", "--keeper"]):
        steps.done(old, *words)
    survives(again)
    steps.terminate(old, "alice")
    steps.wait_until_nothing_runs(old)
    assert not host.left_over("alice")


def test_a_keeper_of_the_first_farlab_is_left_with_disconnect_and_its_session_found_again(
    old: Laptop, host: Host
) -> None:
    began = connect(old, "alice")
    number = kernel_with_a_variable(began)
    upgrade(old)
    steps.done(old, "disconnect", "alice")
    steps.wait_until_nothing_runs(old)
    again = connect(old, "alice")  # a new keeper, an old anchor
    assert (again.connected["reused"], again.port, again.token) == (True, began.port, began.token)
    assert remembers(again, number)
    survives(again)
    told = steps.status(old, "alice")
    assert (told["state"], told["server"], told["launcher"]) == ("up", began.connected["server"], "tmux")
    [listed] = old.farlab("list", "--host", "alice", "--json").json["sessions"]
    assert (listed["state"], len(listed["kernels"])) == ("up", 2), listed
    steps.terminate(old, "alice")
    assert not host.left_over("alice")


def test_a_server_of_the_first_farlab_is_adopted_by_an_anchor_of_this(old: Laptop, host: Host) -> None:
    began, server = connect(old, "alice"), server_of(host)
    number = kernel_with_a_variable(began)
    upgrade(old)
    steps.done(old, "disconnect", "alice")
    steps.kill(anchor_of(host))
    again = connect(old, "alice")
    assert server_of(host).key == server.key
    assert remembers(again, number)
    survives(again)
    steps.terminate(old, "alice")
    assert not host.left_over("alice")


def test_a_laptop_with_the_first_farlab_uses_a_session_of_this(laptop: Laptop, old: Laptop, host: Host) -> None:
    began = connect(laptop, "alice")
    number = kernel_with_a_variable(began)
    other = connect(old, "alice")
    assert (other.connected["reused"], other.token) == (True, began.token)
    assert remembers(other, number)
    survives(other)
    steps.kill(anchor_of(host))  # whoever comes first starts another
    for each in (laptop, old):
        wait_for("it is up again", lambda each=each: steps.status(each, "alice")["state"] == "up", timeout=PATIENCE)
    assert remembers(other, number)
    assert remembers(began, number)
    steps.terminate(old, "alice")
    wait_for("it is told", lambda: steps.status(laptop, "alice")["state"] == "ended", timeout=PATIENCE)
    assert not host.left_over("alice")
    steps.done(laptop, "disconnect", "alice")
