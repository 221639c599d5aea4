"""Start-up files whose programs print into the connection from the background, or read of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator

import pytest

from address import PATIENCE, Address, session, write_big
from bed import Bed, Host, Laptop, processes, wait_for
from steps import connect, done, refused

BIG_MIB = 64
MARK = "NOTE: updates available"
FOR_A_WHILE = f"(for i in $(seq 30); do echo '{MARK}'; sleep 0.2; done) &\n"
FOR_EVER = f"(while echo '{MARK}' || {{ echo $? >>~/failed; exit; }}; do sleep 0.02; done) &\n"
AT_ONCE = f"(while seq 3000 && echo '{MARK}'; do :; done) &\n"
"""As fast as it can: no large frame comes through whole."""


@pytest.fixture
def start_up(bed: Bed, host: Host) -> Iterator[Callable[[str], None]]:
    """Gives alice a `.bashrc`; what it has begun ends after the test."""

    def write(text: str) -> None:
        host.home("alice").joinpath(".bashrc").write_text(text)

    yield write
    bed.fresh_home("alice")
    for each in host.processes("alice"):
        if each.argv and each.argv[0].lstrip("-") in ("bash", "seq", "sleep"):
            processes.end(each.pid, each.started)


def downloaded(address: Address) -> str:
    with contextlib.closing(address.http()) as connection:
        connection.request("GET", "/files/big", headers=address.login)
        answer, found = connection.getresponse(), hashlib.sha256()
        while part := answer.read(1 << 20):
            found.update(part)
    return found.hexdigest()


@pytest.mark.parametrize("text", [FOR_A_WHILE, FOR_EVER, AT_ONCE], ids=["30 lines", "for ever", "as fast as it can"])
def test_what_start_up_files_print_is_never_content_and_costs_no_outage(
    laptop: Laptop, host: Host, start_up: Callable[[str], None], text: str
) -> None:
    size = 8 if text is AT_ONCE else BIG_MIB
    wanted = write_big(host, "alice", size)
    start_up(text)
    with session(laptop, "alice") as address, address.kernel() as kernel:
        assert kernel.run("print('first')") == "first\n"
        assert downloaded(address) == wanted
        upload = "".join(f"{i:015d}\n" for i in range(size << 14))
        body = json.dumps({"type": "file", "format": "text", "content": upload}).encode()
        status, _, content = address.ask("PUT", "/api/contents/uploaded.txt", body)
        assert status in (200, 201), content
        assert (host.home("alice") / "uploaded.txt").read_text() == upload
        assert kernel.run("print('x' * 100_000)") == "x" * 100_000 + "\n"
        status = address.status()
        assert (status["state"], status["outages"]) == ("up", 0), status
        log = done(laptop, "logs", "alice", "--keeper").out
        assert log.count("starts a background program") == 1, log
        notes = address.connected["notes"] + connect(laptop, "alice")["notes"] + connect(laptop, "alice")["notes"]
        assert len([note for note in notes if "starts a background program" in note]) == 1, notes
        assert not (host.home("alice") / "failed").exists(), "its own output failed"


@pytest.mark.parametrize(
    "text",
    [
        'read -r -t 3 -p "Load the GPU modules? [y/N] " answer\n',
        "read -r one; read -r two; read -r three\n",
        "read -r -t 1 -n 2000 much\n",
        "head -c 4000 >/dev/null\n",
    ],
    ids=["a question", "three lines", "2,000 letters", "4,000 bytes"],
)
def test_start_up_files_that_read_of_the_request_are_waited_for(
    laptop: Laptop, start_up: Callable[[str], None], text: str
) -> None:
    start_up(text)
    with session(laptop, "alice") as address:
        assert address.ask("GET", "/api/status")[0] == 200
        listed = done(laptop, "list", "--host", "alice", "--json").json
        assert [each["name"] for each in listed["sessions"]] == ["main"]
    wait_for("the end", lambda: not laptop.processes(), timeout=PATIENCE)


@pytest.mark.parametrize(
    ("text", "where"),
    [("exec >/dev/null\n", "output"), ("exec >&2\n", "output"), ("exec </dev/null\n", "input")],
    ids=["to nowhere", "to standard error", "from nowhere"],
)
def test_start_up_files_that_lead_the_connection_elsewhere_are_an_error_that_says_so_at_once(
    laptop: Laptop, start_up: Callable[[str], None], text: str, where: str
) -> None:
    start_up(text)
    code, error = refused(laptop, "connect", "alice", "--no-browser")
    assert (code, error["code"]) == (7, "shell-failed")
    assert f"standard {where}" in error["message"]
