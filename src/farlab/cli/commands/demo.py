"""`farlab demo`."""

from __future__ import annotations

from ...demo.run import run
from ...model import Progress
from ...sanitize import clean_line
from ...text import output
from ...text.results import Done
from .. import browser
from ..context import CommandContext
from ..options import command

EXAMPLES = (
    ("farlab demo", "on this machine only; Ctrl-C stops it"),
    ("farlab demo --seconds 60 --no-browser", "for a minute, without a browser"),
)


@command("seconds", "no-browser", examples=EXAMPLES, common=("json", "verbose"))
def demo(context: CommandContext) -> Done:
    """Try farlab with a throw-away SSH host on this machine.

    It needs `pip install 'farlab[demo]'`, but no root, no account and no change to your `~/.ssh`, and removes
    everything when it ends.
    """
    opener = None if context.settings.flag("no-browser") else browser.open_browser
    run(seconds=context.settings.number("seconds"), open_browser=opener, tell=_print)
    return Done()


def _print(progress: Progress) -> None:
    """Each step of the demo stays on the screen."""
    output.print_err(clean_line(progress.text))
