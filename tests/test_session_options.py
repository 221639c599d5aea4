"""What a user asks of a session: its directory, environment, setup lines and app."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from address import Address, connect, session
from bed import LAB, USERS, Bed, Host, Laptop
from host_parts import write_home

AWKWARD = """a b'"$(touch pwned)é"""
SETUPS = {
    "bob": """export WISH="it's \\"a  b\\" $HOME" """,
    "zoe": """export WISH="it's \\"a  b\\" $HOME" """,
    "dan": """export WISH="it's \\"a  b\\" $HOME" """,
    "finn": """set -x WISH "it's \\"a  b\\" $HOME" """,
    "tess": """setenv WISH "it's "\\""a  b"\\"" $HOME" """,
}


def environment_of_alice(host: Host, name: str, *, with_jupyter: bool = True) -> Path:
    """A virtual environment in alice's home; it has Jupyter where it sees the lab's packages."""
    home = host.home("alice")
    made = host.run("alice", ["/usr/bin/python3", "-m", "venv", "--without-pip", name])
    assert made.returncode == 0, made
    site = next((home / name / "lib").glob("python3.*")) / "site-packages"
    if with_jupyter:
        (site / "lab.pth").write_text(str(next((LAB / "lib").glob("python3.*")) / "site-packages") + "\n")
    return home / name


@pytest.fixture
def home(bed: Bed, host: Host) -> Iterator[Path]:
    """Alice's home, to fill; it is as on the first day before and after."""
    bed.fresh_home("alice")
    yield host.home("alice")
    bed.fresh_home("alice")


def refused(laptop: Laptop, *words: str) -> dict[str, str]:
    """The error of a `connect` to alice that must fail, with its exit status."""
    ran = laptop.farlab("connect", "alice", "--json", "--no-browser", *words, timeout=100)
    assert not ran.json["ok"], ran
    return {**ran.json["error"], "status": str(ran.code)}


# directory -----------------------------------------------------------------------------------------------


def test_a_directory_may_be_called_as_it_likes_and_nothing_of_its_name_is_run(
    laptop: Laptop, host: Host, home: Path
) -> None:
    directory = home / AWKWARD
    made = host.run("alice", ["mkdir", AWKWARD])
    assert made.returncode == 0, made
    with session(laptop, "alice", "--dir", AWKWARD) as address:
        assert address.connected["dir"] == f"/home/alice/{AWKWARD}"
        status, _, content = address.ask(
            "PUT", "/api/contents/" + urllib.parse.quote("é ü"), json.dumps({"type": "directory"})
        )
        assert status == 201, content
        assert (directory / "é ü").is_dir()
        with address.kernel() as kernel:
            assert kernel.run("import os; print(os.getcwd())").strip() == f"/home/alice/{AWKWARD}"
        listed = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
        assert [each["dir"] for each in listed] == [f"/home/alice/{AWKWARD}"]
    assert not [path for path in home.rglob("pwned*") if path.name.startswith("pwned")]
    assert not host.path("/tmp/pwned").exists()


@pytest.mark.parametrize("given", ["nowhere", "/etc/passwd", "/home/mallory"])
def test_a_directory_that_cannot_be_entered_is_an_error_that_names_it(laptop: Laptop, given: str) -> None:
    error = refused(laptop, "--dir", given)
    assert (error["code"], error["status"]) == ("no-directory", "6")
    assert given in error["message"]
    assert error["hint"]


def test_a_directorys_name_cannot_write_on_the_terminal(laptop: Laptop) -> None:
    ran = laptop.farlab("connect", "alice", "--dir", "missing\n\x1b[2J", tty=True, timeout=100)
    assert ran.code == 6, ran
    assert "missing" in ran.out
    assert "\x1b[2J" not in ran.out


# environment ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("directory", "given"),
    [
        ("envs/mine", "/home/alice/envs/mine/bin/python"),
        (".virtualenvs/mine", "mine"),
        ("é ü", "~/é ü"),
    ],
)
def test_an_environment_is_named_by_directory_by_python_or_by_name(
    laptop: Laptop, host: Host, home: Path, directory: str, given: str
) -> None:
    environment_of_alice(host, directory)
    with session(laptop, "alice", "--env", given) as address, address.kernel() as kernel:
        assert address.connected["environment"] == given
        code = "import os, sys; print(sys.prefix); print(os.environ['PATH'].split(':')[0]); import subprocess"
        prefix, first = kernel.run(code).splitlines()
        assert prefix == f"/home/alice/{directory}"
        if not given.endswith("python"):
            assert first == f"/home/alice/{directory}/bin"
            assert kernel.run("print(os.environ['VIRTUAL_ENV'])").strip() == f"/home/alice/{directory}"


def test_an_environment_that_is_not_there_is_an_error_that_names_it(laptop: Laptop) -> None:
    for given in ("nothing", "envs/nothing", "/etc/passwd", 'x"; touch pwned #'):
        error = refused(laptop, "--env", given)
        assert (error["code"], error["status"]) == ("no-environment", "6")
        assert given in error["message"]


def test_an_environment_without_jupyter_is_an_error_that_names_its_python(
    laptop: Laptop, host: Host, home: Path
) -> None:
    environment_of_alice(host, "bare", with_jupyter=False)
    error = refused(laptop, "--env", "bare/")
    assert (error["code"], error["status"]) == ("no-jupyter", "6")
    assert "/home/alice/bare/bin/python" in error["message"]


# setup ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", SETUPS)
def test_setup_lines_are_run_by_the_users_own_shell(laptop: Laptop, user: str) -> None:
    with session(laptop, user, "--setup", SETUPS[user], "--setup", "cd /") as address:
        assert address.connected["dir"] == USERS[user].home_path
        with address.kernel() as kernel:
            home = USERS[user].home_path
            assert kernel.run("import os; print(os.environ['WISH'])") == f"""it's "a  b" {home}\n"""


ALIASES = {
    "bob": "alias wished='export WISH=granted'",
    "zoe": "alias wished='export WISH=granted'",
    "dan": "wished() { export WISH=granted; }",
    "finn": "function wished; set -gx WISH granted; end # a remark",
    "tess": "alias wished 'setenv WISH granted'",
}
"""As `module` is one in the shells of clusters."""


@pytest.mark.parametrize("user", ALIASES)
def test_a_setup_line_may_use_what_one_before_it_defined_and_the_server_sees_none_of_them(
    laptop: Laptop, user: str
) -> None:
    with (
        session(laptop, user, "--setup", ALIASES[user], "--setup", "wished") as address,
        address.kernel() as kernel,
    ):
        shown = kernel.run("import os; print(os.environ['WISH'], [each for each in os.environ if 'FARLAB' in each])")
        assert shown == "granted []\n"


@pytest.mark.parametrize("user", SETUPS)
def test_a_setup_line_that_fails_is_an_error_with_its_own_words(laptop: Laptop, user: str) -> None:
    words = ["--setup", "true", "--setup", "ls /no-such-place", "--setup", "true"]
    ran = laptop.farlab("connect", user, "--json", "--no-browser", *words, timeout=100)
    error = ran.json["error"]
    assert (error["code"], ran.code) == ("shell-failed", 7), ran
    assert "--setup" in error["message"]
    assert "/no-such-place" in error["detail"]


# app -----------------------------------------------------------------------------------------------------


def test_a_plain_server_is_an_app_too(laptop: Laptop) -> None:
    with session(laptop, "alice", "--app", "server") as address:
        assert address.connected["app"] == "server"
        assert address.connected["server"].startswith("Jupyter Server 2")
        assert address.ask("GET", "/api/status")[0] == 200
        assert "/lab" not in address.connected["url"]


@pytest.mark.parametrize(("app", "title"), [("notebook", "Jupyter Notebook"), ("nbclassic", "nbclassic")])
def test_an_app_that_the_host_lacks_is_an_error_that_names_it(laptop: Laptop, app: str, title: str) -> None:
    error = refused(laptop, "--app", app)
    assert (error["code"], error["status"]) == ("no-jupyter", "6")
    assert title in error["message"]


# notebook ------------------------------------------------------------------------------------------------


def test_a_notebook_is_opened_as_the_host_names_it_and_one_that_is_not_there_is_told(
    shared: Address, host: Host
) -> None:
    write_home(host, "alice", "nb/fit 1.ipynb", "{}")
    for path in ("nb/fit 1.ipynb", "~/nb/fit 1.ipynb", "/home/alice/nb/fit 1.ipynb"):
        told = connect(shared.laptop, "alice", "--notebook", path).connected
        assert "/lab/tree/nb/fit%201.ipynb?" in told["url"], path
        assert told["notes"] == []
    for path, words in {
        "~/nb/other.ipynb": "there is no `~/nb/other.ipynb`",
        "/tmp/x.ipynb": "outside `/home/alice`, where this session's files begin; "
        "beside it: `farlab connect alice --name tmp --dir /tmp`",
    }.items():
        told = connect(shared.laptop, "alice", "--notebook", path).connected
        assert "/lab?" in told["url"]
        [note] = told["notes"]
        assert words in note


# another wish than the session has --------------------------------------------------------------------------


OTHER_WISHES = [("--dir", "/tmp"), ("--env", "torch"), ("--app", "server")]


@pytest.mark.parametrize("words", OTHER_WISHES)
def test_connecting_with_another_wish_than_the_session_has_says_so(shared: Address, words: tuple[str, str]) -> None:
    again = connect(shared.laptop, "alice", *words)
    assert again.connected["reused"]
    assert again.connected["pid"] == shared.connected["pid"]
    [note] = again.connected["notes"]
    assert words[1] in note
    assert f"beside it: `farlab connect alice --name {words[1].strip('/')} {' '.join(words)}`" in note


@pytest.mark.parametrize("words", [("--dir", "~"), ("--dir", "/home/alice"), ("--dir", "."), ("--app", "lab"), ()])
def test_connecting_with_the_wish_that_the_session_has_says_nothing(shared: Address, words: tuple[str, ...]) -> None:
    assert connect(shared.laptop, "alice", *words).connected["notes"] == []


def test_another_laptop_with_another_wish_is_told_the_same(shared: Address, laptop: Laptop) -> None:
    again = connect(laptop, "alice", "--dir", "/tmp", "--env", "torch", "--app", "server")
    assert again.connected["reused"]
    assert again.connected["pid"] == shared.connected["pid"]
    [note] = again.connected["notes"]
    assert all(word in note for word in ("/tmp", "torch", "server"))
    assert laptop.farlab("disconnect", "alice").code == 0
