"""A way to a host by any command that gives a shell's standard input and output: `podman exec -i BOX`, or a test's own.

It asks nothing and has nothing to prepare. The argv is given the command for the login shell as its last argument.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from ..errors import FarlabError, Internal, LinkLost
from ..model import Target
from ..sanitize import clean
from .base import Endpoint, LoginSources
from .bootstrap import was_split
from .programs import users_environment
from .ssh.explain import explain_shell

_MAX_DETAIL = 4000
_TRANSPORT_ITSELF = 255
"""As with `ssh`: any other exit status is that of the shell."""


class CommandTransport:
    """`argv`: a list of strings, in JSON."""

    def __init__(self, target: Target, argv: str) -> None:
        self.host = target.host
        self._argv: list[str] = json.loads(argv)
        self.splits_words = False
        self._environ = users_environment(os.environ)

    def check(self) -> None:
        """Any name will do."""

    def prepare(self) -> None:
        """There is no configuration."""

    def is_prepared(self, within: float) -> bool:
        return True

    def adopt(self, environ: Mapping[str, str]) -> bool:
        before, self._environ = self._environ, users_environment(environ)
        return self._environ != before

    def outdate(self) -> None:
        """There is no configuration."""

    def resolve(self, *, anew: bool = False, timeout: float = 0.0) -> None:
        """There is no configuration."""

    def new_words(self) -> bytes:
        return b""

    def abandon(self) -> None:
        """There is no configuration."""

    @property
    def is_resolved(self) -> bool:
        return True

    def argv(
        self, command: str, *, may_ask: bool, bypass_master: bool = False, patience: float | None = None
    ) -> list[str]:
        return [*self._argv, command]

    def environment(self, ask_socket: str | None) -> dict[str, str]:
        return self._environ

    def explain(self, output: str, exit_status: int | None, *, may_ask: bool) -> FarlabError:
        self.splits_words = self.splits_words or was_split(output)
        if exit_status is not None and 0 < exit_status < _TRANSPORT_ITSELF:
            return explain_shell(output, exit_status, self.host)
        detail = clean(output[-_MAX_DETAIL:]).strip()
        return LinkLost(f"the command that leads to `{self.host}` has ended", detail=detail)

    def not_started(self, program: str, error: OSError) -> FarlabError:
        return Internal(f"cannot start `{program}`", detail=str(error))

    def endpoints(self) -> list[Endpoint]:
        return []

    def login_sources(self) -> LoginSources:
        return LoginSources()

    def attach_argv(self, command: str) -> list[str] | None:
        return None
