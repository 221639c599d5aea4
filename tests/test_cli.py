"""The command line as a process: words in; status, stdout and stderr out. Nothing here needs a host."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import pytest

from cli_process import Outcome, run_farlab
from farlab import config
from farlab.cli.group import COMMANDS, Farlab
from farlab.cli.options import COMMON, Command, SettingOption
from farlab.config import SETTINGS, variable

REPOSITORY = Path(__file__).resolve().parents[1]
Farlabs = Callable[..., Outcome]
ANY_TEXT = (config.TEXT, config.LINES, config.FILE)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without anything in it."""
    return tmp_path / "home"


@pytest.fixture
def farlab(home: Path) -> Farlabs:
    """Run `farlab WORDS`, without a terminal, in a home and an environment of its own."""
    home.mkdir()
    return partial(run_farlab, home)


def configure(home: Path, text: str) -> Path:
    """Write `config.toml` where Linux looks for it."""
    file = home / ".config" / "farlab" / "config.toml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return file


def error_of(outcome: Outcome) -> dict[str, str]:
    """The error of a `--json` call, which must be the only thing on stdout."""
    assert outcome.stdout.count("\n") == 1
    document = json.loads(outcome.stdout)
    assert set(document) == {"farlab", "ok", "error"}
    assert document["farlab"] == 1
    assert document["ok"] is False
    error: dict[str, str] = document["error"]
    assert set(error) == {"code", "message", "detail", "hint"}
    return error


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_version_is_one_line(farlab: Farlabs) -> None:
    outcome = farlab("--version")
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "farlab 0.1.0\n", "")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_names_every_verb(farlab: Farlabs, words: tuple[str, ...]) -> None:
    outcome = farlab(*words)
    assert outcome.returncode == 0
    assert re.findall(r"^  ([a-z]+)  ", outcome.stdout, re.MULTILINE) == list(COMMANDS)


@pytest.mark.parametrize("verb", [*COMMANDS, "stop", "-t"])
def test_every_verb_has_a_help_with_examples(farlab: Farlabs, verb: str) -> None:
    outcome = farlab(verb, "--help")
    assert outcome.returncode == 0
    assert "Examples:\n" in outcome.stdout
    assert "show this help" in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 100


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_narrow_terminal_gets_its_examples_below_one_another(verb: str) -> None:
    command = Farlab().get_command(click.Context(Farlab()), verb)
    assert isinstance(command, Command)
    shown = command.get_help(click.Context(command, info_name=verb, terminal_width=60))
    for typed, text in command.examples:
        assert f"\n  {typed}\n    {text.split()[0]}" in shown
    assert max(len(line) for line in shown.splitlines() if "farlab " not in line) <= 60


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("gpu1",), "`gpu1` is not a farlab command", "`farlab connect gpu1`"),
        (("frobnicate", "gpu1"), "`frobnicate` is not a farlab command", "`farlab --help` lists the commands"),
        (("connect", "gpu1", "--prot", "1"), "`farlab connect` has no option `--prot`", "did you mean `--port`?"),
        (("--json",), "`farlab` has no option `--json`", ""),
        (("-t", "gpu1", "--force"), "`farlab terminate` has no option `--force`", "`farlab terminate --help`"),
        (("connect", "gpu1", "gpu2"), "unexpected extra argument (gpu2)", "`farlab connect --help`"),
        (("connect", "gpu1", "--port"), "option `--port` requires an argument", "`farlab connect --help`"),
        (("connect", "gpu1", "--port", "http"), "`--port`: `http` is not a port", ""),
        (("connect", "gpu1", "--app", "vim"), "`--app`: `vim` is not one of lab,", ""),
        (("connect", "gpu1", "--timeout", "-1"), "`--timeout`: `-1` is not a number of seconds", ""),
        (("connect", "gpu1", "--name", "a b"), "`--name`: `a b` is not a valid session name", "letters, digits"),
        (("connect", "--", "-oProxyCommand=touch pwned"), "is not a valid host: it begins with `-`", ""),
        (("connect", ""), "`HOST`: `` is not a valid host", ""),
        (("connect", "gpu1", "-F", "gone"), "`--ssh-config`: there is no file `", ""),
        (("connect",), "no host given, and none configured", "/.config/farlab/config.toml`"),
        (("list", "--host", "-x"), "`--host`: `-x` is not a valid host", ""),
        (("logs", "gpu1", "--lines", "-1"), "`--lines`: `-1` is not a whole number", ""),
        (("logs", "gpu1", "--follow", "--json"), "cannot combine", "omit one of them"),
        (("completion", "elvish"), "`elvish` is not one of", "`farlab completion --help`"),
        (("completion",), "cannot tell which shell you use", "`farlab completion bash`"),
    ],
)
def test_wrong_words_are_a_usage_error(
    farlab: Farlabs, home: Path, words: tuple[str, ...], message: str, hint: str
) -> None:
    outcome = farlab(*words)
    error = error_of(outcome) if "--json" in words else error_of(farlab(*_with_json(words)))
    assert outcome.returncode == 2
    assert error["code"] == "usage"
    assert message in error["message"]
    assert hint in error["hint"]
    assert not any(word in error["message"] for word in ("\n", "Traceback"))
    if "--json" not in words:
        assert outcome.stdout == ""
        assert outcome.stderr.startswith(f"error: {error['message']}\n")
        assert outcome.stderr.endswith(f"\n\nhint: {error['hint']}\n" if error["hint"] else "\n")
    assert list(home.iterdir()) == []  # `touch pwned` did not run, and nothing was written down


def _with_json(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words with `--json`, where it is not the value of an option or behind `--`."""
    return (words[0], "--json", *words[1:])


def test_json_can_be_wished_for_in_the_environment_or_the_configuration(farlab: Farlabs, home: Path) -> None:
    assert error_of(farlab("connect", "--prot", FARLAB_JSON="1"))["code"] == "usage"
    assert farlab("connect", "--prot", "--no-json", FARLAB_JSON="1").stdout == ""
    configure(home, "[defaults]\njson = true")
    assert error_of(farlab("connect", "--prot"))["code"] == "usage"
    assert farlab("connect", "--prot", "--no-json").stdout == ""


def test_a_bug_is_one_line_and_verbose_a_traceback(farlab: Farlabs, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import shlex\nshlex.join = None\n")  # a Python that is out of order
    path = os.pathsep.join(filter(None, (str(broken), os.environ.get("PYTHONPATH"))))
    outcome = farlab("gpu1", PYTHONPATH=path)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith("error: TypeError: 'NoneType' object is not callable\n\nhint: this is a bug")
    loud = farlab("gpu1", PYTHONPATH=path, FARLAB_VERBOSE="1")
    assert "Traceback (most recent call last):" in loud.stderr
    assert error_of(farlab("gpu1", "--json", PYTHONPATH=path))["code"] == "internal"


def test_a_reader_that_leaves_early_is_no_error(farlab: Farlabs) -> None:
    gone, writer = os.pipe()
    os.close(gone)
    command = [sys.executable, "-m", "farlab", "completion", "bash"]
    outcome = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    os.close(writer)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_words_that_are_no_text_are_told_apart_all_the_same(farlab: Farlabs) -> None:
    outcome = farlab("connect", os.fsdecode(b"caf\xe9"), LC_ALL="C")
    assert outcome.returncode == 2
    assert "is not a valid host" in outcome.stderr


def test_a_terminal_that_knows_few_letters_gets_some_text(farlab: Farlabs) -> None:
    program = "from farlab.cli import survive_any_text as survive; from farlab.text.output import print_out; "
    program += "survive(); print_out('café … \\udce9')"
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    printed = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert printed.stdout == "caf\\xe9 \\u2026 \\udce9\n"


def test_behind_two_dashes_nothing_is_an_option(farlab: Farlabs) -> None:
    outcome = farlab("connect", "--", "--json")
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("error: `HOST`: `--json` is not a valid host: it begins with `-`\n")


# --- settings --------------------------------------------------------------------------------------------------------


def test_an_error_names_the_place_that_won(farlab: Farlabs, home: Path) -> None:
    words, environ = ("connect", "gpu1", "--name", "typed!"), {"FARLAB_NAME": "env!"}
    assert farlab(*words, **environ).stderr.startswith("error: `--name`: `typed!` is not a valid session name\n")
    env = farlab(*words[:2], **environ)
    assert env.stderr.startswith("error: `FARLAB_NAME` in the environment: `env!` is not a valid session name\n")
    file = configure(home, '[defaults]\nname = "defaults!"')
    assert f"`name` in `[defaults]` of `{file}`: `defaults!`" in farlab(*words[:2]).stderr
    file.write_text('[host.gpu1]\nname = "host!"')
    assert f"`name` in `[host.gpu1]` of `{file}`: `host!`" in farlab(*words[:2]).stderr


def test_the_file_of_ssh_comes_from_the_place_that_won(farlab: Farlabs, home: Path) -> None:
    file = configure(home, '[defaults]\nhost = "gpu1"\nssh-config = "/defaults"\n[host.gpu1]\nssh-config = "/host"')
    assert farlab("connect").stderr == f"error: `ssh-config` in `[host.gpu1]` of `{file}`: there is no file `/host`\n"
    other = farlab("connect", "gpu2").stderr
    assert other == f"error: `ssh-config` in `[defaults]` of `{file}`: there is no file `/defaults`\n"
    env = farlab("connect", FARLAB_SSH_CONFIG="~/none").stderr
    assert env == f"error: `FARLAB_SSH_CONFIG` in the environment: there is no file `{home}/none`\n"
    typed = farlab("connect", "-F", "here", FARLAB_SSH_CONFIG="/env").stderr
    assert typed == f"error: `--ssh-config`: there is no file `{home}/here`\n"


def test_a_configuration_that_cannot_be_is_a_usage_error_whatever_the_verb(farlab: Farlabs, home: Path) -> None:
    file = configure(home, "[defaults]\nprot = 1")
    for verb in ("connect", "list", "completion"):
        outcome = farlab(verb)
        assert outcome.returncode == 2
        assert outcome.stderr == (f"error: unknown `prot` in `[defaults]` of `{file}`\n\nhint: did you mean `port`?\n")
    file.write_text("[defaults")
    assert "table declaration" in error_of(farlab("list", "--json"))["detail"]
    file.write_bytes(b"\xff")
    assert error_of(farlab("list", "--json"))["message"] == f"cannot read `{file}`"


def test_the_configuration_can_be_another_file(farlab: Farlabs, home: Path) -> None:
    (home / "mine.toml").write_text('[defaults]\nhost = "-x"')
    outcome = farlab("connect", FARLAB_CONFIG="~/mine.toml")
    assert f"`host` in `[defaults]` of `{home}/mine.toml`: `-x` is not a valid host" in outcome.stderr
    gone = farlab("connect", FARLAB_CONFIG="gone.toml")
    assert gone.stderr == f"error: `FARLAB_CONFIG` in the environment: there is no file `{home}/gone.toml`\n"


def test_a_configuration_that_nobody_named_is_a_file_and_none_is_endless(farlab: Farlabs, home: Path) -> None:
    file = configure(home, "")
    file.unlink()
    os.mkfifo(file)
    assert farlab("list").stderr == f"error: `{file}` is not a file\n"
    assert "too long" in farlab("list", FARLAB_CONFIG="/dev/zero").stderr


def test_what_was_typed_is_looked_at_before_the_environment(farlab: Farlabs) -> None:
    assert farlab("logs", "--lines", "x", FARLAB_HOST="-x").stderr.startswith("error: `--lines`: `x` is not ")


# --- the documentation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_option_of_a_verb_is_documented(verb: str) -> None:
    page = (REPOSITORY / "docs" / "cli.md").read_text()
    section = page.partition(f"\n## {verb}\n")[2].partition("\n## ")[0]
    common = page.partition("\n## Options of every command\n")[2].partition("\n## ")[0]
    command = Farlab().get_command(click.Context(Farlab()), verb)
    assert command is not None
    for option in (param for param in command.params if isinstance(param, SettingOption)):
        row = re.search(rf"^\| .*`--{option.key}[ `].*", common if option.key in COMMON else section, re.MULTILINE)
        assert row, f"`--{option.key}` of `{verb}`"
        default = re.search(r"\(default: .*?\)", option.help or "")
        assert not default or default[0] in row[0].replace("`", "")


def test_every_option_has_a_key_and_every_key_an_option() -> None:
    group = Farlab()
    commands = [group.get_command(click.Context(group), verb) for verb in COMMANDS]
    options = {
        param.key for command in commands if command for param in command.params if isinstance(param, SettingOption)
    }
    assert options == set(SETTINGS)


@pytest.mark.parametrize("key", [key for key in SETTINGS if SETTINGS[key].kind not in ANY_TEXT])
def test_a_variable_is_read_by_a_verb_that_has_the_option(farlab: Farlabs, key: str) -> None:
    group = Farlab()
    commands = [group.get_command(click.Context(group), verb) for verb in COMMANDS]
    verb = next(command for command in commands if isinstance(command, Command) and key in command.keys)
    outcome = farlab(str(verb.name), **{variable(key): "-\x01"})
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"error: `{variable(key)}` in the environment: `-` ")


# --- completion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_that_the_shell_accepts(farlab: Farlabs, shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no `{shell}` on this machine")
    outcome = farlab("completion", shell)
    assert outcome.returncode == 0
    checked = subprocess.run([shell, "-n"], input=outcome.stdout, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert json.loads(farlab("completion", "--json", SHELL=f"/bin/{shell}").stdout)["script"] == outcome.stdout[:-1]


def complete(farlab: Farlabs, *words: str) -> list[str]:
    """What bash would be offered for the last of the words."""
    outcome = farlab(
        COMP_WORDS="\n".join(("farlab", *words)), COMP_CWORD=str(len(words)), _FARLAB_COMPLETE="bash_complete"
    )
    assert outcome.stderr == ""
    return [line.partition(",")[2] for line in outcome.stdout.splitlines()]


def test_verbs_options_and_choices_are_completed(farlab: Farlabs) -> None:
    assert complete(farlab, "co") == ["connect", "completion"]
    assert "--port" in complete(farlab, "connect", "--p")
    assert complete(farlab, "connect", "--app", "n") == ["notebook", "nbclassic"]
    assert complete(farlab, "completion", "") == ["bash", "zsh", "fish"]


def test_the_hosts_of_ssh_config_are_completed(farlab: Farlabs, home: Path) -> None:
    (home / ".ssh" / "more").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host gpu1 *.example.org\nInclude more/*\n")
    (home / ".ssh" / "more" / "one").write_text("Host gpu2\n")
    assert complete(farlab, "connect", "gp") == ["gpu1", "gpu2"]
    assert complete(farlab, "list", "--host", "gpu2") == ["gpu2"]
    (home / "other").write_text("Host gpu9\n")
    assert complete(farlab, "connect", "-F", str(home / "other"), "gp") == ["gpu9"]
