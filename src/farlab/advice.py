"""What a person can type next, for this very session: the one place that writes a command of `farlab` or of `ssh`.

Rule: whoever advises writes a command in braces, with its places open, and knows no session:

    "`{farlab logs HOST -f}` shows what it does"      "does `{ssh HOST true}` work?"

`fill` closes them: `HOST` becomes the host, a `farlab` gets the session's `--name` and `-F`, an `ssh` its `-F`, all of
it quoted for a shell; `OTHER` is a name that is not this session's, `{config}` the file in which `ssh` looks the host
up. Where words of a person's belong into the command, `command` writes it at once. A test finds commands that are
written anywhere else. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from .errors import FarlabError

_PLACE = re.compile(r"\{(config|(?:farlab|ssh|ssh-copy-id) [^{}]*)\}")
_HOST = re.compile(r"\bHOST\b")
_OTHER = re.compile(r"\bOTHER\b")
default_name: ContextVar[str] = ContextVar("usual_name", default="main")
"""The session that a command means which names none: the person's environment or configuration may say another."""
_CONFIG = "~/.ssh/config"
_LONGEST_NAME = 32


OF_HOSTS = {
    "busy": "wait, then the same again: another farlab, perhaps another laptop's, starts or ends this session just now",
    "owner": "`{ssh HOST 'ls -ld ~ ~/.local ~/.local/state; ls -la /tmp | grep farlab'}` shows who can remove it",
    "limits": "`{ssh HOST 'ulimit -a; df -h ~ /tmp'}` shows what may be in the way",
    "setup": "try the `--setup` lines one by one after `{ssh -t HOST}`",
    "opaque": "name the Python or the environment behind it with `--env`",
    "not-python": "`--env` names a directory with `bin/python` in it, or a Python; `./NAME` begins at your home there",
    "old": "name another environment with `--env`, or upgrade this one there: `pip install --upgrade jupyterlab`",
    "login": (
        "take out what changes this in the Jupyter configuration there, such as `~/.jupyter/jupyter_server_config.py`, "
        "or the server extension that does"
    ),
    "pages": "take `--app lab`, or leave `--keep-output` out",
    "newer": "name an environment with a newer Python or JupyterLab with `--env`, or leave `--keep-output` out",
}
"""Hints that a host gives for errors of ours, by the word that it says: what to type is never in a host's own words."""


class Named(Protocol):
    """Whatever says which session it is about: a `Target`, a status, a result."""

    @property
    def host(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def ssh_config(self) -> str | None: ...


def command(session: Named, verb: str, *words: str) -> str:
    """`farlab VERB HOST …` for this session; `words` are further options. A `--name` among them names another one."""
    is_other = "--name" in words
    named = [session.host, *_options(session, is_named=not is_other), *words]
    return shlex.join(["farlab", verb, *named])


def fill(text: str, session: Named | None) -> str:
    """`text` with its commands as they can be typed for `session`; None: no session is known, `HOST` stays."""
    return _PLACE.sub(lambda place: _typed(place[1], session), text)


@contextmanager
def fill_hints(session: Named | None) -> Iterator[None]:
    """What is raised meanwhile can be typed: the hint names this session from here on."""
    try:
        yield
    except FarlabError as error:
        error.hint = fill(error.hint, session)
        raise


def free_name(wanted: str, taken: Collection[str]) -> str:
    """A session's name that is not taken, as much like `wanted` as names can be."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).lstrip("-_").rstrip("-") or "second"
    numbered = (f"{plain[: _LONGEST_NAME - 4]}-{number}" for number in range(2, 1000))
    return next(name for name in (plain[:_LONGEST_NAME], *numbered) if name not in taken)


def _typed(place: str, session: Named | None) -> str:
    """One command, or the configuration's name, for a session."""
    if place == "config":
        return (session and session.ssh_config) or _CONFIG
    if session is None:
        return place
    program, _, rest = place.partition(" ")
    host, config = shlex.quote(session.host), shlex.join(_config(session))
    if program == "farlab":
        is_named = not rest.startswith("list ") and "--name" not in rest
        host = shlex.join([session.host, *_options(session, is_named=is_named)])
    elif config:
        program = f"{program} {config}"
    words = _OTHER.sub(free_name("other", {session.name}), rest)
    return f"{program} {_HOST.sub(lambda _: host, words)}"


def _options(session: Named, *, is_named: bool) -> list[str]:
    """What tells this session from others on its host."""
    name = ["--name", session.name] if is_named and session.name != default_name.get() else []
    return [*name, *_config(session)]


def _config(session: Named) -> list[str]:
    return ["-F", session.ssh_config] if session.ssh_config else []
