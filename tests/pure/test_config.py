"""Settings: the command line wins over the environment, that over `[host.NAME]`, that over `[defaults]`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import farlab
from farlab import config
from farlab.config import SETTINGS, Config, Kind, Settings, Value, from_text, from_value, parse, resolve, variable
from farlab.errors import Usage
from farlab.model import App, Kernels

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = "/home/ada/.config/farlab/config.toml"
GOOD = {
    config.HOST: ("gpu1", "gpu1"),
    config.SESSION_NAME: ("second", "second"),
    config.TEXT: ("~/a b", "~/a b"),
    config.FILE: ("./config", "./config"),
    config.FLAG: ("yes", True),
    config.PORT: ("8888", 8888),
    config.COUNT: ("0", 0),
    config.SECONDS: ("2.5", 2.5),
    config.SIZE: ("64M", 64 << 20),
    config.HOURS: ("0.5", 0.5),
    config.KERNELS: ("private", "private"),
    config.APP: ("notebook", "notebook"),
    config.LINES: ("module load cuda\nulimit -n 4096\n", ("module load cuda", "ulimit -n 4096")),
}
BAD = {
    config.HOST: ("", "-oProxyCommand=x", "a b", "a\nb", "a\x1b[2Jb", "\udce9"),
    config.SESSION_NAME: ("", "-x", "a b", "x" * 33, "a/b", "main\n"),
    config.TEXT: ("", "a\0b"),
    config.FILE: ("", "a\0b"),
    config.FLAG: ("", "maybe", "2"),
    config.PORT: ("", "0", "65536", "-1", "http", "80.0"),
    config.COUNT: ("", "-1", "many", "1.5"),
    config.SECONDS: ("", "0", "-1", "nan", "inf", "soon"),
    config.SIZE: ("", "0", "64", "1023K", "-64M", "1.5G", "64 M", "64P", "M", "٦M", "inf"),
    config.HOURS: ("", "0", "-1", "nan", "inf", "3d"),
    config.APP: ("", "Lab", "vscode"),
    config.LINES: (),
}


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("/home/ada/thesis", "~/thesis"),  # `~/thesis`, as a shell here expands it
        ("/home/ada", "~"),
        ("/home/ada/", "~/"),
        ("/data/homes/ada/a b", "~/a b"),
        ("/home/adam/thesis", "/home/adam/thesis"),
        ("//home/ada/thesis", "//home/ada/thesis"),
        ("~/thesis", "~/thesis"),
        ("thesis", "thesis"),
        ("torch", "torch"),
    ],
)
def test_the_home_here_means_the_home_there(typed: str, sent: str) -> None:
    """Wherever the path was given; another option of the same text stays."""
    homes, environ = ("/home/ada", "/data/homes/ada"), {"FARLAB_ENV": typed}
    found = config.session_options(
        settings(words={"dir": typed, "setup": (typed,)}, environ=environ, toml=f"[defaults]\nnotebook = '{typed}'"),
        homes=homes,
    )
    assert (found.directory, found.environment, found.notebook, found.setup) == (sent, sent, sent, (typed,))


def settings(
    *,
    keys: tuple[str, ...] = tuple(SETTINGS),
    words: Mapping[str, Value] | None = None,
    environ: Mapping[str, str] | None = None,
    toml: str = "",
) -> Settings:
    return resolve(keys, typed=words or {}, environ=environ or {}, config=parse(toml, FILE))


def refusal(toml: str) -> Usage:
    with pytest.raises(Usage) as caught:
        parse(toml, FILE)
    assert FILE in caught.value.message
    return caught.value


FOUR = """
[defaults]
host = "gpu1"
dir = "from defaults"
[host.gpu1]
dir = "from the host"
"""


def test_the_command_line_wins_then_the_environment_then_the_host_then_the_defaults() -> None:
    words, environ = {"dir": "typed"}, {"FARLAB_DIR": "from the environment"}
    assert settings(words=words, environ=environ, toml=FOUR).text("dir") == "typed"
    assert settings(environ=environ, toml=FOUR).text("dir") == "from the environment"
    assert settings(toml=FOUR).text("dir") == "from the host"
    assert settings(words={"host": "gpu2"}, toml=FOUR).text("dir") == "from defaults"
    assert settings().text("dir") is None


def test_the_host_is_settled_first_wherever_it_comes_from() -> None:
    assert settings(toml=FOUR).text("host") == "gpu1"
    assert settings(environ={"FARLAB_HOST": "gpu2"}, toml=FOUR).text("dir") == "from defaults"
    both = {"environ": {"FARLAB_HOST": "gpu2"}, "toml": FOUR}
    assert settings(words={"host": "gpu1"}, **both).text("dir") == "from the host"  # type: ignore[arg-type]


def test_every_setting_tells_where_it_came_from() -> None:
    assert settings(words={"dir": "x"}, toml=FOUR).origin("dir") == "`--dir`"
    assert settings(words={"host": "x"}).origin("host") == "`HOST`"
    assert settings(environ={"FARLAB_DIR": "x"}, toml=FOUR).origin("dir") == "`FARLAB_DIR` in the environment"
    assert settings(toml=FOUR).origin("dir") == f"`dir` in `[host.gpu1]` of `{FILE}`"
    assert settings(toml=FOUR).origin("host") == f"`host` in `[defaults]` of `{FILE}`"
    assert settings().origin("dir") == ""


def test_a_verb_that_lacks_an_option_does_not_look_at_its_variable() -> None:
    environ = {"FARLAB_PORT": "nonsense", "FARLAB_NAME": "second"}
    assert settings(keys=("name",), environ=environ).text("name") == "second"


def test_an_empty_variable_says_nothing() -> None:
    assert settings(environ={"FARLAB_HOST": ""}, toml=FOUR).text("host") == "gpu1"


def test_a_flag_can_be_taken_back_above() -> None:
    toml = "[defaults]\ncopy = true"
    assert settings(toml=toml).flag("copy")
    assert not settings(environ={"FARLAB_COPY": "0"}, toml=toml).flag("copy")
    assert not settings(words={"copy": False}, toml=toml).flag("copy")


@pytest.mark.parametrize("key", SETTINGS)
def test_every_setting_can_come_from_the_environment_and_the_file(key: str) -> None:
    text, value = GOOD[SETTINGS[key].kind]
    assert settings(environ={variable(key): text}).given[key].value == value
    plain = {True: "true", False: "false"}
    written = plain[value] if isinstance(value, bool) else repr(list(value) if isinstance(value, tuple) else value)
    assert settings(toml=f"[defaults]\n{key} = {written}").given[key].value == value
    if key != "host":
        toml = f'[host."a.b"]\n{key} = {written}'
        assert settings(words={"host": "a.b"}, toml=toml).given[key].value == value


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in BAD.items() for text in texts])
def test_what_cannot_be_is_refused_by_the_name_of_its_origin(kind: Kind, text: str) -> None:
    key = next(key for key in SETTINGS if SETTINGS[key].kind is kind)
    with pytest.raises(Usage) as caught:
        from_text(key, text, "`--there`")
    assert caught.value.message.startswith(f"`--there`: `{text}` ")
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("text", "size"),
    [("1M", 1 << 20), ("1024k", 1 << 20), ("256MB", 256 << 20), ("2GiB", 2 << 30), ("1T", 1 << 40)],
)
def test_sizes_are_powers_of_two(text: str, size: int) -> None:
    assert from_text("keep-host", text, "x") == size


@given(st.sampled_from(list(SETTINGS)), st.text())
def test_any_text_is_a_value_or_a_usage_error(key: str, text: str) -> None:
    with suppress(Usage):
        assert isinstance(from_text(key, text, "x"), str | int | float | bool | tuple)


def test_a_wrong_type_is_named_with_its_file_table_and_key() -> None:
    error = refusal('[host.gpu1]\nport = "8888"')
    assert error.message == f"`port` in `[host.gpu1]` of `{FILE}`: `8888` is not a port, 1 to 65535"
    assert error.hint == "write it without quotes"
    assert refusal("[defaults]\ndir = 3").hint == "write it in quotes"
    assert "`json` in `[defaults]`" in refusal('[defaults]\njson = "yes"').message
    assert "`port` in `[defaults]`" in refusal("[defaults]\nport = true").message
    assert "`port` in `[defaults]`" in refusal("[defaults]\nport = 80.5").message
    assert "`setup` in `[defaults]`" in refusal("[defaults]\nsetup = [1]").message
    assert "`timeout` in `[defaults]`" in refusal("[defaults]\ntimeout = 0").message


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    error = refusal("[defaults]\nprot = 8888")
    assert error.message == f"unknown `prot` in `[defaults]` of `{FILE}`"
    assert error.hint == "did you mean `port`?"
    assert "ssh-config" in refusal("[defaults]\nzzz = 1").hint
    assert refusal("[default]\nport = 1").hint == "did you mean `defaults`?"
    assert refusal("port = 1").hint == "tables are `[defaults]` and `[host.NAME]`"


def test_what_is_no_table_is_refused() -> None:
    assert "`[defaults]`" in refusal("defaults = 1").message
    assert "`[host]`" in refusal("host = 'gpu1'").message
    assert "`[host.gpu1]`" in refusal("[host]\ngpu1 = 1").message


def test_a_host_with_dots_that_was_not_quoted_is_explained() -> None:
    error = refusal("[host.login.example.org]\nport = 8888")
    assert error.hint == 'quote a name that contains dots: `[host."login.example.org"]`'


def test_a_host_table_cannot_name_a_host() -> None:
    assert "cannot name a host" in refusal("[host.gpu1]\nhost = 'gpu2'").message


def test_a_file_that_is_not_toml_is_quoted() -> None:
    error = refusal("[defaults\n")
    assert "line 1" in error.detail


def test_no_file_is_no_settings() -> None:
    assert resolve(SETTINGS, typed={}, environ={}, config=Config()).given == {}


def test_the_version_is_the_one_of_the_project_file() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["version"] == farlab.__version__


@pytest.mark.parametrize("key", SETTINGS)
def test_every_key_is_documented(key: str) -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    assert f"| `{key}` | `{variable(key)}` |" in page


def test_the_example_of_the_documentation_is_a_configuration() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text()
    example = page.partition("```toml\n")[2].partition("```")[0]
    found = parse(example, FILE)
    assert found.defaults
    assert found.hosts


# what a program gives -------------------------------------------------------------------------------------

WRONG: dict[str, list[object]] = {
    "host": [7, b"x", PurePath("x"), "", "-x", "a b"],
    "name": [7, "a b", "", True],
    "dir": [7, b"x", "", "a\0", "\ud800", ["x"]],
    "env": [7, True, "a\0"],
    "notebook": [b"x", {}, ""],
    "ssh-config": [7, "a\0"],
    "setup": [7, [7], ["a", None], "a\0", ["a\0"], {"a": 1}],
    "app": [7, "x", ""],
    "kernels": [7, "x", "", True],
    "port": [0, -1, 70000, "8888", 8888.0, True, 1 << 70],
    "timeout": ["5", 0, -1, float("nan"), float("inf"), 1e30, True, None, []],
    "keep-output": ["yes", 1, 0, None],
    "keep-host": [5, "x", -1, 1.5, True, 1 << 70, "999999999999999T"],
    "keep-laptop": [5, "", True, [1 << 20]],
    "keep-hours": ["2", 0, float("nan"), 1e300, True],
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key in WRONG for value in WRONG[key]])
def test_a_value_of_another_type_or_range_is_refused_and_named(key: str, value: object) -> None:
    with pytest.raises(Usage, match="`it`"):
        from_value(key, value, "`it`")


@pytest.mark.parametrize(
    ("key", "value", "meant"),
    [
        ("dir", PurePath("a/b"), "a/b"),
        ("ssh-config", PurePath("/x"), "/x"),
        ("dir", "~/x\udc80", "~/x\udc80"),
        ("setup", "a\n\nb", ("a", "b")),
        ("setup", ("a", "b"), ("a", "b")),
        ("setup", [], ()),
        ("app", App.LAB, "lab"),
        ("kernels", Kernels.PRIVATE, "private"),
        ("port", 65535, 65535),
        ("timeout", 1, 1.0),
        ("timeout", 0.1, 0.1),
        ("keep-host", "64M", 64 << 20),
        ("keep-host", 1 << 20, 1 << 20),
        ("keep-hours", 0.5, 0.5),
        ("keep-output", True, True),
    ],
)
def test_a_program_gives_what_a_user_types(key: str, value: object, meant: object) -> None:
    assert from_value(key, value, "`it`") == meant


@pytest.mark.parametrize("key", [key for key in WRONG if key not in ("host", "name")])
def test_the_python_api_refuses_it_before_anything_is_started(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # whoever got further would find no `ssh`
    wrong = WRONG[key][0]
    with pytest.raises(Usage, match=f"`{key.replace('-', '_')}`"):
        farlab.connect("far", **{key.replace("-", "_"): wrong})


@pytest.mark.parametrize(
    "call", [farlab.connect, farlab.terminate, farlab.disconnect, farlab.status, farlab.sessions_on]
)
def test_every_call_of_the_python_api_refuses_what_is_no_host(call: Any) -> None:
    for host in (7, None, b"far", "", "-x", PurePath("far"), True):
        with pytest.raises(Usage):
            call(host)


@pytest.mark.parametrize("call", [farlab.connect, farlab.terminate, farlab.sessions_on])
def test_whoever_answers_can_be_called(call: Any) -> None:
    with pytest.raises(Usage, match="`ask`"):
        call("far", ask="yes")
