"""What can be typed is typed for this very session: its host, its name, its `-F` file, quoted for a shell."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.advice import OF_HOSTS, command, default_name, fill, fill_hints, free_name
from farlab.cli.group import ALIASES, COMMANDS
from farlab.errors import FarlabError, NotAnswering, every_error
from farlab.keeper import notes
from farlab.keeper.link_state import unresponsive
from farlab.keeper.web.responses import status_page
from farlab.model import NAME, Disconnected, SessionStatus, State, Target
from farlab.protocol.mux_messages import SessionInfo
from farlab.protocol.session import ErrorInfo
from farlab.text import json_document, messages
from farlab.transport.from_host import failure
from farlab.transport.ssh.explain import explain, explain_bootstrap
from farlab.transport.ssh.rules import SHELL, SSH

SOURCE = Path(__file__).parents[2] / "src/farlab"
MAIN = Target(host="gpu1")
SECOND = Target(host="gpu1", name="second", ssh_config="/home/me/my cfg")
THIRD = Target(host="me@gpu1", name="second", ssh_config="/home/me/other")
SESSIONS = (MAIN, SECOND, THIRD)
sessions = pytest.mark.parametrize("session", SESSIONS, ids=["main", "second with a file", "second with another"])


def typed(text: str) -> list[list[str]]:
    """Every command of ours or of `ssh` in a text, as a shell reads it."""
    found = re.findall(r"(?:`|<code>)((?:farlab|ssh|ssh-copy-id) [^`]*?)(?:`|</code>)", text)
    return [shlex.split(each) for each in found if each != "farlab list" and "--help" not in each]


def is_about(words: list[str], session: Target) -> bool:
    """Whether a command that was printed is one for this session alone."""
    config = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "-F"]
    named = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "--name" and words[at + 1] != "main"]
    wanted = [] if session.name == "main" or words[0] != "farlab" or words[1] == "list" else [session.name]
    return session.host in words[1:] and config == [session.ssh_config] * bool(session.ssh_config) and named == wanted


# the two functions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "main", "second"),
    [
        ("farlab terminate HOST", "farlab terminate gpu1", "farlab terminate gpu1 --name second -F '/home/me/my cfg'"),
        ("farlab logs HOST -f", "farlab logs gpu1 -f", "farlab logs gpu1 --name second -F '/home/me/my cfg' -f"),
        ("farlab list --host HOST", "farlab list --host gpu1", "farlab list --host gpu1 -F '/home/me/my cfg'"),
        ("ssh HOST true", "ssh gpu1 true", "ssh -F '/home/me/my cfg' gpu1 true"),
        ("ssh HOST 'df -h ~; quota'", "ssh gpu1 'df -h ~; quota'", "ssh -F '/home/me/my cfg' gpu1 'df -h ~; quota'"),
        ("ssh -O exit HOST", "ssh -O exit gpu1", "ssh -F '/home/me/my cfg' -O exit gpu1"),
        ("ssh-copy-id HOST", "ssh-copy-id gpu1", "ssh-copy-id -F '/home/me/my cfg' gpu1"),
        ("config", "~/.ssh/config", "/home/me/my cfg"),
        (
            "farlab connect HOST --name OTHER",
            "farlab connect gpu1 --name other",
            "farlab connect gpu1 -F '/home/me/my cfg' --name other",
        ),
    ],
)
def test_a_command_in_braces_is_filled_in_for_its_session(text: str, main: str, second: str) -> None:
    assert fill(f"see `{{{text}}}`", MAIN) == f"see `{main}`"
    assert fill(f"see `{{{text}}}`", SECOND) == f"see `{second}`"


def test_without_a_session_the_place_of_the_host_stays() -> None:
    assert fill("`{farlab connect HOST}` or `{ssh HOST true}`", None) == "`farlab connect HOST` or `ssh HOST true`"


def test_a_host_is_quoted_and_taken_as_it_is() -> None:
    assert command(Target(host="a;b", name="x"), "connect") == "farlab connect 'a;b' --name x"
    assert fill("`{ssh HOST}`", Target(host="\\1")) == "`ssh '\\1'`"
    assert fill("`{ssh HOST 'echo $HOSTNAME'}`", MAIN) == "`ssh gpu1 'echo $HOSTNAME'`"


def test_a_name_is_left_out_only_where_that_means_the_same() -> None:
    """By the user's configuration a command without a name may mean another session."""
    before = default_name.set("second")
    try:
        assert command(MAIN, "terminate") == "farlab terminate gpu1 --name main"
        assert fill("{farlab logs HOST -f}", MAIN) == "farlab logs gpu1 --name main -f"
        assert command(Target(host="gpu1", name="second"), "terminate") == "farlab terminate gpu1"
    finally:
        default_name.reset(before)


def test_other_braces_stay() -> None:
    assert fill("`echo ${HOME}` and {host} and {farlab}", SECOND) == "`echo ${HOME}` and {host} and {farlab}"


@given(st.text(max_size=60), st.frozensets(st.text(max_size=40), max_size=5))
def test_a_free_name_is_a_name_and_free(wanted: str, taken: frozenset[str]) -> None:
    first = free_name(wanted, taken)
    second = free_name(wanted, {*taken, first})
    assert NAME.fullmatch(first)
    assert NAME.fullmatch(second)
    assert first not in taken
    assert second not in {*taken, first}


# everything that advises ---------------------------------------------------------------------------------


@sessions
@pytest.mark.parametrize("error", every_error(), ids=lambda error: error.slug)
def test_each_errors_own_hint_is_about_its_session(error: type[FarlabError], session: Target) -> None:
    with pytest.raises(error) as raised, fill_hints(session):
        raise error("it failed")
    shown = messages.error_text(raised.value)
    assert not re.search(r"HOST|OTHER|\{", shown)
    other = [words for words in typed(shown) if "other" in words]
    assert all(is_about(words, session) for words in typed(shown) if words not in other)
    assert bool(typed(shown)) == ("{" in error.default_hint)


@sessions
@pytest.mark.parametrize("rule", [*SSH, *SHELL], ids=lambda rule: rule.message)
def test_each_hint_about_ssh_is_about_its_session(rule: object, session: Target) -> None:
    hint = fill(rule.hint, session)  # type: ignore[attr-defined]
    assert "HOST" not in hint
    found = [words for words in typed(hint) if words[:2] not in (["ssh", "-V"],)]
    assert all(is_about(words, session) for words in found), found
    assert ("~/.ssh/config" in hint) <= (session.ssh_config is None)


@sessions
@pytest.mark.parametrize("status", [1, 90, 91, -9, 255])
@pytest.mark.parametrize(
    "said", ["", "kex_exchange_identification: read: x\nConnection closed by UNKNOWN port 65535\n"]
)
def test_whatever_ended_an_ssh_the_hint_is_about_its_session(session: Target, status: int, said: str) -> None:
    error = explain(said, status, host=session.host, may_ask=False)
    found = typed(fill(error.hint, session))
    assert found
    assert all(is_about(words, session) for words in found)


def test_what_a_foreign_program_prints_is_never_filled_in_as_a_command() -> None:
    said = "Bad owner or permissions on /x{farlab terminate HOST}\n"
    assert "farlab terminate gpu1" not in fill(explain(said, 255, host="gpu1", may_ask=False).hint, MAIN)
    assert explain_bootstrap(90, "{farlab terminate HOST}", "gpu1") is not None


@sessions
@pytest.mark.parametrize("state", [state for state in State if state not in (State.UP, State.NO_KEEPER)])
def test_the_waiting_page_is_about_its_session(session: Target, state: State) -> None:
    found = typed(status_page(session, state, 3.0, "").replace("&#x27;", "'"))
    assert all(is_about(words, session) for words in found)


@sessions
@pytest.mark.parametrize("state", State)
def test_a_status_is_about_its_session(session: Target, state: State) -> None:
    status = SessionStatus(host=session.host, name=session.name, state=state, ssh_config=session.ssh_config)
    assert all(is_about(words, session) for words in typed(messages.text(status)))
    assert (session.ssh_config or "ssh -F") in messages.text(status) or session.ssh_config is None
    assert json_document.payload(status)["ssh_config"] == session.ssh_config


@sessions
@pytest.mark.parametrize(
    ("running", "said"), [(True, "is still running"), (None, "never reached"), (False, "has ended")]
)
def test_that_a_session_goes_on_is_said_of_one_that_was_seen(session: Target, running: bool | None, said: str) -> None:
    ended = Disconnected(host=session.host, name=session.name, port=1, running=running, ssh_config=session.ssh_config)
    assert said in messages.text(ended)
    assert ("is still running" in messages.text(ended)) == (running is True)
    assert all(is_about(words, session) for words in typed(messages.text(ended)))


def test_no_hint_says_that_a_session_goes_on_of_which_nothing_is_known() -> None:
    hints = [*(error.default_hint for error in every_error()), *(rule.hint for rule in (*SSH, *SHELL))]
    assert not [hint for hint in hints if "still running" in hint]


@sessions
def test_a_server_that_hangs_is_first_waited_for_and_looked_at(session: Target) -> None:
    with pytest.raises(FarlabError) as raised, fill_hints(session):
        raise unresponsive(session)
    hint = raised.value.hint
    assert hint.index("wait") < hint.index("farlab logs") < hint.index("farlab terminate")
    assert "unsaved work" in hint
    assert all(is_about(words, session) for words in typed(hint))


# another session beside this one -------------------------------------------------------------------------

RUNNING = SessionInfo(
    directory="/home/ada", home="/home/ada", app="lab", server="JupyterLab 4.4", names=("main", "run7")
)


def unmet(session: Target, **wish: object) -> list[str]:
    return notes.unmet(session, RUNNING, wish, limit=1, taken={"main", "second"})


@sessions
@pytest.mark.parametrize(
    ("wish", "options"),
    [
        ({"directory": "/scratch/ada/run8"}, ["--name", "run8", "--dir", "/scratch/ada/run8"]),
        ({"directory": "run7/"}, ["--name", "run7-2", "--dir", "run7/"]),
        ({"directory": "/"}, ["--name", "second-2", "--dir", "/"]),
        ({"environment": "second"}, ["--name", "second-2", "--env", "second"]),
        ({"app": "notebook"}, ["--name", "notebook", "--app", "notebook"]),
        ({"keep_output": True}, ["--name", "second-2", "--keep-output"]),
        ({"kernels": "private"}, ["--name", "second-2", "--kernels", "private"]),
        (
            {"directory": "/b's", "app": "lab", "setup": ["module load x", "y"], "keep_host": 1 << 26},
            [
                *("--name", "b-s", "--dir", "/b's", "--app", "lab", "--keep-host", "67108864"),
                *("--setup", "module load x", "--setup", "y"),
            ],
        ),
    ],
)
def test_what_a_session_has_not_another_one_beside_it_can_have(
    session: Target, wish: dict[str, object], options: list[str]
) -> None:
    [note] = unmet(session, **wish)
    [beside] = typed(note)
    config = ["-F", session.ssh_config] if session.ssh_config else []
    assert beside == ["farlab", "connect", session.host, *config, *options]
    assert "; beside it: `" in note


def test_each_thing_that_is_not_as_wished_is_said_and_the_way_out_once() -> None:
    [found] = unmet(MAIN, directory="/b", environment="torch", app="server", keep_output=True)
    ignored = ("`--dir /b` was ignored", "`--env torch` was ignored", "`--app server` was ignored", "`--keep-output`; ")
    assert all(found.count(each) == 1 for each in ignored), found
    assert len(typed(found)) == 1
    assert unmet(MAIN, directory="~", app="lab") == []


# no other way to write one -------------------------------------------------------------------------------

_VERB = "|".join((*COMMANDS, *(alias for alias in ALIASES if alias.isalpha())))
_COMMAND = re.compile(rf"\bfarlab (?:{_VERB})\b(?! --help)|`ssh(?:-copy-id)? ")
TARGETLESS = re.compile(r"`farlab list`|`farlab completion bash`|`ssh -(?:F|G|V)`|`ssh -G …` did not end")
EXAMPLES = {"EXAMPLES", "examples"}
"""Help texts show commands for hosts that are nobody's."""


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text of a file that is no docstring and no example of the help, with the places of f-strings open."""
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and {getattr(each, "id", "") for each in node.targets} & EXAMPLES)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped |= {id(each) for each in node.values}
            parts = [each.value if isinstance(each, ast.Constant) else "…" for each in node.values]
            if id(node) not in skipped:
                yield node.lineno, "".join(map(str, parts))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.lineno, node.value


def stray(source: str) -> list[tuple[int, str]]:
    """Commands in a file that `advice` did not write: not in braces, and not without a session."""
    found = []
    for line, text in texts(ast.parse(source)):
        outside = TARGETLESS.sub("", re.sub(r"\{(?:farlab|ssh|ssh-copy-id) [^{}]*\}", "", text))
        if _COMMAND.search(outside):
            found.append((line, text))
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nobody_but_advice_writes_a_command_to_type(path: Path) -> None:
    assert stray(path.read_text()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        'hint = f"`farlab terminate {host}` first"',
        'hint = "`farlab connect HOST`"',
        'hint = f"does `ssh {host} true` work?"',
        'hint = f"`farlab {verb} {host}` and `farlab logs {target.host}`"',
        'hint = "`farlab logs -f` follows it"',
    ],
)
def test_a_command_that_is_written_elsewhere_is_found(wrong: str) -> None:
    assert stray(wrong)


HOST_SIDE = sorted(path for name in ("host", "mux", "protocol") for path in (SOURCE / name).rglob("*.py"))


@pytest.mark.parametrize("path", HOST_SIDE, ids=lambda path: path.name)
def test_what_runs_on_the_host_names_no_command_of_the_laptops(path: Path) -> None:
    names = [text for _, text in texts(ast.parse(path.read_text())) if re.search(rf"farlab (?:{_VERB})\b|ssh -", text)]
    assert names == []


def test_a_host_gives_a_hint_by_a_word_that_the_laptop_has_for_it() -> None:
    given = {word for path in HOST_SIDE for word in hints(ast.parse(path.read_text()))}
    passed_on = {"error.hint", "failure.hint"}  # what `CannotKeep` has, and the launcher says
    assert given - passed_on == set(OF_HOSTS)


def hints(tree: ast.AST) -> Iterator[str]:
    """The hints that a file gives with its errors, and what it says instead of a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in FAILS:
            values = [each.value for each in node.keywords if each.arg == "hint"] + node.args[3:4]
            yield from (each.value if isinstance(each, ast.Constant) else ast.unparse(each) for each in values)


FAILS = {"Failure", "CannotKeep", "fail"}


@sessions
@pytest.mark.parametrize("word", OF_HOSTS)
def test_a_hosts_word_becomes_a_hint_for_its_session(word: str, session: Target) -> None:
    error = failure(ErrorInfo(code="host-lacks", message="no", hint=word, names=("my env",)), session.host)
    assert all(is_about(words, session) for words in typed(fill(error.hint, session)) if words[0] != "farlab")
    assert error.hint == OF_HOSTS[word].replace("EACH", "'my env'")
    assert error.detail == ""


def test_any_other_hint_of_a_hosts_is_among_its_own_words() -> None:
    error = failure(ErrorInfo(code="not-answering", message="no", hint="`farlab terminate HOST` ends it"), "gpu1")
    assert error.hint == NotAnswering.default_hint
    assert error.detail == "`farlab terminate HOST` ends it"
