"""What the user's configuration makes of a host: one `ssh -G`, which connects to nothing and takes some 20 ms.

It is begun before it is needed, so that a keeper can load the rest of itself meanwhile.
"""

from __future__ import annotations

import subprocess

from ...errors import FarlabError, Internal
from ...model import Target
from . import options

_TIMEOUT = 30.0


class ConfigQuery:
    """An `ssh -G` on its way."""

    def __init__(self, target: Target) -> None:
        """Raises where there is no `ssh`."""
        self._host = target.host
        argv = options.query_argv(target)
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
        except OSError as error:
            raise not_started(argv[0], error) from error

    def answer(self) -> options.Resolved:
        """Wait for it. Raises what ssh's own words about the configuration mean."""
        try:
            out, err = self._process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired as error:
            self._process.kill()
            self._process.communicate()
            hint = "a program in its configuration (`Match exec`) may hang"
            raise Internal(f"`ssh -G {self._host}` did not end", hint=hint) from error
        said = err.decode("utf-8", "replace")
        if self._process.returncode:
            from . import explain

            raise explain.explain_query(said, self._process.returncode, self._host)
        return options.parse_resolved(out.decode("utf-8", "replace"), said)


def resolve(target: Target) -> options.Resolved:
    """Ask and wait."""
    return ConfigQuery(target).answer()


def not_started(program: str, error: OSError) -> FarlabError:
    """The error for an `ssh` that cannot be started. What explains it is loaded only where something is wrong."""
    from . import explain

    return explain.no_program(program, error)
