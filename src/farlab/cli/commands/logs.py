"""`farlab logs`."""

from __future__ import annotations

from ...client import sessions
from ...errors import Interrupted, Usage
from ...text import output
from ...text.results import Lines
from ..context import CommandContext
from ..options import verb
from ..prompt import Prompter

EXAMPLES = (
    ("farlab logs gpu1", "the end of the server's log"),
    ("farlab logs gpu1 -f", "and what comes, until Ctrl-C"),
    ("farlab logs gpu1 --keeper", "what farlab did on this machine"),
)
LINES = 200


@verb("host", "follow", "keeper", "lines", examples=EXAMPLES)
def logs(call: CommandContext) -> Lines | None:
    """Print the server's log on HOST or, with --keeper, that of the process which keeps it within reach."""
    target, settings = call.target(), call.settings
    if settings.flag("follow") and call.voice.json:
        raise Usage("`--follow` and `--json` do not go together for `logs`", hint="leave one of them out")
    lines = settings.whole("lines")
    with Prompter(call) as person:
        found = sessions.logs(
            target,
            follow=settings.flag("follow"),
            keeper=settings.flag("keeper"),
            lines=LINES if lines is None else lines,
            ask=person.ask,
        )
        if not settings.flag("follow"):
            return Lines(lines=tuple(found))
        try:
            output.show(Lines(lines=found))
        except KeyboardInterrupt:
            raise Interrupted("", hint="") from None  # the way to end it: nothing to say
    return None
