"""`docs/errors.md` has one section for each error, no more and no less; every message on it is provoked by a test."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from errors_page import PAGE, SECTIONS, SHOWN, assert_shown
from farlab.advice import fill
from farlab.errors import FarlabError, every_error
from farlab.model import Target
from farlab.text.messages import error_text
from farlab.transport.ssh.explain import explain
from test_errors import CASES, DIFFERENT

TESTS = Path(__file__).parents[1]
OF_SSH = {
    ("usage", 0): ("usekeychain", {"/home/ada": "/Users/cassiano"}),
    ("unreachable", 0): ("resolve", {"gpu1.example.org": "no-such-host.invalid"}),
    ("shell-failed", 1): ("shell-false", {}),
}
"""Messages for what `ssh` printed or how it ended: the case in `cases/ssh`, and names."""
ELSEWHERE = {
    ("keeper-silent", 0): "test_stopped_keeper.py",
    ("keeper-silent", 1): "pure/test_spawn.py",
    ("no-jupyter", 1): "test_environments.py",
    ("no-keep-output", 0): "test_keep_output.py",
    ("server-failed", 1): "test_token.py",
}
"""Messages that another test provokes. All others are each section's first and those of `CASES` in `test_errors.py`."""


def explained(name: str, host: str) -> FarlabError:
    """farlab's error for what a real `ssh` printed, with its hint as it is shown."""
    case = json.loads((TESTS / "cases/ssh" / f"{name}.json").read_text("utf-8"))
    error = explain(case["stderr"], case["exit_status"], host=host, may_ask=case["may_ask"])
    error.hint = fill(error.hint, Target(host=host))
    return error


def test_every_error_has_its_section_in_the_order_of_the_table() -> None:
    assert list(SECTIONS) == [error.slug for error in every_error()]
    assert PAGE.count("\n## ") == len(SECTIONS)


@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.slug)
def test_a_section_says_status_when_looks_and_what_to_do(error: type[FarlabError]) -> None:
    section = SECTIONS[error.slug]
    assert re.findall(r"Exit status (\d+)", section) == [str(error.exit_status)]
    for part in ("\n- **When**: ", "\n- **Looks like**: ", "\n- **What to do**: "):
        assert section.count(part) == 1


def test_cli_md_and_errors_md_give_the_exit_statuses_in_the_same_words() -> None:
    table = re.findall(r"^\| \d+ \| .*$", PAGE, re.MULTILINE)
    assert table == re.findall(r"^\| \d+ \| .*$", (TESTS.parent / "docs/cli.md").read_text("utf-8"), re.MULTILINE)
    assert {int(row.split()[1]) for row in table} == {0, 8} | {error.exit_status for error in every_error()}


@pytest.mark.parametrize(("slug", "which"), OF_SSH)
def test_what_is_shown_for_words_of_ssh_is_what_farlab_makes_of_them(slug: str, which: int) -> None:
    name, names = OF_SSH[slug, which]
    error = explained(name, "alice")
    assert error.slug == slug
    assert_shown(error.message, slug, which, names=names)


@pytest.mark.parametrize(
    ("page", "name", "names"),
    [
        ("docs/errors.md", "no-route", {"10.3.0.7": "10.9.9.9", "port 22": "port 56143"}),
        ("README.md", "resolve-temporary", {"gpu2": "gpu1"}),
    ],
)
def test_an_error_that_is_shown_in_full_is_printed_so(page: str, name: str, names: dict[str, str]) -> None:
    text = (TESTS.parent / page).read_text("utf-8")
    [shown] = re.findall(r"^```\n(?:\$ .*\n)?(error: .*?)```", text, re.MULTILINE | re.DOTALL)
    for ours, here in names.items():
        shown = shown.replace(ours, here)
    assert error_text(explained(name, "gpu1")) + "\n" == shown


def test_every_message_is_provoked_by_a_test() -> None:
    provoked = {(slug, 0) for slug in {*CASES} - DIFFERENT} | {*OF_SSH}
    for (slug, which), test in ELSEWHERE.items():
        call = rf'assert_shown\(.*"{slug}"{f", {which}" if which else ""}[,)]'
        assert re.search(call, (TESTS / test).read_text("utf-8")), f"{test}: {call}"
        provoked.add((slug, which))
    assert {(slug, which) for slug in SHOWN for which in range(len(SHOWN[slug]))} == provoked
    assert [slug for slug, messages in SHOWN.items() if not messages] == []


def test_no_message_is_shouted() -> None:
    assert not [message for messages in SHOWN.values() for message in messages if message.endswith((".", "!"))]
