"""What `ssh` runs on the laptop: it has the environment of the terminal that asks now, and nobody waits for what it
leaves behind."""

from __future__ import annotations

import time

import pytest

import steps
from bed import Bed, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

PROXY = """#!/bin/sh
env >~/seen
[ "$AWS_SESSION_TOKEN" = "$(cat ~/valid)" ] || { echo ExpiredTokenException >&2; exit 255; }
exec nc "$1" "$2"
"""
GPU = """
Host gpu
  HostName login
  User alice
  ProxyCommand px %h %p
Match originalhost gpu exec "[ -e ~/asked ] || env >~/asked"
"""


def seen(laptop: Laptop, file: str = "seen") -> dict[str, str]:
    """The environment in which the last program was run."""
    lines = (laptop.home / file).read_text().splitlines()
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_it_is_that_of_the_terminal_that_asks_now(laptop: Laptop) -> None:
    laptop.write_stub("px", PROXY)
    steps.add_to_config(laptop, GPU)
    valid = laptop.home / "valid"
    valid.write_text("one")
    connected = steps.connect(
        laptop, "gpu", env={"AWS_SESSION_TOKEN": "one", "GONE": "x", "PYTHONDONTWRITEBYTECODE": "1"}
    )
    for file in ("seen", "asked"):
        found = seen(laptop, file)
        assert found["AWS_SESSION_TOKEN"] == "one", "the terminal's"
        assert found.get("DISPLAY") != ":farlab", "programs choose by it how they ask"
        assert not [name for name in found if name.startswith("PYTHON")], found
    assert not [name for name in seen(laptop, "asked") if name.startswith(("FARLAB_", "SSH_ASKPASS"))]
    valid.write_text("two")
    for link in steps.links(laptop):
        steps.kill(link)
    wait_for("the reason", lambda: "ExpiredToken" in steps.status(laptop, "gpu")["reason"] or None, timeout=30)
    again = steps.connect(laptop, "gpu", env={"AWS_SESSION_TOKEN": "two"})
    assert (again["reused"], again["pid"]) == (True, connected["pid"])
    assert "GONE" not in seen(laptop), "what is unset there is unset"
    for link in steps.links(laptop):
        steps.kill(link)
    (laptop.home / "seen").unlink()
    wait_for("another link", lambda: (laptop.home / "seen").exists() and steps.status(laptop, "gpu")["state"] == "up")
    assert seen(laptop)["AWS_SESSION_TOKEN"] == "two", "a keeper that makes a link by itself uses the last one"
    steps.terminate(laptop, "gpu")


def test_what_match_exec_and_proxy_commands_leave_behind_holds_nobody_up(laptop: Laptop) -> None:
    leaves = "sleep 5000 & echo $! >>~/daemons"
    proxy = f"  ProxyCommand {leaves}; exec nc %h %p\n"
    steps.add_to_config(laptop, f'Match originalhost alice exec "{leaves}"\n{proxy}')
    steps.connect(laptop, "alice", "--timeout", "20")
    steps.done(laptop, "disconnect", "alice")
    steps.connect(laptop, "alice", "--timeout", "20")
    steps.terminate(laptop, "alice")
    laptop.run("sh", "-c", "kill $(cat ~/daemons)")


def test_a_configuration_that_hangs_stops_no_other_command(laptop: Laptop) -> None:
    laptop.write_stub("probe", "#!/bin/sh\necho hangs >&2\necho $$ >>~/probes\nsleep 5000\n")
    steps.add_to_config(laptop, "Match originalhost alice exec probe\n")
    began = time.monotonic()
    code, error = steps.refused(laptop, "connect", "alice", "--no-browser", "--timeout", "5")
    assert (code, time.monotonic() - began < 8) == (9, True), error
    assert "`ssh -G alice` did not end" in error["message"], error
    assert error["detail"] == "hangs"
    waiting = laptop.popen("farlab", "connect", "alice", "--no-browser", "--timeout", "100")
    wait_for("a keeper that waits", lambda: laptop.ask("status", "alice").code == 0, timeout=10)
    began = time.monotonic()
    steps.done(laptop, "list")
    steps.done(laptop, "disconnect", "alice")
    assert time.monotonic() - began < 8
    assert waiting.wait(10) == 130
    (laptop.home / "probes").unlink()
    listing = laptop.popen("farlab", "list", "--host", "alice")
    wait_for("the probe", (laptop.home / "probes").exists, timeout=10)
    assert steps.interrupt(listing) == 130
    steps.wait_until_nothing_runs(laptop)


COUNTS = '#!/bin/sh\ncase "$*" in *" -G "*|-G*) echo >>~/asked; sleep 2;; esac\nexec /usr/bin/ssh "$@"\n'


def test_the_configuration_is_asked_again_where_something_has_changed(laptop: Laptop, bed: Bed) -> None:
    laptop.write_stub("ssh", COUNTS)

    def asked_at_the_next_link() -> int:
        (laptop.home / "asked").write_text("")
        before = steps.links(laptop)
        for link in before:
            steps.kill(link)
        wait_for("another link", lambda: set(steps.links(laptop)) - set(before), timeout=30)
        wait_for("up", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=30)
        return len((laptop.home / "asked").read_text())

    steps.connect(laptop, "alice")
    assert asked_at_the_next_link() == 0
    steps.add_to_config(laptop, "# another\n")
    assert asked_at_the_next_link() == 1
    assert asked_at_the_next_link() == 0
    bed.roam("10.80.0.66")
    assert asked_at_the_next_link() == 1
    steps.terminate(laptop, "alice")
