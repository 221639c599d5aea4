"""What a user sees while something takes its time. The clock is given, nothing sleeps."""

from __future__ import annotations

import io
import subprocess
import sys
import time

import pytest

from farlab.model import SAID, Progress
from farlab.text import messages
from farlab.text.progress import ProgressLine


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def progress(text: str) -> Progress:
    return Progress(stage=text, text=text)


def test_in_a_pipe_each_new_stage_is_a_line() -> None:
    stream = io.StringIO()
    waiting = ProgressLine("gpu1", stream=stream)
    for text in ("connecting", "connecting", "starting \x1b[2JJupyterLab"):
        waiting.report(progress(text))
    waiting.close()
    assert stream.getvalue() == "gpu1: connecting\ngpu1: starting JupyterLab\n"


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("TERM", "xterm")
    return Screen()


def test_on_a_terminal_a_line_appears_at_once_and_is_wiped(screen: Screen) -> None:
    waiting = ProgressLine("gpu1", stream=screen, began=100.0)
    waiting.stage("connecting", 100.0)
    waiting.draw(100.29)
    assert screen.getvalue() == ""
    waiting.draw(100.31)
    waiting.draw(101.0)
    waiting.draw(101.2)
    waiting.stage("starting JupyterLab", 101.5)
    waiting.draw(101.6)
    waiting.draw(104.5)
    waiting.close()
    drawn = screen.getvalue().split("\r\x1b[K")
    lines = [
        "gpu1: connecting …",
        "gpu1: connecting … 1 s",
        "gpu1: starting JupyterLab …",
        "gpu1: starting JupyterLab … 3 s",
    ]
    assert drawn == ["", *lines, ""]


def test_what_ssh_says_stands_above_the_line(screen: Screen) -> None:
    waiting = ProgressLine("gpu1", stream=screen, began=0.0)
    waiting.stage("connecting", 0.0)
    waiting.draw(2.0)
    waiting.report(Progress(stage=SAID, text="visit \x1b[2Jhttps://login.example/1"))
    waiting.draw(2.0)
    waiting.close()
    line = "gpu1: connecting … 2 s"
    assert screen.getvalue().split("\r\x1b[K") == ["", line, "  | visit https://login.example/1\n", line, ""]


def test_nothing_is_drawn_while_a_question_stands(screen: Screen) -> None:
    waiting = ProgressLine("gpu1", stream=screen, began=0.0)
    waiting.stage("connecting", 0.0)
    waiting.draw(2.0)
    with waiting.paused():
        before = screen.getvalue()
        assert before.endswith("\r\x1b[K")
        waiting.draw(60.0)
        assert screen.getvalue() == before
    waiting.draw(61.0)
    assert screen.getvalue() != before
    waiting.close()


def test_a_verbose_or_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for term, verbose in (("dumb", False), ("xterm", True)):
        monkeypatch.setenv("TERM", term)
        stream = Screen()
        waiting = ProgressLine("gpu1", stream=stream, verbose=verbose)
        waiting.report(progress("connecting"))
        waiting.close()
        assert stream.getvalue() == "gpu1: connecting\n"


def test_the_line_fits_the_terminal() -> None:
    assert messages.progress_text("gpu1", "starting JupyterLab", 3.9, 20) == "gpu1: startin … 3 s"
    assert messages.progress_text("gpu1", "starting JupyterLab", 3.9, 3) == " … 3 s"


def test_the_first_word_does_not_wait_for_more_to_say(screen: Screen) -> None:
    waiting = ProgressLine("gpu1", stream=screen, first="connecting", began=time.monotonic() - 1.5)
    while "\n" not in screen.getvalue() and "connecting … 1 s" not in screen.getvalue():
        time.sleep(0.01)
    waiting.close()
    assert screen.getvalue().endswith("\r\x1b[K")
    piped = io.StringIO()
    ProgressLine("gpu1", stream=piped, first="connecting", began=0.0).close()
    assert piped.getvalue() == ""


def test_what_python_took_to_start_counts() -> None:
    began, code = time.monotonic(), "from farlab.text.progress import process_start as p; print(p())"
    child = subprocess.run(
        ["/bin/sh", "-c", f"sleep 0.3; exec {sys.executable} -c '{code}'"], capture_output=True, text=True, check=True
    )
    assert abs(float(child.stdout) - began) < 0.2  # clock ticks, and the time of a fork
