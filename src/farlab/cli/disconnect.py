"""`farlab disconnect`."""

from __future__ import annotations

from .. import api
from ..model import Disconnected
from .call import Call
from .options import verb

EXAMPLES = (
    ("farlab disconnect gpu1", "the address here ends; the notebook there goes on"),
    ("farlab connect gpu1", "and it is back, at the same address"),
)


@verb("host", examples=EXAMPLES)
def disconnect(call: Call) -> Disconnected:
    """End only what runs on this machine. The session on HOST, its kernels too, goes on."""
    return api.disconnect(call.target())
