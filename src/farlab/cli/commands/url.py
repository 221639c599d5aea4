"""`farlab url`."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from ...client import sessions
from ...errors import NoSession
from ...text.messages import STATES
from ...text.results import Address
from .. import clipboard
from ..context import CommandContext
from ..options import verb

EXAMPLES = (
    ("farlab url gpu1", "the address of the notebook on gpu1, with its token"),
    ("farlab url gpu1 --copy", "and put it on the clipboard"),
    ("farlab url gpu1 --json", "address, port and token for a program"),
)


@verb("host", "copy", examples=EXAMPLES)
def url(call: CommandContext) -> Address:
    """Print the address of a session that is connected. It holds the token: who has it, has the notebook."""
    target = call.target()
    session = sessions.status(target)
    if session.port is None or not session.url:
        message = f"session `{target.name}` on `{target.host}` has no address now: {STATES[session.state]}"
        raise NoSession(message, hint="`{farlab connect HOST}`")
    token = parse_qs(urlsplit(session.url).query).get("token", [""])[0]
    trouble = clipboard.copy(session.url) if call.settings.flag("copy") else ""
    address = f"http://127.0.0.1:{session.port}"
    notes = (trouble,) if trouble else ()
    return Address(url=session.url, address=address, port=session.port, token=token, notes=notes)
