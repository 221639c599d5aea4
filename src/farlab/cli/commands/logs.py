"""`farlab logs`."""

from __future__ import annotations

from ...client import sessions
from ...errors import Interrupted, Usage
from ...model import DEFAULT_LOG_LINES
from ...text import output
from ...text.results import Lines
from ..context import CommandContext
from ..options import command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab logs gpu1", "the end of the server's log"),
    ("farlab logs gpu1 -f", "then new lines, until Ctrl-C"),
    ("farlab logs gpu1 --keeper", "what farlab did on this machine"),
)


@command("host", "follow", "keeper", "lines", examples=EXAMPLES)
def logs(context: CommandContext) -> Lines | None:
    """Print the log of the server on HOST or, with --keeper, that of the keeper on this machine."""
    target, settings = context.target(), context.settings
    if settings.flag("follow") and context.mode.json:
        raise Usage("`logs` cannot combine `--follow` and `--json`", hint="omit one of them")
    lines = settings.whole("lines")
    with Prompter(context, first="" if settings.flag("keeper") else "connecting") as prompter:
        found = sessions.logs(
            target,
            follow=settings.flag("follow"),
            keeper=settings.flag("keeper"),
            lines=DEFAULT_LOG_LINES if lines is None else lines,
            ask=prompter.ask,
        )
        if not settings.flag("follow"):
            return Lines(lines=tuple(found))
        try:
            output.show(Lines(lines=prompter.until_first(found)))
        except KeyboardInterrupt:
            raise Interrupted("", hint="") from None  # the normal end: nothing to report
    return None
