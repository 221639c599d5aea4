"""The Python API: the documented examples, run as they stand in `docs/python.md` and the package's own docstring."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import steps
from bed import Host, Laptop, wait_for

pytestmark = pytest.mark.usefixtures("small_jupyter")

PAGE = Path(__file__).parent.parent / "docs/python.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
HOST = "alice"


def run(laptop: Laptop, source: str) -> Any:
    """Run a documented example by a user's own Python, with a host of the bed in the place of `gpu1`."""
    program = laptop.home / "example.py"
    program.write_text(source.replace('"gpu1"', f'"{HOST}"').replace("~/thesis", "~"))
    return laptop.run(laptop.farlab_argv()[0], str(program), timeout=steps.PATIENCE)


@pytest.mark.jupyter
def test_the_first_example_gives_an_address_and_leaves_the_session(laptop: Laptop, host: Host) -> None:
    assert 'farlab.connect("gpu1"' in SNIPPETS[0]
    ran = run(laptop, SNIPPETS[0])
    assert ran.code == 0, ran
    url, state = ran.out.split()
    assert re.fullmatch(rf"http://{HOST}-main\.localhost:\d+/lab\?token=[0-9a-f]+", url)
    assert state == "up"
    assert ran.err == ""
    told = steps.connect(laptop, HOST)
    assert (told["url"], told["reused"]) == (url, True)
    last = run(laptop, SNIPPETS[-1])
    assert "urllib.request" in SNIPPETS[-1]
    assert (last.code, last.out) == (0, "[]\n"), last
    steps.terminate(laptop, HOST)


@pytest.mark.parametrize("ending", ["", "    raise SystemExit(3)\n"], ids=["as it should", "by an exception"])
def test_a_session_that_shall_end_with_the_block_ends(ending: str, laptop: Laptop, host: Host) -> None:
    [source] = [it for it in SNIPPETS if "terminate_on_exit=True" in it]
    told = 'print(session.connected.name, farlab.status("gpu1", name="nightly").state)'
    ran = run(laptop, "import farlab\n" + source.replace("...", told) + ending)
    assert (ran.code, ran.out) == (3 if ending else 0, "nightly up\n"), ran
    steps.wait_until_nothing_runs(laptop)
    wait_for("the end of the session", lambda: not host.processes(HOST))


def test_every_documented_name_does_what_is_said(laptop: Laptop) -> None:
    source = """
        import farlab

        told = []
        with farlab.connect("gpu1", name="two", tell=told.append, timeout=60) as session:
            assert session.address == f"http://127.0.0.1:{session.port}"
            assert session.token in session.url and session.token not in repr(session)
            assert session.connected.reused is False
            assert [each.text for each in told if isinstance(each, farlab.Progress)]
        assert [(each.name, each.state) for each in farlab.sessions()] == [("two", farlab.State.UP)]
        assert [each.name for each in farlab.sessions_on("gpu1")] == ["two"]
        port = farlab.disconnect("gpu1", name="two").port
        assert farlab.status("gpu1", name="two").state is farlab.State.NO_KEEPER
        assert farlab.connect("gpu1", name="two").port == port
        assert farlab.terminate("gpu1", name="two").was_running
        for verb in (farlab.terminate, farlab.disconnect, farlab.status):
            try:
                verb("gpu1", name="two")
            except farlab.FarlabError as error:
                assert error.slug == "no-session" and error.hint, error
            else:
                raise AssertionError(verb)
        """
    ran = run(laptop, re.sub(r"^ {8}", "", source, flags=re.MULTILINE))
    assert ran.code == 0, ran
    assert ran.out == ran.err == ""


def test_a_program_can_answer_the_questions_of_ssh(laptop: Laptop) -> None:
    source = """
import farlab

asked = []
def ask(question):
    asked.append((question.kind, question.prompt))
    return "letmein"

try:
    farlab.connect("pia")
except farlab.FarlabError as error:
    assert error.slug == "cannot-ask", error.slug
with farlab.connect("pia", ask=ask, terminate_on_exit=True) as session:
    assert session.status().state == "up"
assert asked == [(farlab.QuestionKind.SECRET, "pia@login's password: ")], asked
"""
    ran = run(laptop, source)
    assert ran.code == 0, ran
    assert ran.out == ran.err == ""
    steps.wait_until_nothing_runs(laptop)
