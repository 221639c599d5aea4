"""The user's own `ssh` as a way to a host. What costs an import is loaded late: each connect waits for this."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import suppress

from ...errors import FarlabError, Internal
from ...model import Target
from ..base import Endpoint, LoginSources
from ..bootstrap import was_split
from ..programs import users_environment
from . import askpass, options
from .config_query import TIMEOUT, ConfigQuery, not_started

Stamps = tuple[int, tuple[tuple[str, object], ...]]


class SshTransport:
    """`resolved` is what `ssh -G` says about the host, as far as it was asked."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.splits_words = False
        self.resolved: options.Resolved | None = None
        self._environ = users_environment(os.environ)
        self._query: ConfigQuery | None = None
        self._lock = threading.Lock()  # endpoints are looked up in one thread, links are made in another
        self._changes = 0
        self._known: Stamps | None = None
        self._asked_for: Stamps | None = None
        """By what `resolved` goes, and by what it was last asked for, with success or not."""
        self._hop: tuple[options.Resolved, tuple[str, int] | None] | None = None

    @property
    def host(self) -> str:
        return self.target.host

    def check(self) -> None:
        options.check_host(self.host)

    def adopt(self, environ: Mapping[str, str]) -> bool:
        new = users_environment(environ)
        if new == self._environ:
            return False
        self._environ = new
        self.outdate()
        return True

    def outdate(self) -> None:
        self._changes += 1

    def prepare(self) -> None:
        self._query = ConfigQuery(self.target, self._environ)

    def is_prepared(self, within: float) -> bool:
        return self._query is None or self._query.has_ended(within)

    def resolve(self, *, anew: bool = False, timeout: float = TIMEOUT) -> None:
        with self._lock:
            if self._query is None and self.is_resolved and not anew:
                return
            self._asked_for = changes, _ = self._stamps()
            self._query = self._query or ConfigQuery(self.target, self._environ)
            try:
                self.resolved = self._query.answer(timeout)
            finally:
                self._query = None
            self._known = self._asked_for = (changes, self._stamps()[1])

    def new_words(self) -> bytes:
        query = self._query
        return query.new_words() if query is not None else b""

    def abandon(self) -> None:
        if (query := self._query) is not None:
            query.abandon()

    @property
    def is_resolved(self) -> bool:
        return self.resolved is not None and self._known == self._stamps()

    def _stamps(self) -> Stamps:
        """Tell the configuration of now from that of another time, as far as it is known what it depends on."""
        usual = os.path.expanduser(self.target.ssh_config or "~/.ssh/config")
        read = self.resolved.configuration if self.resolved else ()
        # a directory of files that are included may get another; in that of the first, known_hosts changes all the time
        above = {*map(os.path.dirname, read)} - {os.path.dirname(usual)}
        files = {usual, *read, *above}
        return self._changes, tuple((path, stamp(path)) for path in sorted(files))

    def argv(
        self, command: str, *, may_ask: bool, bypass_master: bool = False, patience: float | None = None
    ) -> list[str]:
        if self.resolved is None:
            self.resolve()
        assert self.resolved is not None  # noqa: S101 - for mypy: else `resolve` has raised
        return options.link_argv(
            self.target,
            command,
            resolved=self.resolved,
            may_ask=may_ask,
            bypass_master=bypass_master,
            patience=patience,
        )

    def environment(self, ask_socket: str | None) -> dict[str, str]:
        if ask_socket is None:
            return askpass.silent_environment(self._environ)
        program = askpass.find_program()
        if program is None:
            try:
                program = askpass.write_program(os.path.dirname(ask_socket))
            except OSError as error:
                raise Internal("found no directory for the askpass program", detail=str(error)) from error
        is_old = self.resolved is not None and self.resolved.keywords.isdisjoint(options.ASKS_WITHOUT_DISPLAY)
        return askpass.environment(self._environ, ask_socket, program, needs_display=is_old)

    def explain(self, output: str, exit_status: int | None, *, may_ask: bool) -> FarlabError:
        from . import explain

        self.splits_words = self.splits_words or was_split(output)
        master = self.resolved.control_path if self.resolved else None
        is_logged_in = explain.has_logged_in(output) or (master is not None and os.path.exists(master))
        return explain.explain(
            output, exit_status, host=self.host, may_ask=may_ask, resolved=self.resolved, is_logged_in=is_logged_in
        )

    def not_started(self, program: str, error: OSError) -> FarlabError:
        return not_started(program, error)

    def endpoints(self) -> list[Endpoint]:
        from . import endpoints

        with suppress(FarlabError, OSError):
            if self._asked_for != self._stamps():  # else it is known, or what has failed would fail again
                self.resolve()
            if self.resolved is not None and (self._hop is None or self._hop[0] is not self.resolved):
                self._hop = self.resolved, endpoints.first_hop(self.target, self.resolved, self._environ)
            return endpoints.look_up(self._hop[1]) if self._hop and self._hop[1] else []
        return []

    def login_sources(self) -> LoginSources:
        if self.resolved is None:
            return LoginSources(files=login_files((), self._environ))
        return LoginSources(
            agent=agent_socket(self.resolved.identity_agent, self._environ),
            master=self.resolved.control_path,
            files=login_files(self.resolved.files, self._environ),
        )

    def attach_argv(self, command: str) -> list[str] | None:
        return options.attach_argv(self.target, command)


def stamp(path: str) -> object:
    """Tells a file from the next one there; None where there is none."""
    with suppress(OSError, ValueError):
        found = os.stat(path)
        return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
    return None


def login_files(named: tuple[str, ...], environ: Mapping[str, str]) -> tuple[str, ...]:
    """The paths of what `ssh -G` named, with what goes with each key, of the user's tickets and of `ssh` itself."""
    ticket = environ.get("KRB5CCNAME", f"/tmp/krb5cc_{os.getuid()}").removeprefix("FILE:")  # noqa: S108 - krb5's own
    paths = [os.path.expanduser(name.replace("%d", "~", 1)) for name in named]
    beside = [path + ending for path in paths for ending in (".pub", "-cert.pub")]
    path = environ.get("PATH", os.defpath)
    programs = [os.path.join(each, "ssh") for each in path.split(os.pathsep)]
    return tuple(each for each in (*paths, *beside, ticket, *programs) if os.path.isabs(each) and "%" not in each)


def agent_socket(identity_agent: str, environ: Mapping[str, str]) -> str:
    """Where the user's ssh-agent listens, of `IdentityAgent` in ssh_config(5); "" where none is used."""
    if identity_agent == "none":
        return ""
    if identity_agent in ("", "SSH_AUTH_SOCK"):
        return environ.get("SSH_AUTH_SOCK", "")
    if identity_agent.startswith("$"):
        return environ.get(identity_agent[1:].strip("{}"), "")
    return os.path.expanduser(identity_agent)
