"""`farlab attach`."""

from __future__ import annotations

import os
import sys

from ...client import sessions
from ...errors import Internal, Usage
from ...text.results import Command
from ..context import CommandContext
from ..options import verb

EXAMPLES = (
    ("farlab attach gpu1", "see the server in its tmux; Ctrl-b d leaves it running"),
    ("farlab attach gpu1 --json", "only say which command that is"),
)


@verb("host", examples=EXAMPLES)
def attach(call: CommandContext) -> Command:
    """Enter the tmux session behind a session, in this terminal. With --json, only print the command."""
    command = sessions.attach_command(call.target())
    if call.voice.json:
        return Command(command=tuple(command))
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()):
        raise Usage("`attach` needs a terminal", hint="`{farlab logs HOST -f}` follows the server without one")
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        raise Internal(f"cannot run `{command[0]}`", detail=str(error), hint="is OpenSSH installed?") from error
