"""`farlab attach`."""

from __future__ import annotations

import sys

from ...client import sessions
from ...errors import Internal, Usage
from ...text.results import Command
from ...transport.programs import become
from ..context import CommandContext
from ..options import command

EXAMPLES = (
    ("farlab attach gpu1", "see the server in its tmux; Ctrl-b d detaches"),
    ("farlab attach gpu1 --json", "print the command instead of running it"),
)


@command("host", examples=EXAMPLES)
def attach(context: CommandContext) -> Command:
    """Enter the tmux session on HOST, in this terminal. With --json, print the command instead."""
    argv = sessions.attach_command(context.target())
    if context.mode.json:
        return Command(command=tuple(argv))
    if not (sys.stdin is not None and sys.stdin.isatty() and sys.stdout is not None and sys.stdout.isatty()):
        raise Usage("`attach` needs a terminal", hint="`{farlab logs HOST -f}` follows the log without one")
    try:
        become(argv)
    except OSError as error:
        raise Internal(f"cannot run `{argv[0]}`", detail=str(error), hint="is OpenSSH installed?") from error
