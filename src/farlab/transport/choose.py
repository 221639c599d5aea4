"""Chooses the way to a host. All else knows only `base.Transport`."""

from __future__ import annotations

import os

from ..model import Target
from .base import Transport

COMMAND = "_FARLAB_COMMAND"
"""The variable with which a test has every host reached by a command: an argv in JSON (`command.CommandTransport`)."""


def for_target(target: Target) -> Transport:
    """The one place that chooses a way to a target's host."""
    if argv := os.environ.get(COMMAND):
        from .command import CommandTransport

        return CommandTransport(target, argv)
    from .ssh.transport import SshTransport

    return SshTransport(target)
