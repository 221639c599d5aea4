"""`farlab demo`."""

from __future__ import annotations

from ...demo.run import run
from ...model import Progress
from ...sanitize import clean_line
from ...text import output
from ...text.results import Done
from .. import browser
from ..context import CommandContext
from ..options import verb

EXAMPLES = (
    ("farlab demo", "see it work, on this machine alone; Ctrl-C ends it"),
    ("farlab demo --seconds 60 --no-browser", "for a minute, without the browser"),
)


@verb("seconds", "no-browser", examples=EXAMPLES, common=("json", "verbose"))
def demo(call: CommandContext) -> Done:
    """Try everything against a throw-away SSH host inside this machine.

    No root, no account, no change to your `~/.ssh`. It needs `pip install 'farlab[demo]'`, and removes everything
    when it ends.
    """
    opener = None if call.settings.flag("no-browser") else browser.open_browser
    run(seconds=call.settings.number("seconds"), open_browser=opener, tell=_tell)
    return Done()


def _tell(progress: Progress) -> None:
    """A demo is a story: each of its lines stays."""
    output.say(clean_line(progress.text))
