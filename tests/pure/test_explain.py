"""What ssh printed, file by file, against what farlab says of it; each file tells which version printed it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.advice import fill
from farlab.errors import every_error
from farlab.model import Target
from farlab.ssh.explain import explain, explain_stage, no_program
from farlab.ssh.words import SHELL, SSH

CASES = sorted((Path(__file__).parent.parent / "cases" / "ssh").glob("*.json"))


def load(path: Path) -> dict[str, Any]:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return case


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_ssh_printed_is_understood(path: Path) -> None:
    case = load(path)
    expected = case["expect"]
    error = explain(case["stderr"], case["exit_status"], host="far", may_ask=case["may_ask"])
    assert error.slug == expected["code"]
    assert expected["message_contains"] in error.message
    assert expected["hint_contains"] in fill(error.hint, Target(host="far"))
    if "detail_lacks" in expected:
        assert expected["detail_lacks"] not in error.detail


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_detail_is_in_the_words_that_were_printed(path: Path) -> None:
    case = load(path)
    error = explain(case["stderr"], case["exit_status"], host="far", may_ask=case["may_ask"])
    for line in error.detail.splitlines():
        assert line in case["stderr"] or len(line) == 400
    assert len(error.detail.splitlines()) <= 20


def test_every_case_names_the_version_that_printed_it() -> None:
    assert len(CASES) > 80
    assert all(load(path)["version"] for path in CASES)


def test_every_rule_is_met_by_a_case() -> None:
    met = set()
    for case in map(load, CASES):
        error = explain(case["stderr"], case["exit_status"], host="far", may_ask=case["may_ask"])
        met |= {rule.message for rule in (*SSH, *SHELL) if _shape(rule.message).search(error.message)}
    missing = {rule.message for rule in (*SSH, *SHELL)} - met
    assert missing <= {
        "`ssh` does not take `{host}` for a host",  # check_host refuses it first
        "`ssh` does not know who you are on this machine",
        "the login shell on `{host}` does not find `sh`",
        "cannot reach `{host}`: {why}",
    }


def _shape(message: str) -> re.Pattern[str]:
    """A message with its places open, `{host}` also as another machine on the way."""
    escaped = re.escape(message).replace(r"`\{host\}`", "(?:`far`|the jump host)")
    return re.compile(re.sub(r"\\\{\w+\\\}", ".*", escaped))


@pytest.mark.parametrize("rule", [*SSH, *SHELL], ids=lambda rule: rule.message)
def test_every_hint_can_be_typed(rule: Any) -> None:
    assert rule.hint
    assert not rule.message.endswith(".")
    places = set(re.findall(r"\{(\w+)\}", rule.message + rule.hint))
    assert places <= {"host", "config", *rule.pattern.groupindex}


def test_nothing_of_a_terminal_survives() -> None:
    printed = "\x1b]0;title\x07\x1b[31mssh: connect to host a port 1: No route to host\x1b[0m\r\n\x07\x00\x9b31m"
    error = explain(printed, 255, host="far", may_ask=True)
    assert error.detail == "ssh: connect to host a port 1: No route to host"


@given(st.text(max_size=400), st.sampled_from([None, -15, -99, 0, 1, 90, 91, 127, 255]), st.booleans())
def test_whatever_is_printed_becomes_an_expected_error(printed: str, exit_status: int | None, may_ask: bool) -> None:
    error = explain(printed, exit_status, host="far", may_ask=may_ask)
    assert type(error) in every_error()
    assert error.message
    assert error.hint
    assert all(ch == "\n" or ch == "\t" or ch.isprintable() for ch in error.detail)


@pytest.mark.parametrize(
    "flood",
    [
        "x line 1: y\n",
        "ssh: Could not resolve hostname ",
        "\x1b]",
        "a" * 10,
        "Permission denied (",
        "\n",
        "@",
        "ssh: x\n",
        "noise\n",
    ],
)
def test_a_flood_is_read_in_little_time(flood: str) -> None:
    started = time.process_time()
    error = explain(flood * (5_000_000 // len(flood)), 255, host="far", may_ask=True)
    assert time.process_time() - started < 2
    assert len(error.detail) <= 20 * 401
    assert len(error.detail.splitlines()) <= 20


def test_only_the_bootstraps_own_statuses_are_stages() -> None:
    assert explain_stage(0, "", "far") is None
    assert explain_stage(255, "", "far") is None
    assert explain_stage(None, "", "far") is None
    found = explain_stage(90, "motd\n", "far")
    assert found is not None
    assert found.slug == "no-python"
    assert found.detail == "motd"


def test_errors_of_this_side_say_what_to_do() -> None:
    assert "openssh-client" in no_program("ssh").hint
