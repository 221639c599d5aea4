"""Settings and where each came from: command line > environment > `[host.NAME]` > `[defaults]` of `config.toml`.

Rule: pure. Text and values come in, frozen values go out; the caller reads the file and the environment.
Every setting has one name: `--ssh-config` is `FARLAB_SSH_CONFIG` in the environment and `ssh-config` in the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePath

from . import model
from .errors import Usage
from .model import NAME, NAME_RULE, App, Kernels, SessionOptions
from .protocol.options import MAX_HOURS, MAX_SECONDS, MAX_SIZE, MIN_SIZE

Value = str | int | float | bool | tuple[str, ...]
_EXAMPLE = "`docs/configuration.md` has an example"
_FLAGS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_SIZE = re.compile("([0-9]{1,15})([KMGT]?)(?:I?B)?", re.ASCII)


class _InvalidValue(ValueError):
    """The right type, but not usable; says why."""


def _parse_host(text: str) -> str:
    if text.startswith("-"):
        raise _InvalidValue("is not a valid host: it begins with `-`")
    if not text or any(not char.isprintable() or char.isspace() for char in text):
        raise _InvalidValue("is not a valid host")
    return text


def _parse_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise _InvalidValue("is not a valid session name")
    return text


def _parse_text(text: str) -> str:
    if not text or "\0" in text:
        raise _InvalidValue("is empty or contains a NUL character")
    text.encode("utf-8", "surrogateescape")  # a ValueError for what no system takes
    return text


def _parse_lines(text: str) -> tuple[str, ...]:
    return tuple(_parse_text(line) for line in text.splitlines() if line.strip())


def _parse_flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError
    return _FLAGS[text.lower()]


def _parse_size(text: str) -> int:
    found = _SIZE.fullmatch(text.upper())
    size = int(found[1]) << 10 * " KMGT".index(found[2] or " ") if found else 0
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError
    return size


def _number(convert: type[int] | type[float], above: float, most: float) -> Callable[[str], Value]:
    def parse_number(text: str) -> Value:
        number = convert(text)
        if not above < number <= most:
            raise ValueError
        return number

    return parse_number


def _one_of(choices: type[StrEnum]) -> Callable[[str], Value]:
    def parse_choice(text: str) -> Value:
        if text not in list(choices):
            raise ValueError
        return text

    return parse_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a setting may hold. `noun` is how an error names it, `types` those that TOML and Python may give."""

    noun: str
    parse: Callable[[str], Value]
    types: tuple[type, ...] = (str,)
    hint: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def toml_hint(self) -> str:
        """What to do about a value of a wrong type in the file."""
        return "write it in quotes" if str in self.types else "write it without quotes"


HOST = Kind(noun="a host", parse=_parse_host)
SESSION_NAME = Kind(noun="a session name", parse=_parse_name, hint=NAME_RULE)
TEXT = Kind(noun="a text", parse=_parse_text)
FILE = Kind(noun="a file", parse=_parse_text)
LINES = Kind(noun="a text or a list of texts", parse=_parse_lines, types=(str, list))
FLAG = Kind(noun="true or false", parse=_parse_flag, types=(bool,))
PORT = Kind(noun="a port, 1 to 65535", parse=_number(int, 0, 65535), types=(int,))
COUNT = Kind(noun="a whole number, 0 or more", parse=_number(int, -1, float("inf")), types=(int,))
_SECONDS = _number(float, 0, MAX_SECONDS)
SECONDS = Kind(noun="a number of seconds above 0", parse=_SECONDS, types=(int, float))
HOURS = Kind(noun="a number of hours above 0", parse=_number(float, 0, MAX_HOURS), types=(int, float))
SIZE = Kind(noun="a size such as 64M, 1M or more", parse=_parse_size, types=(int, str))
APP = Kind(noun=f"one of {', '.join(App)}", parse=_one_of(App), choices=tuple(App))
KERNELS = Kind(noun=f"one of {', '.join(Kernels)}", parse=_one_of(Kernels), choices=tuple(Kernels))


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting: what it may hold, and what the help says of its option."""

    kind: Kind
    help: str
    short: str = ""
    metavar: str = ""


def _flag(text: str, short: str = "") -> Setting:
    return Setting(kind=FLAG, help=text, short=short)


def _setting(kind: Kind, metavar: str, text: str, short: str = "") -> Setting:
    return Setting(kind=kind, help=text, short=short, metavar=metavar)


SETTINGS: Mapping[str, Setting] = {
    "host": _setting(HOST, "HOST", "ask this host, and show Jupyter servers that farlab did not start, too"),
    "name": _setting(SESSION_NAME, "NAME", f"session name (default: {model.DEFAULT_NAME})", "-n"),
    "dir": _setting(TEXT, "DIR", "working directory on the host (default: your home)"),
    "env": _setting(TEXT, "ENV", "environment on the host: a conda name, or a path to an environment or a Python"),
    "setup": _setting(LINES, "LINE", "shell command to run on the host before Jupyter starts (repeatable)"),
    "app": _setting(APP, "APP", f"{', '.join(App)} (default: {App.LAB})"),
    "notebook": _setting(TEXT, "PATH", "notebook to open, a path on the host"),
    "port": _setting(PORT, "N", "local port (default: always the same for this session, or the next that is free)"),
    "no-browser": _flag("print the address, do not open a browser"),
    "copy": _flag("copy the address to the clipboard"),
    "plain": _flag("the address with 127.0.0.1, which every program can resolve"),
    "timeout": _setting(
        SECONDS, "S", f"seconds to wait, not counting time at prompts (default: {model.DEFAULT_TIMEOUT:g})"
    ),
    "kernels": _setting(
        KERNELS, "KIND", f"any, or private: only kernels that no other user can read (default: {Kernels.ANY})"
    ),
    "keep-output": _flag(
        "keep cell output while no browser tab is open (installs Jupyter extensions; a reload loses ipywidgets)"
    ),
    "keep-host": _setting(
        SIZE, "SIZE", f"buffer on the host while this machine is offline (default: {model.DEFAULT_KEEP_HOST >> 20}M)"
    ),
    "keep-laptop": _setting(
        SIZE, "SIZE", f"buffer here while the host is unreachable (default: {model.DEFAULT_KEEP_LAPTOP >> 20}M)"
    ),
    "keep-hours": _setting(
        HOURS, "H", f"how long the host keeps open connections for this machine (default: {model.DEFAULT_KEEP_HOURS})"
    ),
    "yes": _flag("end kernels, busy ones too, without asking", "-y"),
    "follow": _flag("keep running and show what is new, until Ctrl-C", "-f"),
    "keeper": _flag("show the log of the keeper on this machine"),
    "lines": _setting(COUNT, "N", f"how many lines (default: {model.DEFAULT_LOG_LINES})"),
    "seconds": _setting(SECONDS, "N", "stop after this many seconds"),
    "json": _flag("print one JSON document on stdout, for success and failure"),
    "ssh-config": _setting(FILE, "FILE", "use this file instead of `~/.ssh/config`, as `ssh -F` does", "-F"),
    "verbose": _flag("show each step, and the traceback of a bug", "-v"),
}
"""Every setting, in the order of the help texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A value and, in words that fit into an error, the place it came from."""

    value: Value
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What `config.toml` says. `file` is its path, "" where there is none."""

    file: str = ""
    defaults: Mapping[str, Given] = field(default_factory=dict)
    hosts: Mapping[str, Mapping[str, Given]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one command. One that was not given is None, False or ()."""

    given: Mapping[str, Given] = field(default_factory=dict)

    def text(self, key: str) -> str | None:
        value = self._value(key)
        return value if isinstance(value, str) else None

    def flag(self, key: str) -> bool:
        return self._value(key) is True

    def whole(self, key: str) -> int | None:
        value = self._value(key)
        return value if isinstance(value, int) else None

    def number(self, key: str) -> float | None:
        value = self._value(key)
        return float(value) if isinstance(value, int | float) else None

    def lines(self, key: str) -> tuple[str, ...]:
        value = self._value(key)
        return value if isinstance(value, tuple) else ()

    def origin(self, key: str) -> str:
        """Where `key` came from; "" if it was not given."""
        return self.given[key].origin if key in self.given else ""

    def _value(self, key: str) -> Value | None:
        if key not in SETTINGS:
            raise KeyError(key)
        return self.given[key].value if key in self.given else None


def variable(key: str) -> str:
    """The environment variable of a setting: `ssh-config` → `FARLAB_SSH_CONFIG`."""
    return "FARLAB_" + key.upper().replace("-", "_")


def from_text(key: str, text: str, origin: str) -> Value:
    """The value of `key` as a user types it, on the command line or in a variable. Raises `Usage` naming `origin`."""
    kind = SETTINGS[key].kind
    try:
        return kind.parse(text)
    except _InvalidValue as invalid:
        raise Usage(f"{origin}: `{text}` {invalid}", hint=kind.hint) from None
    except ValueError:
        raise Usage(f"{origin}: `{text}` is not {kind.noun}", hint=kind.hint) from None


def from_value(key: str, value: object, origin: str, *, hint: str | None = None) -> Value:
    """The value of `key` as a program or the file gives it: of the right type, a `Path` for a text too.

    Raises `Usage`: `port = "8888"` is a mistake worth telling, with `hint`.
    """
    kind = SETTINGS[key].kind
    if isinstance(value, PurePath) and kind in (TEXT, FILE):
        value = str(value)
    if kind is LINES and isinstance(value, list | tuple) and all(isinstance(line, str) for line in value):
        value = "\n".join(value)
    if not isinstance(value, kind.types) or isinstance(value, list) or isinstance(value, bool) != (kind is FLAG):
        shown = repr(value) if hint is None else value
        raise Usage(f"{origin}: `{shown}` is not {kind.noun}", hint=hint)
    return from_text(key, str(value), origin)


def parse(text: str, file: str) -> Config:
    """`config.toml` as values. Raises `Usage` naming the file, the table and the key."""
    import tomllib

    try:
        tables: dict[str, object] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Usage(f"`{file}` is not TOML", detail=str(error), hint=_EXAMPLE) from error
    for table in tables:
        if table not in ("defaults", "host"):
            known = "tables are `[defaults]` and `[host.NAME]`"
            raise Usage(f"unknown `{table}` in `{file}`", hint=suggest(table, ("defaults", "host")) or known)
    defaults = _table(tables.get("defaults", {}), "[defaults]", file)
    hosts = _mapping(tables.get("host", {}), "[host]", file)
    return Config(file=file, defaults=defaults, hosts={name: _host(name, hosts[name], file) for name in hosts})


def resolve(keys: Iterable[str], *, typed: Mapping[str, Value], environ: Mapping[str, str], config: Config) -> Settings:
    """The settings of one command.

    `typed` are those of the command line; of the environment and the file only `keys` are looked at.
    The host comes first, since `[host.NAME]` depends on it.
    """
    wanted = frozenset(keys)
    above = {**_variables(environ, wanted), **{key: Given(value=typed[key], origin=_option(key)) for key in typed}}
    below = _pick(config.defaults, wanted)
    host = {**below, **above}["host"].value if "host" in {**below, **above} else None
    table = config.hosts.get(host, {}) if isinstance(host, str) else {}
    return Settings(given={**below, **_pick(table, wanted), **above})


def session_options(settings: Settings, *, homes: Iterable[str] = ()) -> SessionOptions:
    """The session that these settings ask for; `homes` are names of the user's home here."""
    app, kernels = settings.text("app"), settings.text("kernels")
    directory, environment, notebook = (in_home(settings.text(key), homes) for key in ("dir", "env", "notebook"))
    return SessionOptions(
        directory=directory,
        environment=environment,
        setup=settings.lines("setup"),
        app=App(app) if app else None,
        notebook=notebook,
        port=settings.whole("port"),
        timeout=settings.number("timeout") or model.DEFAULT_TIMEOUT,
        kernels=Kernels(kernels) if kernels else None,
        keep_output=settings.flag("keep-output"),
        keep_host=settings.whole("keep-host"),
        keep_laptop=settings.whole("keep-laptop"),
        keep_hours=settings.number("keep-hours"),
    )


def in_home(path: str | None, homes: Iterable[str]) -> str | None:
    """A path on the host whose `~` the shell here took for the home here: it meant the home there.

    Where both homes have the same path this changes nothing. `//home/…` is taken as it is.
    """
    for home in homes:
        if path == home or (path or "").startswith(home + "/"):
            return "~" + (path or "")[len(home) :]
    return path


def suggest(word: str, known: Iterable[str]) -> str:
    """A "did you mean" for an unknown word, or ""."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{found[0]}`?" if found else ""


def _option(key: str) -> str:
    return "`HOST`" if key == "host" else f"`--{key}`"


def _pick(table: Mapping[str, Given], wanted: frozenset[str]) -> dict[str, Given]:
    return {key: given for key, given in table.items() if key in wanted}


def _variables(environ: Mapping[str, str], wanted: frozenset[str]) -> dict[str, Given]:
    """The settings in the environment. Empty variables are ignored."""
    texts = {key: environ[variable(key)] for key in SETTINGS if key in wanted and environ.get(variable(key))}
    origins = {key: f"`{variable(key)}` in the environment" for key in texts}
    return {key: Given(value=from_text(key, texts[key], origins[key]), origin=origins[key]) for key in texts}


def _host(name: str, table: object, file: str) -> dict[str, Given]:
    label = f"[host.{name}]"
    settings = _mapping(table, label, file)
    for key, value in settings.items():
        if isinstance(value, dict):  # [host.a.b] is `b` inside `a` to TOML
            full = ".".join((name, *_path(key, value)))
            hint = f'quote a name that contains dots: `[host."{full}"]`'
            raise Usage(f"`{key}` in `{label}` of `{file}` is a table, not a setting", hint=hint)
    if "host" in settings:
        raise Usage(f"`host` in `{label}` of `{file}`: a host's own table cannot name a host", hint="remove it")
    return _table(settings, label, file)


def _path(key: str, value: object) -> tuple[str, ...]:
    """The rest of an unquoted dotted name: the tables inside tables, down to the first setting."""
    inner = [(k, v) for k, v in value.items() if isinstance(v, dict)] if isinstance(value, dict) else []
    return (key, *_path(*inner[0])) if len(inner) == 1 else (key,)


def _mapping(value: object, label: str, file: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Usage(f"`{label}` in `{file}` is not a table", hint=_EXAMPLE)
    return value


def _table(value: object, label: str, file: str) -> dict[str, Given]:
    settings = _mapping(value, label, file)
    return {key: _given(key, settings[key], f"`{key}` in `{label}` of `{file}`") for key in settings}


def _given(key: str, value: object, origin: str) -> Given:
    if key not in SETTINGS:
        raise Usage(f"unknown {origin}", hint=suggest(key, SETTINGS) or f"keys are {', '.join(SETTINGS)}")
    return Given(value=from_value(key, value, origin, hint=SETTINGS[key].kind.toml_hint), origin=origin)
