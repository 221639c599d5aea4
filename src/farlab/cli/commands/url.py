"""`farlab url`."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from ...client import sessions
from ...errors import NoSession
from ...text.messages import STATES
from ...text.results import Address
from .. import clipboard
from ..context import CommandContext
from ..options import command

EXAMPLES = (
    ("farlab url gpu1", "the address of the notebook, with its token"),
    ("farlab url gpu1 --copy", "and copy it to the clipboard"),
    ("farlab url gpu1 --json", "address, port and token for a program"),
)


@command("host", "copy", examples=EXAMPLES)
def url(context: CommandContext) -> Address:
    """Print the address of a connected session. It contains the token: anyone who has it can use the notebook."""
    target = context.target()
    session = sessions.status(target)
    if session.port is None or not session.url:
        message = f"session `{target.name}` on `{target.host}` has no address now: {STATES[session.state]}"
        raise NoSession(message, hint="`{farlab connect HOST}`")
    token = parse_qs(urlsplit(session.url).query).get("token", [""])[0]
    failure = clipboard.copy(session.url) if context.settings.flag("copy") else ""
    address = f"http://127.0.0.1:{session.port}"
    notes = (failure,) if failure else ()
    return Address(url=session.url, address=address, port=session.port, token=token, notes=notes)
