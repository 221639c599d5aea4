"""`farlab list`."""

from __future__ import annotations

from ...client import sessions
from ...text.results import Sessions
from ..context import CommandContext
from ..options import verb
from ..prompt import Prompter

EXAMPLES = (
    ("farlab list", "what is known here; asks nothing over the network"),
    ("farlab list --host gpu1", "what runs on gpu1, servers farlab did not start too"),
    ("farlab list --json", "for a program"),
)


@verb(examples=EXAMPLES, typed=("host", "name"))
def _list(call: CommandContext) -> Sessions:
    """Show every session known here and how it is. With --host, ask that host for all of them."""
    host, name = call.settings.text("host"), call.settings.text("name")
    if host is None:
        found = sessions.sessions()
    else:
        with Prompter(call) as person:
            found = sessions.sessions_on(call.target(), ask=person.ask, tell=person.tell)
    return Sessions(sessions=tuple(session for session in found if name in (None, session.name)), host=host)


list = _list  # noqa: A001 - the verb's name
