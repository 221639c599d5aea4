"""The user's own `ssh` as a way to a host. What costs an import is loaded late: each connect waits for this."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress

from ...errors import FarlabError, Internal
from ...model import Target
from ..base import Endpoint, LoginSources
from . import askpass, options
from .config_query import ConfigQuery, not_started


class SshTransport:
    """`resolved` is what `ssh -G` says about the host, as far as it was asked."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.resolved: options.Resolved | None = None
        self._query: ConfigQuery | None = None

    @property
    def host(self) -> str:
        return self.target.host

    def check(self) -> None:
        options.check_host(self.host)

    def prepare(self) -> None:
        self._query = ConfigQuery(self.target)

    def resolve(self, *, anew: bool = False) -> None:
        query, self._query = self._query, None
        if query is not None or self.resolved is None or anew:
            self.resolved = (query or ConfigQuery(self.target)).answer()

    @property
    def is_resolved(self) -> bool:
        return self.resolved is not None

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
            return askpass.silent_environment(os.environ)
        program = askpass.find_program()
        if program is None:
            try:
                program = askpass.write_program(os.path.dirname(ask_socket))
            except OSError as error:
                raise Internal("found no directory for the askpass program", detail=str(error)) from error
        return askpass.environment(os.environ, ask_socket, program)

    def explain(self, output: str, exit_status: int | None, *, may_ask: bool) -> FarlabError:
        from . import explain

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
            return endpoints.endpoints(self.target)
        return []

    def login_sources(self) -> LoginSources:
        if self.resolved is None:
            return LoginSources(files=login_files((), os.environ))
        return LoginSources(
            agent=agent_socket(self.resolved.identity_agent, os.environ),
            master=self.resolved.control_path,
            files=login_files(self.resolved.files, os.environ),
        )

    def attach_argv(self, command: str) -> list[str] | None:
        return options.attach_argv(self.target, command)


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
