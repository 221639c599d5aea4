"""The session's addresses and the waiting page."""

from __future__ import annotations

import hashlib
import re

import pytest

from farlab.keeper.web.addresses import app_path, label, places_of
from farlab.keeper.web.responses import status_page
from farlab.model import State, Target
from farlab.protocol.mux_messages import SessionInfo

GPU1 = Target(host="gpu1", name="main")
STATES = [state for state in State if state not in (State.NO_KEEPER, State.UP)]
EVIL = "<script>alert(1)</script>&\"'"


@pytest.mark.parametrize("state", STATES)
def test_what_comes_from_a_host_is_text_on_the_page(state: State) -> None:
    page = status_page(Target(host=EVIL), state, 3.0, f"{EVIL}\n{EVIL}")
    assert "<script" not in page
    assert "alert(1)&lt;/script&gt;" in page
    assert re.findall(r"<(?!/?(?:!doctype|html|meta|title|style|h1|p|code|pre)\b)", page) == []


def test_the_page_loads_itself_again_as_long_as_there_is_something_to_wait_for() -> None:
    for state in STATES:
        page = status_page(GPU1, state, 3.0, "")
        assert ("http-equiv" in page) is (state is not State.ENDED)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, ""), (1.2, "1 s"), (12.6, "13 s"), (340, "5 min 40 s"), (28920, "8 h 2 min")],
)
def test_how_long_is_said_as_a_user_says_it(seconds: float, words: str) -> None:
    page = status_page(GPU1, State.DOWN, seconds, "")
    assert f"<p>{words and f'For {words} now. '}farlab keeps trying" in page


@pytest.mark.parametrize("state", [State.ASKING, State.BLOCKED, State.ENDED])
def test_what_to_type_is_whole(state: State) -> None:
    assert "<code>farlab connect gpu1</code>" in status_page(GPU1, state, 3.0, "")
    other = Target(host="me@gpu1", name="second", ssh_config="/home/me/a b")
    typed = "farlab connect me@gpu1 --name second -F &#x27;/home/me/a b&#x27;"
    assert f"<code>{typed}</code>" in status_page(other, state, 3.0, "")


def test_a_plain_host_has_a_plain_name() -> None:
    assert label(Target(host="gpu1", name="main")) == "gpu1-main"
    assert label(Target(host="login-2", name="main")) == "login-2-main"


TWINS = [
    ("a.b", "main"), ("a-b", "main"), ("a_b", "main"), ("A-B", "main"), ("a--b", "main"), ("me@a-b", "main"),
    ("a", "b-main"), ("a", "b_main"), ("a-b", "Main"), ("é", "main"), ("ü", "main"), ("-", "main"),
    ("x" * 80, "main"), ("x" * 80 + "y", "main"), ("x" * 80, "other"),
]  # fmt: skip


def test_no_two_sessions_have_the_same_name_for_a_browser() -> None:
    """Cookies ignore ports, so one session's page would get the login of the other."""
    labels = [label(Target(host=host, name=name)) for host, name in TWINS]
    assert len(set(labels)) == len(TWINS)
    for each in labels:
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", each)


def test_an_alias_of_another_ssh_config_is_another_host() -> None:
    """Without `-F` names are what they always were: users have bookmarks."""
    targets = [Target(host="gpu1", name="main", ssh_config=file) for file in (None, "/a", "/b")]
    assert len({label(each) for each in targets}) == 3
    assert label(targets[0]) == "gpu1-main"
    assert label(Target(host="a.b", name="main")) == "a-b-main-" + hashlib.sha256(b"a.b\0main").hexdigest()[:6]


PLAIN = {"directory": "/data/ada/run7", "home": "/data/ada", "named_home": "/home/ada", "asked": "~/run7"}
PLACES: list[tuple[dict[str, str], str, list[str]]] = [
    ({}, "a.ipynb", ["a.ipynb"]),
    ({}, "./b/../a.ipynb", ["a.ipynb"]),
    ({}, "/data/ada/run7/b/a.ipynb", ["b/a.ipynb"]),
    ({}, "//data/ada/run7/a.ipynb", ["a.ipynb"]),
    ({}, "/home/ada/run7/a.ipynb", ["a.ipynb"]),
    ({}, "~/run7/a.ipynb", ["a.ipynb"]),
    ({}, "~/a.ipynb", []),
    ({}, "../a.ipynb", []),
    ({}, "/data/ada/run77/a.ipynb", []),
    ({"root": "/data/ada"}, "a.ipynb", ["run7/a.ipynb", "a.ipynb"]),
    ({"root": "/data/ada"}, "~/a.ipynb", ["a.ipynb"]),
    ({"root": "/"}, "/etc/a.ipynb", ["etc/a.ipynb"]),
    ({"asked": "/link/run7"}, "/link/run7/a.ipynb", ["a.ipynb"]),
    ({"directory": ""}, "/a.ipynb", ["a.ipynb"]),
]


@pytest.mark.parametrize(("session", "notebook", "places"), PLACES)
def test_a_notebook_is_named_as_on_the_host(session: dict[str, str], notebook: str, places: list[str]) -> None:
    assert places_of(notebook, SessionInfo(**{**PLAIN, **session})) == places


def test_a_notebook_is_opened_by_the_app_of_the_session() -> None:
    assert app_path("lab", "/", None) == "/lab"
    assert app_path("lab", "/user/me/", "a b/é.ipynb") == "/user/me/lab/tree/a%20b/%C3%A9.ipynb"
    assert app_path("nbclassic", "", "/x.ipynb") == "/notebooks/x.ipynb"
