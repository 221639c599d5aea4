"""What one command works with: its settings, and the values that the operations take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..advice import default_name, fill_hints
from ..config import SETTINGS, Config, Settings, Value, parse, resolve, session_options
from ..errors import FarlabError, NoDirectory, NoEnvironment, NoKeepOutput, NoSession, PortBusy, Unreachable, Usage
from ..model import DEFAULT_NAME, SessionOptions, Target
from ..paths import absolute, homes
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
    verb: str = "connect"
    """The command's name."""

    @property
    def host(self) -> str:
        """The host. Raises `Usage` if none is given."""
        host = self.settings.text("host")
        if host is None:
            from .guesses import named_hosts

            some = f" ({found} …)" if (found := named_hosts()) else ""
            file = config_file(os.environ)
            hint = f'give one, as after `ssh`{some}, or set `host = "…"` under `[defaults]` in `{file}`'
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
        return session_options(self.settings, homes=homes())

    @contextmanager
    def complete_hints(self) -> Iterator[None]:
        """Add to an error's hint which session it is about, and where a setting came from that was not typed."""
        try:
            with fill_hints(self.session):
                yield
        except FarlabError as error:
            subject = _SUBJECTS.get(type(error))
            origin = self.settings.origin(subject) if subject else ""
            if self.session and isinstance(error, NoSession | Unreachable):
                from .guesses import better_hint

                error.rephrase(hint=better_hint(error, self.session, self.verb) or error.hint)
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


def resolve_settings(
    keys: Iterable[str], arguments: Mapping[str, Value], mode: OutputMode, verb: str = "connect"
) -> CommandContext:
    """Put the command line above the environment and the configuration file.

    Where none of them has a host, it is that of the only session known here.
    """
    typed = {key: value for key, value in arguments.items() if key in SETTINGS}
    config = load_config(os.environ)
    settings = resolve(keys, typed=typed, environ=os.environ, config=config)
    if "host" in keys and settings.text("host") is None:
        typed = _of_only_session(settings) | typed
        settings = resolve(keys, typed=typed, environ=os.environ, config=config)
    untyped = resolve(("name",), typed={"host": settings.text("host") or ""}, environ=os.environ, config=config)
    default_name.set(untyped.text("name") or DEFAULT_NAME)
    mode.settle(json=settings.flag("json"), verbose=settings.flag("verbose"))
    return CommandContext(settings=settings, mode=mode, arguments=arguments, verb=verb)


def _of_only_session(settings: Settings) -> dict[str, Value]:
    """What the only session known here says about a host, a name and a file of ssh's that were not given."""
    from .guesses import only_session

    only, file = only_session(), settings.text("ssh-config")
    if only is None or (file and absolute(file) != only.ssh_config):
        return {}
    found = {"host": only.host, "name": settings.text("name") or only.name, "ssh-config": only.ssh_config}
    return {key: value for key, value in found.items() if value}


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
