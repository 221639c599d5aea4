"""Downloads, uploads, kernels and requests live through a link that is cut, with the very same connections."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import pytest

from address import PATIENCE, Address, Kernel, printed, session, write_big
from bed import Bed, Host, Laptop, processes, wait_for
from bed.users import USERS

BIG_MIB = 300


@pytest.fixture
def address(bed: Bed, laptop: Laptop, host: Host) -> Iterator[Address]:
    """A session of zoe's, for one test."""
    bed.fresh_home("zoe")
    with session(laptop, "zoe") as address:
        yield address
        bed.wan.heal()


Cut = Callable[[Bed, Address, Callable[[], bool]], None]


def kill_ssh(bed: Bed, address: Address, is_enough: Callable[[], bool]) -> None:
    """`kill -9` of the laptop's ssh; `is_enough` says when it has been away for long enough, where that is up to us."""
    link = address.link()
    assert link
    assert processes.end(link.pid, link.started)


def kill_sshd(bed: Bed, address: Address, is_enough: Callable[[], bool]) -> None:
    """The sshd process of the user's connection dies on the host."""
    uid, inside = USERS[address.host].uid, processes.namespace(bed.login.pid, "pid")
    found = [each for each in processes.every() if (each.name, each.uid, each.pids) == ("sshd", uid, inside)]
    assert len(found) == 1, found
    assert processes.end(found[0].pid, found[0].started)


def lose_everything(bed: Bed, address: Address, is_enough: Callable[[], bool]) -> None:
    """Nothing passes in either direction, and nobody is told."""
    bed.wan.blackhole("on")
    wait_for("20 s of the cell's life", is_enough, timeout=PATIENCE, pause=0.1)
    bed.wan.blackhole("off")


@pytest.mark.parametrize("cut", [kill_ssh, kill_sshd, lose_everything])
def test_a_download_and_a_running_cell_live_through_a_cut_link(
    bed: Bed, host: Host, address: Address, cut: Cut
) -> None:
    wanted = write_big(host, "zoe", BIG_MIB)
    download = address.http()
    download.request("GET", "/files/big", headers=address.login)
    answer, found = download.getresponse(), hashlib.sha256()
    assert int(answer.headers["Content-Length"]) == BIG_MIB << 20
    with address.kernel() as kernel:
        cell = start_ticking(kernel)
        for _ in range(BIG_MIB // 3):
            found.update(answer.read(1 << 20))
        begun = ticks(host, "zoe")
        cut(bed, address, lambda: ticks(host, "zoe") >= begun + 200)
        while part := answer.read(1 << 20):
            found.update(part)
        assert found.hexdigest() == wanted
        assert ticks(host, "zoe") > begun
        assert host.run("zoe", ["touch", "enough"]).returncode == 0
        lines = printed(kernel.messages(cell)).splitlines()  # on the very same WebSocket
    assert lines[-1] == "done"
    assert lines[:-1] == [f"tick {i}" for i in range(len(lines) - 1)]
    download.close()


@pytest.mark.parametrize("cut", [kill_ssh, kill_sshd])
def test_an_upload_lives_through_a_cut_link(bed: Bed, host: Host, address: Address, cut: Cut) -> None:
    text = "".join(f"{i:015d}\n" for i in range(50 << 16))  # 50 MiB
    body = json.dumps({"type": "file", "format": "text", "content": text}).encode()
    upload = address.http()
    upload.putrequest("PUT", "/api/contents/uploaded.txt")
    for key, value in {**address.login, "Content-Length": str(len(body))}.items():
        upload.putheader(key, value)
    upload.endheaders()
    half = len(body) // 2
    upload.send(body[:half])
    cut(bed, address, lambda: True)
    upload.send(body[half:])
    assert upload.getresponse().status in (200, 201)
    upload.close()
    assert (host.home("zoe") / "uploaded.txt").read_text() == text
    assert address.status()["outages"] >= 1


def test_requests_made_while_the_link_is_away_are_answered_when_it_is_back(
    bed: Bed, host: Host, address: Address
) -> None:
    with address.kernel() as kernel:
        kernel.run("print('warm')")
        bed.wan.blackhole("on")
        kill_ssh(bed, address, lambda: True)
        wait_for("the loss to be seen", lambda: address.status()["state"] == "down", timeout=PATIENCE)
        connection = address.http()
        connection.request("GET", "/api/status", headers=address.login)
        cell = kernel.start("print('asked while away')")
        bed.wan.blackhole("off")
        assert connection.getresponse().status == 200
        connection.close()
        assert printed(kernel.messages(cell)) == "asked while away\n"


def start_ticking(kernel: Kernel) -> str:
    """A cell that prints and writes to a file ten lines a second until there is a file `enough`."""
    return kernel.start(
        "import os, time\ni = 0\nwith open('ticks', 'w', buffering=1) as file:\n"
        "    while not os.path.exists('enough'):\n"
        "        print('tick', i, flush=True)\n        file.write(f'{i}\\n')\n        i += 1\n        time.sleep(0.1)\n"
        "print('done')"
    )


def ticks(host: Host, user: str) -> int:
    """How many lines the cell has printed so far, as the host sees it."""
    path = host.home(user) / "ticks"
    return len(path.read_text().splitlines()) if path.exists() else 0
