"""`farlab disconnect`."""

from __future__ import annotations

from ...client import sessions
from ...model import Disconnected
from ..context import CommandContext
from ..options import command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab disconnect gpu1", "the address here goes away; the notebook keeps running"),
    ("farlab connect gpu1", "and it is back, at the same address"),
)


@command("host", examples=EXAMPLES)
def disconnect(context: CommandContext) -> Disconnected:
    """Stop only the keeper on this machine. The session on HOST keeps running, with its kernels."""
    with Prompter(context, first="disconnecting"):
        return sessions.disconnect(context.target())
