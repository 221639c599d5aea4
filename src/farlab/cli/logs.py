"""`farlab logs`."""

from __future__ import annotations

from .. import api, render
from ..errors import Interrupted, Usage
from ..results import Lines
from .call import Call
from .options import verb
from .person import Person

EXAMPLES = (
    ("farlab logs gpu1", "the end of the server's log"),
    ("farlab logs gpu1 -f", "and what comes, until Ctrl-C"),
    ("farlab logs gpu1 --keeper", "what farlab did on this machine"),
)
LINES = 200


@verb("host", "follow", "keeper", "lines", examples=EXAMPLES)
def logs(call: Call) -> Lines | None:
    """Print the server's log on HOST or, with --keeper, that of the process which keeps it within reach."""
    target, settings = call.target(), call.settings
    if settings.flag("follow") and call.voice.json:
        raise Usage("`--follow` and `--json` do not go together for `logs`", hint="leave one of them out")
    lines = settings.whole("lines")
    with Person(call) as person:
        found = api.logs(
            target,
            follow=settings.flag("follow"),
            keeper=settings.flag("keeper"),
            lines=LINES if lines is None else lines,
            ask=person.ask,
        )
        if not settings.flag("follow"):
            return Lines(lines=tuple(found))
        try:
            render.show(Lines(lines=found))
        except KeyboardInterrupt:
            raise Interrupted("", hint="") from None  # the way to end it: nothing to say
    return None
