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

from .errors import Usage
from .model import NAME, App, Kernels, SessionOptions

Value = str | int | float | bool | tuple[str, ...]


class Kind(StrEnum):
    """What a setting may hold. The text is how an error names it."""

    HOST = "a host"
    NAME = "a session's name"
    TEXT = "a text"
    FILE = "a file"
    FLAG = "true or false"
    PORT = "a port, 1 to 65535"
    COUNT = "a whole number, 0 or more"
    SECONDS = "a number of seconds above 0"
    SIZE = "a size such as 64M, 1M or more"
    HOURS = "a number of hours above 0"
    APP = "one of lab, notebook, nbclassic, server"
    KERNELS = "one of any, private"
    LINES = "a text or a list of texts"


KEYS: Mapping[str, Kind] = {
    "host": Kind.HOST,
    "name": Kind.NAME,
    "dir": Kind.TEXT,
    "env": Kind.TEXT,
    "setup": Kind.LINES,
    "app": Kind.APP,
    "notebook": Kind.TEXT,
    "port": Kind.PORT,
    "no-browser": Kind.FLAG,
    "copy": Kind.FLAG,
    "timeout": Kind.SECONDS,
    "kernels": Kind.KERNELS,
    "keep-output": Kind.FLAG,
    "keep-host": Kind.SIZE,
    "keep-laptop": Kind.SIZE,
    "keep-hours": Kind.HOURS,
    "yes": Kind.FLAG,
    "follow": Kind.FLAG,
    "keeper": Kind.FLAG,
    "lines": Kind.COUNT,
    "seconds": Kind.SECONDS,
    "json": Kind.FLAG,
    "ssh-config": Kind.FILE,
    "verbose": Kind.FLAG,
}
"""Every setting, in the order of the help texts."""
LEAST_SIZE = 1 << 20
_MOST_SIZE, _MOST_SECONDS, _MOST_HOURS = 1 << 62, 1e9, 1e6
_SIZE = re.compile("([0-9]{1,15})([KMGT]?)(?:I?B)?", re.ASCII)
_EXAMPLE = "`docs/configuration.md` has an example"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A value and, in words that fit into an error, the place it came from."""

    value: Value
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What `config.toml` says. `file` is its path, "" where there is none."""

    file: str = ""
    defaults: Mapping[str, Setting] = field(default_factory=dict)
    hosts: Mapping[str, Mapping[str, Setting]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one call. A setting that nobody gave is None, False or ()."""

    chosen: Mapping[str, Setting] = field(default_factory=dict)

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
        """Where `key` came from; "" where nobody gave it."""
        return self.chosen[key].origin if key in self.chosen else ""

    def _value(self, key: str) -> Value | None:
        if key not in KEYS:
            raise KeyError(key)
        return self.chosen[key].value if key in self.chosen else None


def variable(key: str) -> str:
    """The environment variable of a setting: `ssh-config` → `FARLAB_SSH_CONFIG`."""
    return "FARLAB_" + key.upper().replace("-", "_")


def from_text(key: str, text: str, origin: str) -> Value:
    """The value of `key` as a person types it, on the command line or in a variable. Raises `Usage` naming `origin`."""
    kind = KEYS[key]
    try:
        return _READERS[kind](text)
    except _Refused as refused:
        raise Usage(f"{origin}: `{text}` {refused}", hint=_hint(kind)) from None
    except ValueError:
        raise Usage(f"{origin}: `{text}` is not {kind.value}", hint=_hint(kind)) from None


def from_value(key: str, value: object, origin: str) -> Value:
    """The value of `key` as a program gives it: of the right type, a `Path` for a text too. Raises `Usage`."""
    if isinstance(value, PurePath) and KEYS[key] in (Kind.TEXT, Kind.FILE):
        value = str(value)
    if isinstance(value, tuple):
        value = list(value)
    return _typed(key, value, origin, hint=None)


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
            raise Usage(f"`{table}` in `{file}` is not known", hint=nearest(table, ("defaults", "host")) or known)
    defaults = _table(tables.get("defaults", {}), "[defaults]", file)
    hosts = _mapping(tables.get("host", {}), "[host]", file)
    return Config(file=file, defaults=defaults, hosts={name: _host(name, hosts[name], file) for name in hosts})


def resolve(keys: Iterable[str], *, words: Mapping[str, Value], environ: Mapping[str, str], config: Config) -> Settings:
    """The settings of one call.

    `words` are those of the command line; of the environment and the file only `keys` are looked at.
    The host is settled first, since `[host.NAME]` depends on it.
    """
    typed = {key: Setting(value=words[key], origin=_option(key)) for key in words}
    wanted = frozenset(keys)
    outer = {**_pick(config.defaults, wanted), **_variables(environ, wanted), **typed}
    host = outer["host"].value if "host" in outer else None
    table = config.hosts.get(host, {}) if isinstance(host, str) else {}
    inner = {**_pick(config.defaults, wanted), **_pick(table, wanted), **_variables(environ, wanted), **typed}
    return Settings(chosen=inner)


def wish(settings: Settings) -> SessionOptions:
    """What these settings want a session to be."""
    app, kernels = settings.text("app"), settings.text("kernels")
    return SessionOptions(
        directory=settings.text("dir"),
        environment=settings.text("env"),
        setup=settings.lines("setup"),
        app=App(app) if app else None,
        notebook=settings.text("notebook"),
        port=settings.whole("port"),
        timeout=settings.number("timeout") or SessionOptions().timeout,
        kernels=Kernels(kernels) if kernels else None,
        keep_output=settings.flag("keep-output"),
        keep_host=settings.whole("keep-host"),
        keep_laptop=settings.whole("keep-laptop"),
        keep_hours=settings.number("keep-hours"),
    )


def nearest(word: str, known: Iterable[str]) -> str:
    """A "did you mean" for a word that is not known, or ""."""
    import difflib

    found = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean `{found[0]}`?" if found else ""


def _option(key: str) -> str:
    return "`HOST`" if key == "host" else f"`--{key}`"


def _pick(table: Mapping[str, Setting], wanted: frozenset[str]) -> dict[str, Setting]:
    return {key: setting for key, setting in table.items() if key in wanted}


def _variables(environ: Mapping[str, str], wanted: frozenset[str]) -> dict[str, Setting]:
    """What the environment says; an empty variable says nothing."""
    given = {key: environ[variable(key)] for key in KEYS if key in wanted and environ.get(variable(key))}
    origins = {key: f"`{variable(key)}` in the environment" for key in given}
    return {key: Setting(value=from_text(key, given[key], origins[key]), origin=origins[key]) for key in given}


def _host(name: str, table: object, file: str) -> dict[str, Setting]:
    label = f"[host.{name}]"
    settings = _mapping(table, label, file)
    for key, value in settings.items():
        if isinstance(value, dict):  # [host.a.b] is `b` inside `a` to TOML
            full = ".".join((name, *_path(key, value)))
            hint = f'a name with dots is quoted: `[host."{full}"]`'
            raise Usage(f"`{key}` in `{label}` of `{file}` is a table, not a setting", hint=hint)
    if "host" in settings:
        raise Usage(f"`host` in `{label}` of `{file}`: a host's own table cannot name a host", hint="leave it out")
    return _table(settings, label, file)


def _path(key: str, value: object) -> tuple[str, ...]:
    """The rest of an unquoted dotted name: the tables inside tables, down to the first setting."""
    inner = [(k, v) for k, v in value.items() if isinstance(v, dict)] if isinstance(value, dict) else []
    return (key, *_path(*inner[0])) if len(inner) == 1 else (key,)


def _mapping(value: object, label: str, file: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Usage(f"`{label}` in `{file}` is not a table", hint=_EXAMPLE)
    return value


def _table(value: object, label: str, file: str) -> dict[str, Setting]:
    settings = _mapping(value, label, file)
    return {key: _setting(key, settings[key], label, file) for key in settings}


def _setting(key: str, value: object, label: str, file: str) -> Setting:
    origin = f"`{key}` in `{label}` of `{file}`"
    if key not in KEYS:
        hint = nearest(key, KEYS) or f"keys are {', '.join(KEYS)}"
        raise Usage(f"{origin} is not known", hint=hint)
    return Setting(value=_typed(key, value, origin, hint=_hint(KEYS[key], toml=True)), origin=origin)


def _typed(key: str, value: object, origin: str, *, hint: str | None) -> Value:
    """A value that has a type, the one its kind asks for: `port = "8888"` is a mistake worth telling, with `hint`."""
    kind = KEYS[key]
    if kind is Kind.LINES and isinstance(value, list) and all(isinstance(line, str) for line in value):
        return tuple(each for line in value for each in from_text(key, line, origin))  # type: ignore[union-attr]
    if kind is Kind.FLAG and isinstance(value, bool):
        return value
    types = _TYPES.get(kind, str)
    if not isinstance(value, types) or isinstance(value, bool):
        shown = repr(value) if hint is None else value
        raise Usage(f"{origin}: `{shown}` is not {kind.value}", hint=hint)
    return from_text(key, str(value), origin)


_TYPES: Mapping[Kind, type | tuple[type, ...]] = {
    Kind.FLAG: bool,
    Kind.PORT: int,
    Kind.COUNT: int,
    Kind.SECONDS: (int, float),
    Kind.SIZE: (int, str),
    Kind.HOURS: (int, float),
}


def _hint(kind: Kind, *, toml: bool = False) -> str | None:
    if kind is Kind.NAME and not toml:
        return "letters, digits, `-` and `_`, beginning with a letter or digit, 32 at most"
    if toml:
        plain = kind in (Kind.FLAG, Kind.PORT, Kind.COUNT, Kind.SECONDS, Kind.HOURS)
        return "write it without quotes" if plain else "write it in quotes"
    return None


class _Refused(ValueError):
    """Right in shape, yet not to be used; says why."""


def _read_host(text: str) -> str:
    if text.startswith("-"):
        raise _Refused("cannot be a host: it begins with `-`")
    if not text or any(not char.isprintable() or char.isspace() for char in text):
        raise _Refused("cannot be a host")
    return text


def _read_name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise _Refused("cannot be a session's name")
    return text


def _read_text(text: str) -> str:
    if not text or "\0" in text:
        raise _Refused("cannot be used: it is empty or holds a NUL")
    text.encode("utf-8", "surrogateescape")  # a ValueError for what no system takes
    return text


def _read_flag(text: str) -> bool:
    known = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if text.lower() not in known:
        raise ValueError
    return known[text.lower()]


def _read_port(text: str) -> int:
    if not 1 <= int(text) <= 65535:
        raise ValueError
    return int(text)


def _read_count(text: str) -> int:
    if int(text) < 0:
        raise ValueError
    return int(text)


def _read_seconds(text: str) -> float:
    if not 0 < float(text) <= _MOST_SECONDS:
        raise ValueError
    return float(text)


def _read_hours(text: str) -> float:
    if not 0 < float(text) <= _MOST_HOURS:
        raise ValueError
    return float(text)


def _read_size(text: str) -> int:
    found = _SIZE.fullmatch(text.upper())
    if not found:
        raise ValueError
    size = int(found[1]) << 10 * " KMGT".index(found[2] or " ")
    if not LEAST_SIZE <= size <= _MOST_SIZE:
        raise ValueError
    return size


def _read_app(text: str) -> str:
    if text not in list(App):
        raise ValueError
    return text


def _read_kernels(text: str) -> str:
    if text not in list(Kernels):
        raise ValueError
    return text


def _read_lines(text: str) -> tuple[str, ...]:
    return tuple(_read_text(line) for line in text.splitlines() if line.strip())


_READERS: Mapping[Kind, Callable[[str], Value]] = {
    Kind.HOST: _read_host,
    Kind.NAME: _read_name,
    Kind.TEXT: _read_text,
    Kind.FILE: _read_text,
    Kind.FLAG: _read_flag,
    Kind.PORT: _read_port,
    Kind.COUNT: _read_count,
    Kind.SECONDS: _read_seconds,
    Kind.SIZE: _read_size,
    Kind.HOURS: _read_hours,
    Kind.APP: _read_app,
    Kind.KERNELS: _read_kernels,
    Kind.LINES: _read_lines,
}
