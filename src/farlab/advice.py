"""What a user can type next, for this very session: the only module that writes a command of `farlab` or of `ssh`.

Rule: a hint has its commands in braces, with placeholders, and does not know the session:

    "`{farlab logs HOST -f}` shows what it does"      "does `{ssh HOST true}` work?"

`fill` replaces them: `HOST` becomes the host, a `farlab` gets the session's `--name` and `-F`, an `ssh` its `-F`, all
quoted for a shell; `OTHER` is a name that is not this session's, `{config}` the file in which `ssh` looks the host up.
`command` writes a command with a user's own values. A test finds commands that are written elsewhere. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from .errors import FarlabError
from .model import DEFAULT_NAME

_PLACEHOLDER = re.compile(r"\{(config|(?:farlab|ssh|ssh-copy-id) [^{}]*)\}")
_HOST = re.compile(r"\bHOST\b")
_OTHER = re.compile(r"\bOTHER\b")
default_name: ContextVar[str] = ContextVar("default_name", default=DEFAULT_NAME)
"""The session of a command without `--name`: the user's environment or configuration may set another."""
_CONFIG = "~/.ssh/config"
_LONGEST_NAME = 32


OF_HOSTS = {
    "busy": "wait, then try again: another farlab, perhaps on another laptop, is starting or ending this session",
    "owner": "`{ssh HOST 'ls -ld ~ ~/.local ~/.local/state; ls -la /tmp | grep farlab'}` shows who can remove it",
    "limits": "`{ssh HOST 'ulimit -a; df -h ~ /tmp'}` shows the limits and free space there",
    "setup": "try the `--setup` lines one by one after `{ssh -t HOST}`",
    "opaque": "`{ssh -t HOST}`, then `jupyter lab --version`, shows the same; or name another environment with `--env`",
    "wrapper": (
        "what starts Jupyter there is a wrapper that passes on neither its arguments nor its environment: let it end "
        'with `"$@"`, or name the environment behind it with `--env`'
    ),
    "several": "`{farlab connect HOST --env EACH}`",
    "near": "did you mean `{farlab connect HOST --env EACH}`?",
    "not-python": "`--env` takes a directory with `bin/python`, or a Python; `./NAME` is relative to your home there",
    "old": "choose another environment with `--env`, or upgrade this one: `pip install --upgrade jupyterlab`",
    "login": (
        "remove what sets this in the Jupyter configuration there, such as `~/.jupyter/jupyter_server_config.py`, "
        "or the server extension that does"
    ),
    "pages": "use `--app lab`, or omit `--keep-output`",
    "node": (
        "`{farlab connect EACH}` reaches it there, if need be with a `ProxyJump` for that name in `{config}`; "
        "`{farlab connect HOST --name OTHER}` starts another session on this node"
    ),
    "newer": "choose an environment with a newer Python or JupyterLab with `--env`, or omit `--keep-output`",
}
"""Hints for errors that a host reports, by the slug that it sends: a host never writes what a user types."""


class Named(Protocol):
    """Anything that identifies a session: a `Target`, a status, a result."""

    @property
    def host(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def ssh_config(self) -> str | None: ...


def command(session: Named, name: str, *options: str) -> str:
    """`farlab NAME HOST …` for this session, with further `options`; a `--name` among them is another session's."""
    has_name = "--name" in options
    return shlex.join(["farlab", name, session.host, *_options(session, with_name=not has_name), *options])


def fill(text: str, session: Named | None) -> str:
    """`text` with its commands filled in for `session`; None: no session is known, and `HOST` stays."""
    return _PLACEHOLDER.sub(lambda found: _filled(found[1], session), text)


@contextmanager
def fill_hints(session: Named | None) -> Iterator[None]:
    """Fill in the hints of errors that are raised in this block."""
    try:
        yield
    except FarlabError as error:
        error.rephrase(hint=fill(error.hint, session))
        raise


def free_name(wanted: str, taken: Collection[str]) -> str:
    """A session's name that is not taken, as much like `wanted` as names can be."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", wanted).lstrip("-_").rstrip("-") or "second"
    numbered = (f"{plain[: _LONGEST_NAME - 4]}-{number}" for number in range(2, 1000))
    return next(name for name in (plain[:_LONGEST_NAME], *numbered) if name not in taken)


def _filled(place: str, session: Named | None) -> str:
    """One command, or the configuration file, for a session."""
    if place == "config":
        return (session and session.ssh_config) or _CONFIG
    if session is None:
        return place
    program, _, rest = place.partition(" ")
    host, config = shlex.quote(session.host), shlex.join(_config(session))
    if program == "farlab":
        with_name = not rest.startswith("list ") and "--name" not in rest
        options = _options(session, with_name=with_name)
        host = shlex.join([session.host, *options])
        if rest.startswith("connect ") and not _HOST.search(rest):  # the session by another host
            rest = " ".join((rest, *map(shlex.quote, options)))
    elif config:
        program = f"{program} {config}"
    rest = _OTHER.sub(free_name("other", {session.name}), rest)
    return f"{program} {_HOST.sub(lambda _: host, rest)}"


def _options(session: Named, *, with_name: bool) -> list[str]:
    """What distinguishes this session from others on its host."""
    name = ["--name", session.name] if with_name and session.name != default_name.get() else []
    return [*name, *_config(session)]


def _config(session: Named) -> list[str]:
    return ["-F", session.ssh_config] if session.ssh_config else []
