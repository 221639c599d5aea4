"""The user at the terminal, a real one driven by pexpect: what is secret is not shown, and the echo comes back."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from farlab.cli.prompt import Terminal

DEADLINE = 15
PROGRAM = """
import os, sys, time
from pathlib import Path
from farlab.cli.context import CommandContext
from farlab.cli.prompt import Prompter
from farlab.cli.output_mode import OutputMode
from farlab.config import Given, Settings
from farlab.errors import Authentication, FarlabError
from farlab.model import Kernel, Progress, Question, QuestionKind

SETTINGS = Settings(given={"host": Given(value="gpu1", origin="`--host`")})
BUSY = (Kernel(id="1", name="python3", state="busy", notebook="fit\\x1b[2J.ipynb", last_activity=""),)

(Path(__file__).parent / "pid").write_text(str(os.getpid()))

def work(user, kind):
    if kind == "wait":
        user.report(Progress(stage="x", text="connecting"))
        time.sleep(60)
    if kind == "confirm":
        return user.confirm(BUSY)
    if user.ask is None:
        return "nobody"
    answer = user.ask(Question(prompt="\\x1b]0;evil\\x07Code\\x1b[2J: ", kind=QuestionKind(kind)))
    if answer is None:
        raise Authentication("ssh gave up")
    return answer

try:
    with Prompter(CommandContext(settings=SETTINGS, mode=OutputMode())) as user:
        said = work(user, sys.argv[1])
except FarlabError as error:
    print("ended with", error.exit_status, error.slug, error.message)
except KeyboardInterrupt:  # it came a moment before or after the question
    print("ended with 130 interrupted")
else:
    print("answer", ascii(said))
"""
Start = Callable[..., "pexpect.spawn[str]"]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that waits for or asks a user as the verbs do."""
    file = tmp_path / "program.py"
    file.write_text(PROGRAM)
    return file


@pytest.fixture
def start(program: Path) -> Iterator[Start]:
    """Start that program in a terminal of its own."""
    started: list[pexpect.spawn[str]] = []

    def run(kind: str, term: str = "dumb") -> pexpect.spawn[str]:
        environ = {**os.environ, "TERM": term}
        child = pexpect.spawn(sys.executable, [str(program), kind], env=environ, encoding="utf-8", timeout=DEADLINE)
        child.delaybeforesend = None
        started.append(child)
        return child

    yield run
    for child in started:
        child.close(force=True)


def rest(child: pexpect.spawn[str]) -> str:
    child.expect(pexpect.EOF)
    return str(child.before)


def test_a_secret_is_read_and_not_shown(start: Start) -> None:
    child = start("secret")
    child.expect_exact("Code: ")
    assert "\x1b" not in str(child.before)  # the prompt's own tricks are gone
    assert child.waitnoecho(DEADLINE)
    child.send("hunter2 é\n")
    assert rest(child) == "\r\nanswer 'hunter2 \\xe9'\r\n"


def test_who_types_as_soon_as_the_prompt_is_there_is_heard_and_not_shown() -> None:
    ours, theirs = pty.openpty()

    class Quick(Terminal):
        def show(self, text: str) -> None:
            if text == "Code: ":
                assert not termios.tcgetattr(theirs)[3] & termios.ECHO
                os.write(ours, b"hunter2\n")
            super().show(text)

    try:
        assert Quick(theirs, theirs).ask("Code: ", is_secret=True) == "hunter2"
        shown = b""
        while not shown.endswith(b"\n"):  # a terminal passes on what it is given when it comes to it
            shown += os.read(ours, 4096)
        assert shown == b"Code: \r\n"
        assert termios.tcgetattr(theirs)[3] & termios.ECHO
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_yes_or_no_is_shown_while_it_is_typed(start: Start) -> None:
    child = start("yes-no")
    child.expect_exact("Code: ")
    assert child.getecho()
    child.send("yes\n")
    assert rest(child) == "yes\r\nanswer 'yes'\r\n"


def test_a_notice_wants_no_answer(start: Start) -> None:
    assert rest(start("notice")) == "Code: \r\nanswer ''\r\n"


@pytest.mark.parametrize("kind", ["secret", "yes-no"])
@pytest.mark.parametrize("key", ["\x03", "\x04"])
def test_ctrl_c_and_ctrl_d_cancel(start: Start, kind: str, key: str) -> None:
    child = start(kind)
    child.expect_exact("Code: ")
    if kind == "secret":
        assert child.waitnoecho(DEADLINE)
    child.send(key)
    assert "ended with 130 interrupted" in rest(child)


@pytest.fixture
def shell() -> Iterator[pexpect.spawn[str]]:
    """An interactive shell, which knows jobs."""
    environ = {**os.environ, "TERM": "dumb", "PS1": "READY> "}
    child = pexpect.spawn("/bin/bash", ["--norc", "-i"], env=environ, encoding="utf-8", timeout=DEADLINE)
    child.delaybeforesend = None
    child.expect_exact("READY> ")
    yield child
    child.close(force=True)


def ask(shell: pexpect.spawn[str], program: Path) -> None:
    """Run the program in the shell until it has asked and hides what is typed."""
    shell.send(f"{sys.executable} {program} secret\n")
    shell.expect_exact("Code: ")
    assert shell.waitnoecho(DEADLINE)


def echoes(shell: pexpect.spawn[str]) -> bool:
    """Whether the shell's terminal shows what programs read, as its next program finds it."""
    shell.expect_exact("READY> ")
    shell.send("stty -a | tr ' ' '\\n' | grep -x -e -*echo\n")
    return shell.expect([r"\n-echo", r"\necho"]) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_the_echo_is_back_however_the_question_ends(program: Path, number: signal.Signals) -> None:
    script = f"{sys.executable} {program} secret; stty -a"  # bash would mend the terminal itself, sh does not
    child = pexpect.spawn("/bin/sh", ["-c", script], encoding="utf-8", timeout=DEADLINE)
    child.expect_exact("Code: ")
    assert child.waitnoecho(DEADLINE)
    os.kill(int((program.parent / "pid").read_text()), number)
    assert " echo " in rest(child)
    child.close(force=True)


def test_a_question_can_be_stopped_and_asked_again(shell: pexpect.spawn[str], program: Path) -> None:
    ask(shell, program)
    shell.send("\x1a")
    shell.expect_exact("Stopped")
    assert echoes(shell)
    shell.expect_exact("READY> ")
    shell.send("fg\n")
    shell.expect_exact("Code: ")
    assert shell.waitnoecho(DEADLINE)
    shell.send("hunter2\n")
    shell.expect_exact("answer 'hunter2'")
    assert "hunter2" not in str(shell.before)


def test_busy_kernels_are_named_and_ended_only_for_a_yes(start: Start) -> None:
    for answer, said in (("y", "answer True"), ("", "ended with 130"), ("n", "ended with 130")):
        child = start("confirm")
        child.expect_exact("busy kernels:\r\n  fit.ipynb (busy)\r\n")
        child.expect_exact("[y/N] ")
        child.send(f"{answer}\n")
        assert said in rest(child)


@pytest.mark.parametrize(
    ("kind", "said"), [("secret", "answer 'nobody'\n"), ("confirm", "ended with 2 usage refusing to end busy kernels")]
)
def test_without_a_terminal_nobody_is_asked(program: Path, kind: str, said: str) -> None:
    outcome = subprocess.run(
        [sys.executable, str(program), kind],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        start_new_session=True,
        check=False,
    )
    assert outcome.stdout.startswith(said)


def test_waiting_is_a_line_that_is_wiped_at_ctrl_c(start: Start) -> None:
    child = start("wait", "xterm")
    child.expect_exact("\r\x1b[Kgpu1: connecting … 1 s")
    child.sendintr()
    assert "\r\x1b[K" in rest(child)
