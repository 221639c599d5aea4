"""`farlab list`."""

from __future__ import annotations

import click

from ...client import resume, sessions
from ...text.results import Sessions
from ..context import CommandContext
from ..options import SettingType, command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab list", "sessions known here, at once"),
    ("farlab list gpu1", "all that runs on gpu1, also servers farlab did not start"),
    ("farlab list --json", "for a program"),
)


HOST = click.Argument(["place"], required=False, type=SettingType("host"), metavar="[HOST]")


@command(examples=EXAMPLES, cli_only=("host", "name"), arguments=(HOST,))
def _list(context: CommandContext) -> Sessions:
    """Show all sessions known here and their state. With HOST, ask that host for everything that runs there."""
    resume.resume_all()
    host, name = context.settings.text("host"), context.settings.text("name")
    if host is None:
        found = sessions.sessions()
    else:
        with Prompter(context) as prompter:
            found = sessions.sessions_on(context.target(), ask=prompter.ask, tell=prompter.report)
    return Sessions(sessions=tuple(session for session in found if name in (None, session.name)), host=host)


list = _list  # noqa: A001 - the command's name
