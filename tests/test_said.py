"""What is said while one waits for a host is shown: by a `ProxyCommand`, by a banner, by a start-up file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import steps
from bed import Host, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

SIGN_IN = "To sign in, open https://login.example/a/123 in a browser"
PROXY = f"""#!/bin/sh
[ -e ~/approved ] || echo '{SIGN_IN}' >&2
until [ -e ~/approved ]; do sleep 0.1; done
exec nc "$1" "$2"
"""
TERMS = "Terms have changed: open https://terms.example/7"


@pytest.fixture
def gpu(laptop: Laptop) -> Laptop:
    """A laptop whose way to alice is a program that wants an approval first, as cloudflared does."""
    laptop.write_stub("px", PROXY)
    steps.add_to_config(laptop, "Host gpu\n  HostName login\n  User alice\n  ProxyCommand px %h %p\n")
    return laptop


def test_what_a_proxy_command_says_is_shown_and_kept(gpu: Laptop) -> None:
    ran = gpu.farlab("connect", "gpu", "--json", "--no-browser", "--timeout", "4")
    assert (ran.code, ran.json["error"]["code"]) == (9, "timed-out")
    assert ran.json["error"]["detail"] == SIGN_IN
    assert f"  | {SIGN_IN}\n" in ran.err
    terminal = gpu.spawn_farlab("connect", "gpu", "--no-browser", timeout=steps.PATIENCE)
    terminal.expect_exact(SIGN_IN)
    (gpu.home / "approved").touch()
    assert steps.end_of(terminal) == 0, terminal.before
    (gpu.home / "approved").unlink()
    for link in steps.links(gpu):
        steps.kill(link)
    wait_for("the reason", lambda: steps.status(gpu, "gpu")["reason"] == f"waits for the host: {SIGN_IN}", timeout=30)
    (gpu.home / "approved").touch()
    wait_for("the link", lambda: steps.status(gpu, "gpu")["state"] == "up", timeout=30)
    assert not steps.status(gpu, "gpu")["reason"]
    steps.terminate(gpu, "gpu")


@pytest.fixture
def waiting_login(host: Host) -> Iterator[None]:
    """Bob's login shows a banner, and a start-up file of his prints something and waits, as Tailscale's check does."""
    issue, bashrc = host.path("/etc/issue.net"), host.home("bob") / ".bashrc"
    before = issue.read_text(), bashrc.read_text()
    issue.write_text("# Tailscale SSH requires an additional check.\n# To authenticate, visit: https://login.ts/a/1\n")
    bashrc.write_text(before[1] + f"echo '{TERMS}'; until [ -e ~/go ]; do sleep 0.1; done\n")
    yield
    issue.write_text(before[0])
    bashrc.write_text(before[1])
    (host.home("bob") / "go").unlink(missing_ok=True)


@pytest.mark.usefixtures("waiting_login")
def test_a_banner_and_a_start_up_file_that_wait_are_shown(laptop: Laptop, host: Host) -> None:
    ran = laptop.farlab("connect", "bob", "--json", "--no-browser", "--timeout", "4")
    assert ran.json["error"]["code"] == "timed-out"
    detail = ran.json["error"]["detail"].splitlines()
    assert {"# To authenticate, visit: https://login.ts/a/1", TERMS} <= {*detail}
    assert "Authenticated" not in ran.err
    terminal = laptop.spawn_farlab("list", "--host", "bob", timeout=steps.PATIENCE)
    terminal.expect_exact(TERMS)
    host.run("bob", ["touch", "go"])
    assert steps.end_of(terminal) == 0, terminal.before


def test_whoever_waits_sets_how_long_the_host_may_be_silent(laptop: Laptop) -> None:
    silent = laptop.popen("/bin/sh", "-c", "exec nc -lk 127.0.0.1 2022")
    steps.add_to_config(laptop, "Host slow\n  HostName 127.0.0.1\n  Port 2022\n")
    connecting = laptop.popen(*laptop.farlab_argv("connect", "slow", "--no-browser", "--timeout", "100"))
    link = wait_for("its ssh", lambda: next((it for it in steps.links(laptop) if "-G" not in it.argv), None))
    assert "ConnectTimeout=98" in link.argv
    assert steps.interrupt(connecting) == 130
    silent.terminate()
    silent.wait()
