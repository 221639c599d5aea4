"""Results and errors as text and as JSON, and what is taken out of texts that came from elsewhere."""

from __future__ import annotations

import io
import json
import re
from dataclasses import fields, replace

import pytest

from farlab.errors import NoSession, Unreachable, Usage
from farlab.model import Connected, Disconnected, Kernel, SessionStatus, State, Terminated
from farlab.text import json_document, messages, output, table, wrapping
from farlab.text.results import Address, Command, Done, Lines, Opened, Script, Sessions

CONNECTED = Connected(
    host="gpu1",
    name="main",
    node="node7",
    app="lab",
    url="http://gpu1-main.localhost:8899/lab?token=SECRET",
    address="http://127.0.0.1:8899",
    port=8899,
    token="SECRET",
    reused=False,
    launcher="tmux",
    transport="unix",
    pid=12,
    directory="/home/ada",
    environment="",
    server="jupyter_server 2.17",
    seconds={"link": 0.2, "start": 2.5, "total": 3.06},
    notes=("port 8888 was busy; this is 8899",),
    open_url="http://gpu1-main.localhost:8899/once",
)
KERNEL = Kernel(id="1", name="python3", state="busy", notebook="fit.ipynb", last_activity="2026-01-01T00:00:00Z")
STATUS = SessionStatus(
    host="gpu1",
    name="main",
    state=State.UP,
    since=1.0,
    port=8899,
    url="http://gpu1-main.localhost:8899/lab?token=SECRET",
    node="node7",
    app="lab",
    launcher="tmux",
    transport="unix",
    server="jupyter_server 2.17",
    pid=12,
    directory="/home/ada",
    kernels=(KERNEL,),
    keeper_pid=44,
    streams=1,
    bytes_in=2048,
    bytes_out=10,
    at=121.0,
    last_heard=120.0,
    round_trip=0.0234,
    outages=2,
    longest_outage=340.0,
)
ADDRESS = Address(url=CONNECTED.url, address=CONNECTED.address, port=8899, token="SECRET")
EVIL = "a\x1b[31mb\x1b]0;title\x07c\u202ed\ne\x9bf\x7fg\rh\x00"
"""Colour, a window title, text turned around, a newline, an 8-bit CSI, DEL, CR, NUL."""


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def as_json(result: object) -> dict[str, object]:
    document: dict[str, object] = json.loads(json_document.document(json_document.payload(result)))
    assert document.pop("farlab") == 1
    assert document.pop("ok") is True
    return document


# --- text from elsewhere ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [CONNECTED, STATUS, Sessions(sessions=(STATUS,)), Terminated, Disconnected])
def test_no_field_of_a_result_reaches_the_terminal_as_it_came(
    result: object, capsys: pytest.CaptureFixture[str]
) -> None:
    if isinstance(result, type):
        result = result(host="gpu1", name="main", **({} if result is Terminated else {"port": 1}))
    output.show(_poisoned(result))
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed
    assert not set(printed) & set("\x9b\u202e\x7f\r\x00")
    assert "abcd eg h" in printed  # the harmless rest, on one line


def _poisoned(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, State):
        return EVIL
    if isinstance(value, tuple):
        return tuple(_poisoned(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        names = [field.name for field in fields(value)]  # type: ignore[arg-type]
        return replace(value, **{name: _poisoned(getattr(value, name)) for name in names})  # type: ignore[type-var]
    return value


def test_log_lines_are_washed_and_keep_their_tabs(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(Lines(lines=iter(["a\tb\x1b[2J", "c\x07"])))
    assert capsys.readouterr().out == "a\tb\nc\n"


# --- JSON ------------------------------------------------------------------------------------------------------------


def test_connect_prints_the_keys_of_the_contract() -> None:
    document = as_json(CONNECTED)
    assert set(document) == {
        *("host", "name", "node", "app", "url", "port", "token", "reused", "launcher", "transport", "pid", "dir"),
        *("server", "seconds", "address", "environment", "notes"),
    }
    assert document["dir"] == "/home/ada"
    assert document["seconds"] == {"link": 0.2, "start": 2.5, "total": 3.06}
    assert document["notes"] == ["port 8888 was busy; this is 8899"]


def test_status_prints_its_fields_with_dir() -> None:
    names = {field.name for field in fields(SessionStatus)}
    assert set(as_json(STATUS)) == (names - {"directory", "is_keeper_silent"}) | {"dir"}
    assert as_json(STATUS)["state"] == "up"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (ADDRESS, {"url": CONNECTED.url, "address": CONNECTED.address, "port": 8899, "token": "SECRET", "notes": []}),
        (Lines(lines=iter(["a", "b"])), {"lines": ["a", "b"]}),
        (Script(key="script", value="x"), {"script": "x"}),
        (Command(command=("ssh", "gpu1")), {"command": ["ssh", "gpu1"]}),
        (Terminated(host="h", name="n", was_running=True, kernels=2), None),
        (Disconnected(host="h", name="n", port=8899), None),
        (Opened(host="h", name="n", opened=True, url="http://x/once"), None),
        (Done(), {}),
        (Sessions(sessions=()), {"sessions": []}),
    ],
)
def test_every_result_is_a_document(result: object, expected: dict[str, object] | None) -> None:
    document = as_json(result)
    if expected is None:
        expected = {field.name: getattr(result, field.name) for field in fields(result)}  # type: ignore[arg-type]
    assert document == json.loads(json.dumps(expected))


def test_a_document_is_one_line_of_plain_ascii() -> None:
    line = json_document.document({"dir": EVIL + "é\u2028\x9b"})
    assert all(" " <= char <= "~" for char in line)
    assert json.loads(line)["dir"] == EVIL + "é\u2028\x9b"


@pytest.mark.parametrize("result", [STATUS, Sessions(sessions=(STATUS,))])
def test_the_token_is_shown_only_where_the_address_is(result: object, capsys: pytest.CaptureFixture[str]) -> None:
    for wanted in (True, False):
        output.show(result, as_json=wanted)
    assert "SECRET" not in "".join(capsys.readouterr())


def test_a_failure_is_a_document_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    output.fail(Unreachable("cannot reach `gpu1`", detail="ssh: \x1b[2J", hint="try"), as_json=True)
    out, err = capsys.readouterr()
    error = {"code": "unreachable", "message": "cannot reach `gpu1`", "detail": "ssh: \x1b[2J", "hint": "try"}
    assert json.loads(out) == {"farlab": 1, "ok": False, "error": error}
    assert err == ""


# --- text ------------------------------------------------------------------------------------------------------------


def test_an_error_looks_as_the_style_says(capsys: pytest.CaptureFixture[str]) -> None:
    error = Unreachable("cannot reach `gpu1`", detail="ssh: connect:\nNo route to host\n", hint="are you on the VPN?")
    output.fail(error)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == ("error: cannot reach `gpu1`\n  | ssh: connect:\n  | No route to host\n\nhint: are you on the VPN?\n")


def test_an_error_without_more_to_say_is_one_line() -> None:
    assert messages.error_text(Usage("no", hint="")) == "error: no"


def test_a_flood_of_detail_is_cut_to_its_end() -> None:
    text = messages.error_text(NoSession("no", detail="\n".join(map(str, range(100))), hint=""))
    assert text.splitlines()[1] == "  | … 60 earlier lines"
    assert text.splitlines()[-1] == "  | 99"


def test_connect_says_the_address_and_how_to_end_it(capsys: pytest.CaptureFixture[str]) -> None:
    output.show(CONNECTED)
    out, err = capsys.readouterr()
    assert out == (
        "JupyterLab on `gpu1` in `/home/ada`, started in 3.1 s\n\n"
        "  http://gpu1-main.localhost:8899/lab?token=SECRET\n\nto stop it: `farlab terminate gpu1`\n"
    )
    assert err == "note: port 8888 was busy; this is 8899\n"


def test_a_session_that_ran_already_and_has_a_name_says_so() -> None:
    text = messages.text(replace(CONNECTED, reused=True, name="second"))
    assert "already running (connected in 3.1 s)" in text
    assert text.endswith("`farlab terminate gpu1 --name second`")


def test_status_tells_everything_it_knows() -> None:
    lines = messages.text(STATUS).splitlines()
    assert lines[0] == "session `main` on `gpu1`: up"
    rows = {line[:14].strip(): line[14:] for line in lines[1:]}
    assert rows["server"] == "jupyter_server 2.17, pid 12, in tmux"
    assert rows["kernels"] == "fit.ipynb (busy)"
    assert rows["traffic"] == "2.0 KiB in, 10 B out, 1 stream"
    assert rows["last seen"] == "1 s ago, round trip 23 ms"
    assert rows["outages"] == "2, longest 5 min 40 s"
    assert list(rows) == [
        "since",
        "address",
        "node",
        "server",
        "directory",
        "kernels",
        "traffic",
        "last seen",
        "outages",
        "keeper",
    ]


@pytest.mark.parametrize("state", State)
def test_every_state_has_words(state: State) -> None:
    assert messages.state_text(replace(STATUS, state=state, reason="because")).count("because") == 1
    assert messages.change_text(replace(STATUS, state=state), "12:00:00").startswith("12:00:00  main on gpu1  ")


def test_a_session_that_needs_a_user_says_what_to_type() -> None:
    blocked = replace(STATUS, state=State.BLOCKED, reason="a password is needed")
    assert messages.state_text(blocked) == "blocked: a password is needed; `farlab connect gpu1`"


def test_list_is_a_table_whose_directory_gives_way() -> None:
    long = replace(STATUS, host="login.example.org", directory="/home/ada/" + "x" * 80, state=State.DOWN)
    wide = table.table((STATUS, long)).splitlines()
    assert re.split("  +", wide[0]) == [each for each in table.HEADINGS if each != "ssh-config"]
    assert wide[1].split()[2:4] == ["up", "2"]  # min
    assert wide[2].endswith("x" * 80)
    narrow = table.table((STATUS, long), width=100).splitlines()
    assert narrow[0].split() == ["host", "session", "state", "address", "directory"]
    assert max(map(len, narrow)) <= 100
    assert narrow[2].endswith("…")


FOREIGN = replace(STATUS, name="", url="", foreign=True, keeper_pid=None)
LONG = replace(
    STATUS, host="login7.cluster.example.org", directory="/home/ada/" + "x" * 80, ssh_config="/home/ada/" + "c" * 40
)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_list_and_status_hold_in_every_state(width: int) -> None:
    every = [
        replace(STATUS, state=state, started=50.0, is_keeper_silent=is_silent)
        for state in State
        for is_silent in (0, 1)
    ]
    for sessions in ((*every,), (*every, FOREIGN), (*every, LONG), (LONG, FOREIGN)):
        lines = table.table(sessions, width=width).splitlines()
        assert len(lines) == 1 + len(sessions)
        assert max(map(len, lines)) <= width
        assert all(re.match(r"(host|gpu1|login7\S+) +\S", line) for line in lines)
    words = replace(LONG, state=State.BLOCKED, reason="ssh has a question and nobody is there to answer it, " * 3)
    shown = wrapping.wrapped(messages.text(words), width).splitlines()
    assert all(len(line) <= max(width, len(words.directory) + 14) for line in shown)


def test_a_server_that_others_started_is_listed_with_its_port() -> None:
    assert "port 8899 there" in table.table((FOREIGN,), width=80)


def test_the_start_of_a_session_outlives_its_outages_and_so_do_its_kernels() -> None:
    away = replace(STATUS, at=7300.0, since=7290.0, started=100.0, state=State.DOWN, kernels=None)
    away = replace(away, last_kernels=(KERNEL,), last_kernels_at=7240.0)
    rows = {line[:14].strip(): line[14:] for line in messages.text(away).splitlines()[1:]}
    assert rows["running"].endswith("(2 h)")
    assert rows["kernels"] == "fit.ipynb (busy, as of 1 min ago)"
    assert "2 h ago" in table.table((away,))
    gone = messages.text(replace(away, state=State.ENDED))
    assert not any(word in gone for word in ("running", "fit.ipynb"))


def test_what_means_nothing_is_not_shown() -> None:
    calm = messages.text(replace(STATUS, streams=0, bytes_held=309))
    assert "stream" not in calm
    assert "buffered" not in calm
    assert "128.0 KiB buffered" in messages.text(replace(STATUS, bytes_held=128 << 10))


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("short", "short"),
        ("hint: give it with `--env` or `--setup`", "hint: give it with\n`--env` or `--setup`"),
        ("hint: type `farlab connect gpu1 --name second`", "hint: type\n`farlab connect gpu1 --name second`"),
        (
            "  kernels     a.ipynb (busy); b.ipynb (idle)",
            "  kernels     a.ipynb\n              (busy);\n" + " " * 14 + "b.ipynb\n" + " " * 14 + "(idle)",
        ),
        ("  | somebody else's words, as they were", "  | somebody else's words, as they were"),
        ("  http://gpu1-main.localhost:8899/lab", "  http://gpu1-main.localhost:8899/lab"),
        ("an open ` is no command at all", "an open ` is no\ncommand at all"),
    ],
)
def test_lines_break_between_words_and_never_in_a_command(text: str, broken: str) -> None:
    assert wrapping.wrapped(text, 21) == broken
    assert wrapping.wrapped(text, None) == text


def test_list_without_sessions_says_what_to_type() -> None:
    assert "farlab connect HOST" in messages.text(Sessions(sessions=()))
    assert "gpu1" in messages.text(Sessions(sessions=(), host="gpu1"))


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 20, "5.0 MiB"), (3 << 50, "3072.0 TiB")]
)
def test_sizes_have_units(size: int, text: str) -> None:
    assert messages.size_text(size) == text


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert output.has_color(Screen())
    assert not output.has_color(io.StringIO())
    assert not output.has_color(None)
    assert messages.error_text(Usage("no"), color=True).startswith("\x1b[1;31merror:\x1b[0m no")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.has_color(Screen())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not output.has_color(Screen())


def test_a_number_that_json_cannot_say_is_null_in_it() -> None:
    odd = replace(STATUS, round_trip=float("nan"), last_heard=float("inf"), longest_outage=-float("inf"))
    for result in (odd, Sessions(sessions=(odd, STATUS))):
        told = json.loads(json_document.document(json_document.payload(result)), parse_constant=pytest.fail)
        first = told["sessions"][0] if "sessions" in told else told
        assert (first["round_trip"], first["last_heard"], first["longest_outage"]) == (None, None, None)
        assert first["bytes_in"] == 2048


@pytest.mark.parametrize("when", [1e30, -1e30, float("nan"), float("inf"), 10**400, 253402300800])
def test_a_time_that_no_calendar_has_is_shown_as_such(when: float, capsys: pytest.CaptureFixture[str]) -> None:
    output.show(replace(STATUS, since=1.0, host_full_since=when, full_since=when))
    assert "since at an unknown time" in capsys.readouterr().out


def test_a_session_of_another_node_is_not_said_to_be_retried() -> None:
    told = SessionStatus(host="hpc", name="main", state=State.DOWN, node="login2", reason="elsewhere")
    assert messages.session_cells(told)["state"] == "on login2"
    assert "retry" not in messages.state_text(told)
    assert "login2" in messages.state_text(told)
