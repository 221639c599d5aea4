"""`farlab disconnect`."""

from __future__ import annotations

from ...client import sessions
from ...model import Disconnected
from ..context import CommandContext
from ..options import verb

EXAMPLES = (
    ("farlab disconnect gpu1", "the address here ends; the notebook there goes on"),
    ("farlab connect gpu1", "and it is back, at the same address"),
)


@verb("host", examples=EXAMPLES)
def disconnect(call: CommandContext) -> Disconnected:
    """End only what runs on this machine. The session on HOST, its kernels too, goes on."""
    return sessions.disconnect(call.target())
