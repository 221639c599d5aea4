"""Every expected failure, provoked for real or by a stub program: its exit status, its code, and what is said.

The session's own failures are looked at closely in other pages; here each has one line of a table.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import pytest

import steps
import stub_ssh
from bed import Bed, Laptop, wait_for
from errors_page import assert_shown
from farlab.errors import every_error

OTHERS = {"keeper-silent"}
"""What takes more than one command: see `pure/test_errors_doc.py`."""
DIFFERENT = {"usage", "unreachable", "no-keep-output"}
"""Sections that show another message; `pure/test_errors_doc.py` says which test provokes it."""
Set = Callable[[Laptop, Bed], AbstractContextManager[object]]


@contextmanager
def nothing(laptop: Laptop, bed: Bed) -> Iterator[None]:
    yield


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How to fail: a stage that is set, and the words that are typed on it."""

    words: tuple[str, ...] = ("connect", "alice", "--no-browser")
    stage: Set = nothing
    names: dict[str, str] = field(default_factory=dict)
    """Names of the message in `docs/errors.md`, and those here."""
    on_terminal: bool = False
    env: dict[str, str] = field(default_factory=dict)
    ctrl_c: bool = False
    """Ctrl-C is typed once its `ssh` runs."""


@contextmanager
def taken_port(laptop: Laptop, bed: Bed) -> Iterator[None]:
    program = "import socket,sys; s=socket.create_server(('127.0.0.1',47999)); print(flush=True); sys.stdin.read()"
    process = laptop.popen("/usr/bin/python3", "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    yield
    process.communicate(timeout=10)


@contextmanager
def closed_port(laptop: Laptop, bed: Bed) -> Iterator[None]:
    steps.add_to_config(laptop, "Host alice\n  HostName login\n  Port 9\n")
    yield


@contextmanager
def ssh_that_is_killed(laptop: Laptop, bed: Bed) -> Iterator[None]:
    stub_ssh.write(laptop, "hear(); os.kill(os.getpid(), signal.SIGKILL)")
    yield


@contextmanager
def silent_ssh(laptop: Laptop, bed: Bed) -> Iterator[None]:
    stub_ssh.write(laptop, "wait()")
    yield


@contextmanager
def no_key(laptop: Laptop, bed: Bed) -> Iterator[None]:
    (laptop.home / ".ssh/id_ed25519").unlink()
    steps.add_to_config(laptop, "Host *\n  PreferredAuthentications publickey\n")
    yield


@contextmanager
def unknown_hosts(laptop: Laptop, bed: Bed) -> Iterator[None]:
    (laptop.home / ".ssh/known_hosts").unlink()
    yield


@contextmanager
def broken_jupyter(laptop: Laptop, bed: Bed) -> Iterator[None]:
    last_words = "import os; print('I cannot go on', flush=True); os._exit(3)\n"
    script = "mkdir -p .jupyter && cat >.jupyter/jupyter_server_config.py"
    assert bed.login.run("alice", ["sh", "-c", script], stdin=last_words).returncode == 0
    yield
    bed.fresh_home("alice")


@contextmanager
def stopped_session(laptop: Laptop, bed: Bed) -> Iterator[None]:
    """A session whose first process is stopped, so that nobody there answers."""
    steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    stopped = [it for it in bed.login.processes("alice") if "farlab.host.anchor" in it.argv]
    stopped.sort(key=lambda it: it.name, reverse=True)  # tmux first, which would let its pane go on
    assert [it.name.split(":")[0] for it in stopped] == ["tmux", "python3"]
    for process in stopped:
        os.kill(process.pid, signal.SIGSTOP)
    yield
    for process in stopped:
        os.kill(process.pid, signal.SIGCONT)
    steps.terminate(laptop, "alice")


@contextmanager
def session_on_login(laptop: Laptop, bed: Bed) -> Iterator[None]:
    steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    yield
    steps.terminate(laptop, "alice")


NODES = {"cluster": "node1", "login3": "login", "login1": "node1"}
CASES: dict[str, Case] = {
    "internal": Case(env={"PATH": "/nowhere"}),
    "port-busy": Case(words=("connect", "alice", "--port", "47999"), stage=taken_port),
    "usage": Case(words=("connect", "al;ice")),
    "no-session": Case(words=("terminate", "alice", "--yes")),
    "unreachable": Case(stage=closed_port),
    "link-lost": Case(stage=ssh_that_is_killed),
    "authentication": Case(stage=no_key, on_terminal=True),
    "cannot-ask": Case(words=("connect", "pia"), names={"gpu1": "pia"}),
    "host-key-unknown": Case(stage=unknown_hosts),
    "host-key-changed": Case(stage=lambda laptop, bed: bed.login.other_host_key()),
    "no-python": Case(stage=lambda laptop, bed: bed.login.hide("python3*")),
    "no-jupyter": Case(words=("connect", "nojup"), names={"gpu1": "nojup"}),
    "no-environment": Case(words=("connect", "alice", "--env", "torch")),
    "no-directory": Case(words=("connect", "alice", "--dir", "/scratch/ada/run7")),
    "disk-full": Case(
        stage=lambda laptop, bed: bed.login.full_home("alice"), names={"ada": "alice", "login3": "login"}
    ),
    "host-lacks": Case(words=("connect", "nolan"), names={"gpu1": "nolan"}),
    "no-keep-output": Case(words=("connect", "alice", "--keep-output", "--app", "server")),
    "shell-failed": Case(words=("connect", "alice", "--setup", "exit 3")),
    "shell-stuck": Case(
        words=("connect", "hank"),
        names={"gpu1": "hank", "20 s": "2 s"},
        env={"FARLAB_TIMING": '{"host": {"shell": 2}}'},
    ),
    "server-failed": Case(stage=broken_jupyter),
    "not-answering": Case(stage=stopped_session),
    "elsewhere": Case(
        words=("terminate", "node1", "--yes"),
        stage=session_on_login,
        names={"cluster": "node1", "login3": "login", "login1": "node1"},
    ),
    "timed-out": Case(words=("connect", "alice", "--timeout", "1"), stage=silent_ssh),
    "interrupted": Case(stage=silent_ssh, ctrl_c=True),
}
ERRORS = {cls.slug: cls for cls in every_error()}


def test_the_table_holds_every_error_that_can_be_provoked() -> None:
    assert set(ERRORS) - set(CASES) == OTHERS
    assert set(CASES) <= set(ERRORS)


def typed(laptop: Laptop, case: Case, *more: str) -> tuple[int, str, str]:
    """What is typed, and its exit status, stdout and stderr (with stderr on the terminal, where there is one)."""
    argv = laptop.farlab_argv(*case.words, *more)
    if case.ctrl_c:
        child = laptop.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_for("the ssh", lambda: [it for it in laptop.processes() if "-T" in it.argv and "-G" not in it.argv])
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
        return child.returncode, out.decode(), err.decode()
    if case.on_terminal:
        terminal = laptop.spawn("sh", "-c", '"$@" >out', "sh", *argv, timeout=steps.PATIENCE, env={"NO_COLOR": "1"})
        code = steps.end_of(terminal)
        return code, (laptop.home / "out").read_text(), terminal.before
    ran = laptop.run(*argv, env=case.env, timeout=steps.PATIENCE)
    return ran.code, ran.out, ran.err


@pytest.mark.parametrize("slug", CASES)
def test_the_error(slug: str, laptop: Laptop, bed: Bed) -> None:
    case, cls = CASES[slug], ERRORS[slug]
    with case.stage(laptop, bed):
        code, out, complaint = typed(laptop, case, "--json")
        steps.wait_until_nothing_runs(laptop)
        text_code, text_out, text = typed(laptop, case)
    assert code == text_code == cls.exit_status, (out, text)
    document = json.loads(out)
    assert {key: document[key] for key in ("farlab", "ok")} == {"farlab": 1, "ok": False}
    error = document["error"]
    assert error["code"] == slug, error
    if slug not in DIFFERENT:
        assert_shown(error["message"], slug, names=case.names)
    assert error["hint"] or slug == "interrupted", error
    assert "HOST" not in error["hint"], error
    assert "Traceback" not in out + complaint + text
    check_text(text, text_out, error)
    steps.wait_until_nothing_runs(laptop)


def check_text(text: str, out: str, error: dict[str, str]) -> None:
    """The same on stderr in the style's form, nothing on stdout."""
    lines = text.replace("\r\n", "\n").split("\n")
    assert out == ""
    assert [line for line in lines if line.endswith(f"error: {error['message']}")], text
    assert not error["message"].endswith(".")
    if error["hint"]:
        assert f"hint: {error['hint']}" in " ".join(lines), text  # a terminal's lines are wrapped between words
    if error["detail"]:
        assert any(line.startswith("  | ") for line in lines), text


@pytest.mark.parametrize("words", [("connect",), ("terminate", "--yes"), ("logs",), ("list", "--host")])
@pytest.mark.parametrize("file", ["", "my config"])
def test_a_hint_names_the_session_whoever_gives_it(words: tuple[str, ...], file: str, laptop: Laptop) -> None:
    stub_ssh.write(laptop, r'hear(); raw(b"\n" + NONCE + b":no size and no check!")')
    shutil.copy(laptop.home / ".ssh/config", laptop.home / "my config")
    config = shlex.join(["-F", str(laptop.home / file)]) if file else ""
    told = (f"alice {config}".strip(), " ".join(filter(None, ("alice --name second", config))))
    named = () if words[0] == "list" else ("--name", "second")
    code, error = steps.refused(laptop, *words, "alice", *named, *(("-F", file) if file else ()))
    assert (code, error["code"]) == (4, "link-lost"), error
    shows = f"`farlab list --host {told[0]}` shows whether the session is running"
    assert error["hint"] == f"{shows}, `farlab connect {told[bool(named)]}` reconnects"
    steps.wait_until_nothing_runs(laptop)


def test_an_errand_that_took_too_long_says_what_can_be_done_without_options_that_it_has_not(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "wait()")
    source = """
from farlab import errors, model
from farlab.client import sessions
try:
    sessions.sessions_on(model.Target(host="alice"), timeout=1)
except errors.TimedOut as error:
    print(error.hint)
"""
    ran = laptop.run(laptop.farlab_argv()[0], "-c", source)
    assert ran.out == "does `ssh alice true` end? `ssh -v alice` shows what it waits for\n", ran


def test_a_broken_pipe_that_is_not_ours_is_no_reader_that_has_gone(laptop: Laptop) -> None:
    trace = ("strace", "-o", "/dev/null", "-e", "inject=flock:error=EPIPE:when=1")
    ran = laptop.run(*trace, *laptop.farlab_argv("connect", "alice", "--json"))
    assert (ran.code, ran.json["error"]["code"]) == (1, "internal"), ran
    assert "HOST" not in ran.json["error"]["hint"]
    assert laptop.run("sh", "-c", f"{' '.join(laptop.farlab_argv('--help'))} | true").code == 0
    shutil.rmtree(laptop.runtime / "farlab")  # a lock that could not be locked
