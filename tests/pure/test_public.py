"""The names that programs may use, and what it costs to import them and the command line."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import farlab
from farlab import api
from farlab.config import SETTINGS

PUBLIC = {
    *("__version__", "connect", "terminate", "disconnect", "status", "sessions", "sessions_on", "Session"),
    *("App", "Connected", "Disconnected", "FarlabError", "Kernel", "Progress", "Question", "QuestionKind"),
    *("SessionStatus", "State", "Terminated"),
}


def modules_after(code: str) -> set[str]:
    """The modules that a fresh Python holds once it has run `code`."""
    program = f"import sys\n{code}\nprint('modules', *sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    return set(run.stdout.splitlines()[-1].split())


def test_the_public_names_are_these_and_all_are_there() -> None:
    assert set(farlab.__all__) == PUBLIC
    assert set(farlab.__all__) <= set(dir(farlab))
    for name in farlab.__all__:
        assert getattr(farlab, name) is not None
    with pytest.raises(AttributeError, match="no attribute `conect`"):
        farlab.__getattr__("conect")


def test_connect_takes_what_the_command_line_takes() -> None:
    ours = set(inspect.signature(api.connect).parameters)
    of_the_command = {"json", "verbose", "yes", "follow", "keeper", "lines", "seconds", "no-browser", "copy", "plain"}
    assert {key.replace("-", "_") for key in set(SETTINGS) - of_the_command} == ours - {
        "ask",
        "tell",
        "terminate_on_exit",
    }


def test_a_program_that_imports_farlab_pays_for_nothing_it_does_not_use() -> None:
    assert {name for name in modules_after("import farlab") if name.startswith("farlab")} == {
        "farlab",
        "farlab.version",
    }


@pytest.mark.parametrize(
    ("words", "kept_off"),
    [
        ("--version", {"farlab.api", "farlab.text.output", "farlab.config", "platformdirs", "json", "dataclasses"}),
        ("--help", {"farlab.api", "farlab.text.output", "farlab.config", "platformdirs", "json"}),
        ("completion bash", {"farlab.keeper", "json"}),
        ("list", {"farlab.cli.commands.connect"}),
    ],
)
def test_what_a_call_does_not_need_is_not_imported(words: str, kept_off: set[str]) -> None:
    modules = modules_after(f"from farlab.cli import main\nmain({words.split()!r})")
    assert modules & (kept_off | {"rich", "asyncio", "importlib.metadata"}) == set()
