"""One call of a verb: its settings, and the values that the API wants made from them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ..advice import default_name, fill_hints
from ..config import KEYS, Config, Settings, Value, parse, resolve, wish
from ..errors import FarlabError, NoDirectory, NoEnvironment, NoKeepOutput, PortBusy, Usage
from ..model import SessionOptions, Target
from ..paths import absolute
from .output_mode import OutputMode

_MOST_CONFIG = 1 << 20
"""Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandContext:
    """The settings of one call of a verb."""

    settings: Settings
    voice: OutputMode
    words: Mapping[str, Value] = field(default_factory=dict)
    """What stood on the command line, arguments that are no settings too."""

    @property
    def host(self) -> str:
        """The host. Raises `Usage` where nobody named one."""
        host = self.settings.text("host")
        if host is None:
            hint = 'name one, as you would after `ssh`, or put `host = "…"` under `[defaults]` in the configuration'
            raise Usage("no host was given and none is configured", hint=hint)
        return host

    def target(self) -> Target:
        """Which session."""
        name = self.settings.text("name") or "main"
        return Target(host=self.host, name=name, ssh_config=self._ssh_config())

    def wish(self) -> SessionOptions:
        """What the session shall be."""
        return wish(self.settings)

    @contextmanager
    def blame(self) -> Iterator[None]:
        """An error's hint names the session, and the place a setting came from that it is about and nobody typed."""
        try:
            with fill_hints(self.session):
                yield
        except FarlabError as error:
            subject = _SUBJECTS.get(type(error))
            origin = self.settings.origin(subject) if subject else ""
            if origin and not origin.startswith("`--"):
                error.hint = "; ".join(filter(None, (error.hint, f"asked for by {origin}")))
            raise

    @property
    def session(self) -> Target | None:
        """The session that this call is about, where it can be told."""
        host, file = self.settings.text("host"), self.settings.text("ssh-config")
        config = absolute(file) if file else None
        return Target(host=host, name=self.settings.text("name") or "main", ssh_config=config) if host else None

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


def settle(keys: Iterable[str], words: Mapping[str, Value], voice: OutputMode) -> CommandContext:
    """Put the words of the command line above the environment and the configuration file."""
    typed = {key: value for key, value in words.items() if key in KEYS}
    config = load_config(os.environ)
    settings = resolve(keys, words=typed, environ=os.environ, config=config)
    untyped = resolve(("name",), words={"host": settings.text("host") or ""}, environ=os.environ, config=config)
    default_name.set(untyped.text("name") or "main")
    voice.is_settled, voice.json = True, settings.flag("json")
    voice.verbose = voice.verbose or settings.flag("verbose")
    return CommandContext(settings=settings, voice=voice, words=words)


def load_config(environ: Mapping[str, str]) -> Config:
    """`config.toml`; without one, nothing. Raises `Usage` for what cannot be understood."""
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
    """The configuration's text. Whoever names a file may name a pipe, `<(…)`, too. Raises Usage, OSError."""
    if not is_named and not file.is_file() and file.exists():
        raise Usage(f"`{file}` is not a file", hint="")
    with file.open("rb") as opened:
        content = opened.read(_MOST_CONFIG + 1)
    if len(content) > _MOST_CONFIG:
        raise Usage(f"`{file}` is too long for a configuration", hint="")
    return content.decode()


def config_file(environ: Mapping[str, str]) -> Path:
    """Where the configuration is: `FARLAB_CONFIG`, else where this system keeps such files."""
    if environ.get("FARLAB_CONFIG"):
        return Path(environ["FARLAB_CONFIG"]).expanduser().absolute()
    from platformdirs import user_config_path

    return user_config_path("farlab") / "config.toml"
