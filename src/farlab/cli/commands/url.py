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
from .connect import connected

EXAMPLES = (
    ("farlab url gpu1", "the address of the notebook, with its token"),
    ("farlab url gpu1 --plain", "for VS Code, Safari, scripts"),
    ("farlab url gpu1 --copy", "and copy it to the clipboard"),
    ("farlab url gpu1 --json", "address, port and token for a program"),
)


@command("host", "plain", "copy", "timeout", examples=EXAMPLES)
def url(context: CommandContext) -> Address:
    """Print the address of a session, connecting it if need be. Anyone who has the address can use the notebook."""
    target = context.target()
    connected(context)
    session = sessions.status(target)
    if session.port is None or not session.url:
        message = f"session `{target.name}` on `{target.host}` has no address now: {STATES[session.state]}"
        raise NoSession(message, hint="`{farlab connect HOST}`")
    token = parse_qs(urlsplit(session.url).query).get("token", [""])[0]
    address = f"http://127.0.0.1:{session.port}"
    shown = address + session.url.partition(f":{session.port}")[2] if context.settings.flag("plain") else session.url
    failure = clipboard.copy(shown) if context.settings.flag("copy") else ""
    notes = (failure,) if failure else ()
    return Address(url=shown, address=address, port=session.port, token=token, notes=notes)
