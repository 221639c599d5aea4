"""`farlab status`."""

from __future__ import annotations

from ...client import resume, sessions
from ...errors import Interrupted
from ...model import SessionStatus
from ...text import output
from ..context import CommandContext
from ..options import command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab status gpu1", "the session `main` on gpu1, in full"),
    ("farlab status gpu1 --follow", "then each change, until Ctrl-C"),
    ("farlab status gpu1 --follow --json", "for a program: one document per line"),
)


@command("host", "follow", examples=EXAMPLES)
def status(context: CommandContext) -> SessionStatus | None:
    """Show one session in full: its state, server, kernels, traffic and outages."""
    target = context.target()
    resume.resume_all()
    if not context.settings.flag("follow"):
        with Prompter(context, first="asking its keeper"):
            return sessions.status(target)
    try:
        output.follow(sessions.follow_status(target), as_json=context.mode.json)
    except KeyboardInterrupt:
        raise Interrupted("interrupted" if context.mode.json else "", hint="") from None  # the way to end it
    return None
