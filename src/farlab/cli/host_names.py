"""What a shell can complete: the sessions known here and the hosts in `ssh_config`.

Rule: quick and quiet. It does not use the network, and any failure completes nothing.
"""

from __future__ import annotations

import glob
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from ..model import SessionStatus

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")


def hosts(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Hosts with a session, then those in `ssh_config`; only the former for commands that need a session."""
    known = {session.host: f"session {session.name}" for session in _sessions()}
    found = dict(known)
    if ctx.info_name in ("connect", "list") or not known:
        file = ctx.params.get("ssh_config")
        files = [Path(file)] if isinstance(file, str) else [Path.home() / ".ssh" / "config", SYSTEM_CONFIG]
        found |= {host: "ssh_config" for path in files for host in config_hosts(path) if host not in known}
    return [CompletionItem(host, help=found[host]) for host in found if host.startswith(incomplete)]


def names(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """Names of the sessions known here, on the host that was typed if one was."""
    host = ctx.params.get("host")
    fitting = {session.name for session in _sessions() if host in (None, session.host)}
    return [CompletionItem(name) for name in sorted(fitting) if name.startswith(incomplete)]


def config_hosts(file: Path) -> list[str]:
    """The names after `Host` in `file` and what it includes, without patterns, in order."""
    words = (word for found in _host_lines(file, set()) for word in found)
    return list(dict.fromkeys(word for word in words if not set(word) & set("*?!")))


def _host_lines(file: Path, seen: set[Path]) -> Iterator[list[str]]:
    """The words after each `Host`; a file that includes itself is read once."""
    seen.add(file)
    for keyword, words in _directives(file):
        if keyword == "host":
            yield words
        elif keyword == "include":
            for path in (path for word in words for path in _included(word, file)):
                if path not in seen:
                    yield from _host_lines(path, seen)


def _directives(file: Path) -> Iterator[tuple[str, list[str]]]:
    """ssh_config(5): `Keyword words` or `Keyword=words`, quotes allowed, `#` begins a comment."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines() if file.is_file() else []
    except OSError:
        return
    for line in lines:
        keyword, *rest = line.strip().replace("=", " ", 1).split(None, 1) or [""]
        if keyword and not keyword.startswith("#") and rest:
            yield keyword.lower(), _words(rest[0])


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:
        return text.split()


def _included(word: str, file: Path) -> list[Path]:
    """`Include` is relative to `~/.ssh`, or to `/etc/ssh` in the system's own file."""
    base = SYSTEM_CONFIG.parent if file.is_relative_to(SYSTEM_CONFIG.parent) else Path.home() / ".ssh"
    return [Path(path) for path in sorted(glob.glob(str(base / Path(word).expanduser())))]


def _sessions() -> tuple[SessionStatus, ...]:
    try:
        from ..client import sessions

        return sessions.sessions()
    except Exception:  # the top of a task: a shell that completes must not see a traceback
        return ()
