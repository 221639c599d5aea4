"""`farlab connect`."""

from __future__ import annotations

from dataclasses import replace

from ...client import sessions
from ...model import Connected
from .. import browser, clipboard
from ..context import CommandContext
from ..options import verb
from ..prompt import Prompter

EXAMPLES = (
    ("farlab connect gpu1", "a notebook on gpu1, in this browser"),
    ("farlab connect", "on the host your configuration names"),
    ("farlab connect gpu1 --dir ~/thesis", "begin in that directory"),
    ("farlab connect gpu1 --env torch", "with the conda environment `torch`"),
    ("farlab connect gpu1 --setup 'module load cuda'", "your shell runs that first"),
    ("farlab connect gpu1 --name second", "another session beside `main`"),
    ("farlab connect gpu1 --no-browser --copy", "the address on the clipboard"),
)


@verb(
    *("host", "dir", "env", "setup", "app", "notebook", "port", "no-browser", "copy", "timeout"),
    *("kernels", "keep-output", "keep-host", "keep-laptop", "keep-hours"),
    examples=EXAMPLES,
)
def connect(call: CommandContext) -> Connected:
    """Start the notebook on HOST, or find the one that runs there, and open it in the browser.

    The address keeps working while the laptop sleeps, moves or is offline; the notebook goes on until
    `farlab terminate`. Connecting again is always safe: it finds what is there.
    """
    target, wish = call.target(), call.wish()
    with Prompter(call) as person:
        connected = sessions.connect(target, wish, ask=person.ask, tell=person.tell)
    return replace(connected, notes=(*connected.notes, *_notes(call, connected)))


def _notes(call: CommandContext, connected: Connected) -> list[str]:
    """Copy and open what is asked for; what could not be done is a note, since the notebook is there all the same."""
    troubles = [clipboard.copy(connected.url)] if call.settings.flag("copy") else []
    if not call.settings.flag("no-browser"):
        reason = browser.open_browser(connected.open_url or connected.address)
        troubles.append(f"no browser was opened: {reason}" if reason else "")
    return [trouble for trouble in troubles if trouble]
