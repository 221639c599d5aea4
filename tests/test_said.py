"""What is said while one waits for a host is shown: by a `ProxyCommand`, by a banner, by a start-up file."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pexpect
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


def test_what_match_exec_says_is_shown_while_it_lasts(laptop: Laptop) -> None:
    """`ssh -G` runs it, which connects to nothing, and then `ssh` itself."""
    script = f"[ -e ~/approved ] || echo '{SIGN_IN}' >&2; until [ -e ~/approved ]; do sleep 0.1; done"
    laptop.write_stub("ask", f"#!/bin/sh\n{script}\n")
    steps.add_to_config(laptop, 'Match originalhost alice exec "ask"\n  Compression no\n')
    ran = laptop.farlab("connect", "alice", "--json", "--no-browser", "--timeout", "5")
    assert (ran.code, ran.json["error"]["code"]) == (9, "timed-out")
    assert f"  | {SIGN_IN}\n" in ran.err
    assert SIGN_IN in ran.json["error"]["detail"]
    for words in (("list", "alice"), ("connect", "alice", "--no-browser")):
        (laptop.home / "approved").unlink(missing_ok=True)
        terminal = laptop.spawn_farlab(*words, timeout=steps.PATIENCE)
        terminal.expect_exact(f"| {SIGN_IN}")
        (laptop.home / "approved").touch()
        assert steps.end_of(terminal) == 0, terminal.before
    steps.terminate(laptop, "alice")


LATE = """#!/bin/sh
case "$*" in *-G*) exec /usr/bin/ssh "$@";; esac
echo "$*" >>~/tried
echo 'Connection timed out during banner exchange' >&2
exit 255
"""


def test_a_host_that_answers_late_gets_more_time_with_each_try(laptop: Laptop) -> None:
    steps.connect(laptop, "alice", env={"FARLAB_TIMING": '{"backoff": [0, 0.2]}'})
    late, tried = laptop.write_stub("ssh", LATE), laptop.home / "tried"
    for link in steps.links(laptop):
        steps.kill(link)
    wait_for("three tries", lambda: tried.exists() and len(tried.read_text().splitlines()) > 2, timeout=30)
    given = [next(word for word in line.split() if "ConnectTimeout" in word) for line in tried.read_text().splitlines()]
    assert given[:3] == ["ConnectTimeout=15", "ConnectTimeout=30", "ConnectTimeout=60"]
    late.unlink()
    wait_for("the link", lambda: steps.status(laptop, "alice")["state"] == "up", timeout=30)
    steps.terminate(laptop, "alice")


ASKS = """#!/bin/sh
printf 'MFA code: ' >/dev/tty
read -r code </dev/tty
[ "$code" = 4711 ] || { echo "wrong code $code" >&2; exit 1; }
echo 'Which account?' >/dev/tty
read -r account </dev/tty
stty -echo </dev/tty
printf 'PIN for %s: ' "$account" >/dev/tty
read -r pin </dev/tty
stty echo </dev/tty
[ "$pin" = 0815 ] || exit 1
echo "hello $account" >/dev/tty
exec nc "$1" "$2"
"""


def test_what_a_proxy_command_asks_on_the_terminal_is_asked_there(gpu: Laptop) -> None:
    gpu.write_stub("px", ASKS)
    code, error = steps.refused(gpu, "connect", "gpu", "--no-browser")
    assert (code, error["code"]) == (5, "cannot-ask")
    assert "/dev/tty" in error["detail"]
    terminal = _answered(gpu)
    assert "0815" not in terminal.before
    [link] = steps.links(gpu)
    terminal.close(force=True)
    assert steps.answers(gpu, steps.connect(gpu, "gpu"))
    assert [link] == steps.links(gpu), "the link has not outlived the terminal"
    steps.kill(link)
    wait_for("a user to be needed", lambda: steps.status(gpu, "gpu")["state"] == "blocked", timeout=30)
    _answered(gpu)
    steps.terminate(gpu, "gpu")


def _answered(gpu: Laptop) -> pexpect.spawn:
    """A `connect` at a terminal where all questions of the proxy were answered."""
    terminal = gpu.spawn_farlab("connect", "gpu", "--no-browser", timeout=steps.PATIENCE)
    terminal.expect_exact("MFA code: ")
    assert terminal.getecho()
    terminal.sendline("4711")
    terminal.expect_exact("Which account?")
    terminal.sendline("ada")
    terminal.expect_exact("PIN for ada: ")
    wait_for("no echo", lambda: not terminal.getecho())
    terminal.sendline("0815")
    assert steps.end_of(terminal) == 0, terminal.before
    return terminal


READS = """#!/bin/bash
read -rp 'Code: ' code </dev/tty
[ "$code" = 4711 ] || exit 1
read -rsp 'PIN: ' pin </dev/tty
[ "$pin" = 0815 ] || exit 1
exec nc "$1" "$2"
"""


def test_a_question_on_standard_error_whose_answer_is_read_on_the_terminal_is_asked(gpu: Laptop) -> None:
    gpu.write_stub("px", READS)
    terminal = gpu.spawn_farlab("connect", "gpu", "--no-browser", timeout=steps.PATIENCE)
    for question, answer in (("Code: ", "4711"), ("PIN: ", "0815")):
        terminal.expect(rf"\x1b\[K[^|]*{question}")
        wait_for("the reader", lambda answer=answer: terminal.getecho() == (answer == "4711"))
        terminal.sendline(answer)
    assert steps.end_of(terminal) == 0, terminal.before
    steps.terminate(gpu, "gpu")


def test_ctrl_c_at_such_a_question_leaves_nothing(gpu: Laptop) -> None:
    gpu.write_stub("px", ASKS)
    terminal = gpu.spawn_farlab("connect", "gpu", "--no-browser", timeout=steps.PATIENCE)
    terminal.expect_exact("MFA code: ")
    terminal.sendintr()
    assert steps.end_of(terminal) == 130
    steps.wait_until_nothing_runs(gpu)


def test_the_way_out_of_the_hint_is_one(gpu: Laptop) -> None:
    gpu.write_stub("px", ASKS)
    _, error = steps.refused(gpu, "connect", "gpu", "--no-browser")
    [share] = re.findall("`(ssh -fNM [^`]*)`", error["hint"])
    [line] = re.findall("`(ControlPath [^`]*)`", error["hint"])
    shell = gpu.spawn("bash", "-c", f"{share}; echo shared; read -r", timeout=steps.PATIENCE)
    for question, answer in (("MFA code: ", "4711"), ("account?", "ada"), ("PIN for ada: ", "0815")):
        shell.expect_exact(question)
        shell.sendline(answer)
    shell.expect_exact("shared")
    steps.add_to_config(gpu, f"Host gpu\n  {line}\n")
    assert steps.answers(gpu, steps.connect(gpu, "gpu"))
    steps.terminate(gpu, "gpu")
    assert gpu.ssh("-O", "exit", "gpu").code == 0


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
