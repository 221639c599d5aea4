"""What one command works with: its settings, and the values that the operations take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..advice import default_name, fill_hints
from ..config import SETTINGS, Config, Settings, Value, parse, resolve, session_options
from ..errors import FarlabError, NoDirectory, NoEnvironment, NoKeepOutput, PortBusy, Usage
from ..model import DEFAULT_NAME, SessionOptions, Target
from ..paths import absolute
from .output_mode import OutputMode

_MAX_CONFIG = 1 << 20
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """The settings of one command, and how it prints."""

    settings: Settings
    mode: OutputMode
    arguments: Mapping[str, Value] = field(default_factory=dict)
    """What was on the command line, arguments that are not settings too."""

    @property
    def host(self) -> str:
        """The host. Raises `Usage` if none is given."""
        host = self.settings.text("host")
        if host is None:
            hint = 'give one, as after `ssh`, or set `host = "…"` under `[defaults]` in the configuration file'
            raise Usage("no host given, and none configured", hint=hint)
        return host

    @property
    def name(self) -> str:
        """The session's name."""
        return self.settings.text("name") or DEFAULT_NAME

    def target(self) -> Target:
        """Which session."""
        return Target(host=self.host, name=self.name, ssh_config=self._ssh_config())

    def session_options(self) -> SessionOptions:
        """What the session shall be."""
        return session_options(self.settings)

    @contextmanager
    def complete_hints(self) -> Iterator[None]:
        """Add to an error's hint which session it is about, and where a setting came from that was not typed."""
        try:
            with fill_hints(self.session):
                yield
        except FarlabError as error:
            subject = _SUBJECTS.get(type(error))
            origin = self.settings.origin(subject) if subject else ""
            if origin and not origin.startswith("`--"):
                error.rephrase(hint="; ".join(filter(None, (error.hint, f"set by {origin}"))))
            raise

    @property
    def session(self) -> Target | None:
        """The session that this command is about, if a host is known."""
        host, file = self.settings.text("host"), self.settings.text("ssh-config")
        config = absolute(file) if file else None
        return Target(host=host, name=self.name, ssh_config=config) if host else None

    def _ssh_config(self) -> str | None:
        file = self.settings.text("ssh-config")
        if file is None:
            return None
        path = Path(absolute(file))
        if not path.is_file() and not path.is_fifo() and not path.is_char_device():
            raise Usage(f"{self.settings.origin('ssh-config')}: there is no file `{path}`", hint="")
        return str(path)


_SUBJECTS: Mapping[type[FarlabError], str] = {
    NoDirectory: "dir",
    NoEnvironment: "env",
    NoKeepOutput: "keep-output",
    PortBusy: "port",
}


def resolve_settings(keys: Iterable[str], arguments: Mapping[str, Value], mode: OutputMode) -> CommandContext:
    """Put the command line above the environment and the configuration file."""
    typed = {key: value for key, value in arguments.items() if key in SETTINGS}
    config = load_config(os.environ)
    settings = resolve(keys, typed=typed, environ=os.environ, config=config)
    untyped = resolve(("name",), typed={"host": settings.text("host") or ""}, environ=os.environ, config=config)
    default_name.set(untyped.text("name") or DEFAULT_NAME)
    mode.settle(json=settings.flag("json"), verbose=settings.flag("verbose"))
    return CommandContext(settings=settings, mode=mode, arguments=arguments)


def load_config(environ: Mapping[str, str]) -> Config:
    """`config.toml`; empty if there is none. Raises `Usage` for an invalid one."""
    file = config_file(environ)
    try:
        text = _read(file, is_named=bool(environ.get("FARLAB_CONFIG")))
    except (FileNotFoundError, NotADirectoryError):
        if environ.get("FARLAB_CONFIG"):
            raise Usage(f"`FARLAB_CONFIG` in the environment: there is no file `{file}`", hint="") from None
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise Usage(f"cannot read `{file}`", detail=str(error), hint="") from error
    return parse(text, str(file))


def _read(file: Path, *, is_named: bool) -> str:
    """The configuration's text. A file that the user names may be a pipe, `<(…)`. Raises Usage, OSError."""
    if not is_named and not file.is_file() and file.exists():
        raise Usage(f"`{file}` is not a file", hint="")
    with file.open("rb") as opened:
        content = opened.read(_MAX_CONFIG + 1)
    if len(content) > _MAX_CONFIG:
        raise Usage(f"`{file}` is too long for a configuration file", hint="")
    return content.decode()


def config_file(environ: Mapping[str, str]) -> Path:
    """Where the configuration is: `FARLAB_CONFIG`, else where this system keeps such files."""
    if environ.get("FARLAB_CONFIG"):
        return Path(environ["FARLAB_CONFIG"]).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("farlab") / "config.toml"
