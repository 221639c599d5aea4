"""`farlab demo`."""

from __future__ import annotations

from importlib import import_module

from .. import render
from ..errors import Internal
from ..model import Progress
from ..results import Done
from .call import Call
from .options import verb

EXAMPLES = (
    ("farlab demo", "see it work, on this machine alone; Ctrl-C ends it"),
    ("farlab demo --seconds 60 --no-browser", "for a minute, without the browser"),
)


@verb("seconds", "no-browser", examples=EXAMPLES, common=("json", "verbose"))
def demo(call: Call) -> Done:
    """Try everything against a throw-away SSH host inside this machine.

    No root, no account, no change to your `~/.ssh`. It needs `pip install 'farlab[demo]'`, and removes everything
    when it ends.
    """
    run = import_module("farlab.demo").run
    status = run(seconds=call.settings.number("seconds"), browser=not call.settings.flag("no-browser"), tell=_tell)
    if status:
        raise Internal("the demo did not work", hint="")
    return Done()


def _tell(progress: Progress) -> None:
    """A demo is a story: each of its lines stays."""
    render.say(render.clean_line(progress.text))
