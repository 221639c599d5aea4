"""`farlab status`."""

from __future__ import annotations

from ...client import sessions
from ...errors import Interrupted
from ...model import SessionStatus
from ...text import output
from ..context import CommandContext
from ..options import verb

EXAMPLES = (
    ("farlab status gpu1", "the session `main` on gpu1, in full"),
    ("farlab status gpu1 --follow", "now, and each change until Ctrl-C"),
    ("farlab status gpu1 --follow --json", "the same for a program: one document a line"),
)


@verb("host", "follow", examples=EXAMPLES)
def status(call: CommandContext) -> SessionStatus | None:
    """Show one session in full: its state and since when, server, kernels, traffic and outages."""
    target = call.target()
    if not call.settings.flag("follow"):
        return sessions.status(target)
    try:
        output.follow(sessions.follow_status(target), as_json=call.voice.json)
    except KeyboardInterrupt:
        raise Interrupted("interrupted" if call.voice.json else "", hint="") from None  # the way to end it
    return None
