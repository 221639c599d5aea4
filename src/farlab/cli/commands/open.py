"""`farlab open`."""

from __future__ import annotations

from ...client import sessions
from ...text.results import Opened
from .. import browser
from ..context import CommandContext
from ..options import verb

EXAMPLES = (
    ("farlab open gpu1", "the notebook on gpu1 in this browser, logged in"),
    ("farlab open gpu1 --name second", "another one"),
)


@verb("host", examples=EXAMPLES)
def _open(call: CommandContext) -> Opened:
    """Open the browser again on a session that is connected."""
    target = call.target()
    address = sessions.open_url(target)
    reason = browser.open_browser(address)
    notes = (f"no browser was opened: {reason}; this address works once",) if reason else ()
    return Opened(host=target.host, name=target.name, opened=not reason, url=address, notes=notes)


open = _open  # noqa: A001 - the verb's name
