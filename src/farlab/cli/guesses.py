"""What a user may have meant: a word that is no command, a host that nobody knows, no host at all.

Rule: it proposes, and what ends something is never done on a guess. Only `is_host` looks beyond this machine's files.
"""

from __future__ import annotations

import difflib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .. import saved
from ..advice import command
from ..errors import FarlabError, NoSession, Unreachable
from ..model import Target
from .host_names import SYSTEM_CONFIG, config_hosts

_SHOWN = 5
"""How many hosts a hint names."""
_LOOK_UP = 2.0
"""Seconds for a name service."""


def only_session() -> Target | None:
    """The session that a command without a host is about, if just one is known here."""
    known = saved.load_all()
    return known[0].target if len(known) == 1 else None


def known_hosts(ssh_config: str | None = None) -> list[str]:
    """The hosts of sessions known here, then those in `ssh_config`."""
    files = [Path(ssh_config)] if ssh_config else [Path.home() / ".ssh" / "config", SYSTEM_CONFIG]
    sessions = (session.host for session in saved.load_all())
    return list(dict.fromkeys([*sessions, *(host for file in files for host in config_hosts(file))]))


def named_hosts() -> str:
    """Some of them, for a hint; "" if there are none."""
    return ", ".join(f"`{host}`" for host in known_hosts()[:_SHOWN])


_TIMEOUT = 10.0
"""Seconds for `ssh -G`."""


def near(word: str, known: Iterable[str]) -> str:
    """The one of `known` that is most like `word`, or ""."""
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.65)
    return found[0] if found else ""


def is_host(word: str, ssh_config: str | None) -> bool:
    """Whether `word` is a host: known here or in `ssh_config`, or a name service has it."""
    if word in known_hosts(ssh_config) or "@" in word:
        return True
    from ..transport.ssh.config_query import ConfigQuery

    with suppress(FarlabError, UnicodeError):
        name = ConfigQuery(Target(host=word, ssh_config=ssh_config), os.environ).answer(_TIMEOUT).hostname
        return name.lower() != word.lower() or _has_address(name)
    return False


def unknown_word(word: str, rest: Sequence[str], commands: Mapping[str, str]) -> str:
    """The hint for a word that is neither one of `commands` nor a host: the whole command that was meant."""
    import shlex

    connect = command(Target(host=word), "connect")
    if meant := near(word, commands):
        return f"did you mean `{shlex.join(['farlab', commands[meant], *rest])}`?"
    if host := near(word, known_hosts()):
        return f"did you mean `{command(Target(host=host), 'connect')}`?"
    has_subject = any(not each.startswith("-") for each in rest)
    return "`farlab --help` lists the commands" if has_subject else f"to connect to a host: `{connect}`"


def better_hint(error: FarlabError, target: Target, verb: str) -> str:
    """The hint for an error of a session or host that is not there: those that there are; "" if there is none."""
    if not isinstance(error, NoSession | Unreachable):
        return ""
    known = [session.target for session in saved.load_all()]
    here = [each for each in known if each.host == target.host]
    is_unknown = isinstance(error, NoSession) or "resolve hostname" in error.detail
    same = here if isinstance(error, NoSession) else [each for each in here if each.name == target.name]
    if is_unknown and same and target not in here:  # of another name, or of another `-F`
        return _offer(same[0], verb)
    if here or not is_unknown:
        return ""
    if named := [each for each in known if each.name == target.host]:
        return _offer(named[0], verb)
    user, at, host = target.host.rpartition("@")
    hosts = known_hosts(target.ssh_config)
    meant = near(host, hosts)
    if not meant or host in hosts:
        return ""
    return f"did you mean `{command(replace(target, host=user + at + meant), verb)}`?"


def _offer(session: Target, verb: str) -> str:
    return f"`{session.name}` is a session on `{session.host}`: `{command(session, verb)}`"


def _has_address(name: str) -> bool:
    """Whether a name service has it, as far as it answers soon."""
    import socket

    found: list[object] = []

    def look_up() -> None:
        with suppress(OSError, UnicodeError):
            found.extend(socket.getaddrinfo(name, 22))

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_LOOK_UP)
    return bool(found)
