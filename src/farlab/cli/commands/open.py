"""`farlab open`."""

from __future__ import annotations

from ...client import sessions
from ...text.results import Opened
from .. import browser
from ..context import CommandContext
from ..options import command
from .connect import connected

EXAMPLES = (
    ("farlab open gpu1", "the notebook on gpu1 in this browser, logged in"),
    ("farlab open gpu1 --name second", "another session"),
)


@command("host", "timeout", examples=EXAMPLES)
def _open(context: CommandContext) -> Opened:
    """Open a session in the browser again, connecting it if need be."""
    target = context.target()
    connected(context)
    address = sessions.open_url(target)
    reason = browser.open_browser(address)
    notes = (f"cannot open a browser: {reason}; this address works once",) if reason else ()
    return Opened(host=target.host, name=target.name, opened=not reason, url=address, notes=notes)


open = _open  # noqa: A001 - the command's name
