"""`farlab connect`."""

from __future__ import annotations

from dataclasses import replace

from ...client import resume, sessions
from ...model import Connected
from .. import browser, clipboard
from ..context import CommandContext
from ..options import command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab connect gpu1", "a notebook on gpu1, in this browser"),
    ("farlab connect", "on the host your configuration names"),
    ("farlab connect gpu1 --dir ~/thesis", "with that working directory"),
    ("farlab connect gpu1 --env torch", "with the conda environment `torch`"),
    ("farlab connect gpu1 --setup 'module load cuda'", "run that command first"),
    ("farlab connect gpu1 --name second", "a second session beside `main`"),
    ("farlab connect gpu1 --no-browser --copy", "the address on the clipboard"),
)


@command(
    *("host", "dir", "env", "setup", "app", "notebook", "port", "no-browser", "copy", "timeout"),
    *("kernels", "keep-output", "keep-host", "keep-laptop", "keep-hours"),
    examples=EXAMPLES,
)
def connect(context: CommandContext) -> Connected:
    """Start a notebook on HOST, or find the one that runs there, and open it in the browser.

    The address keeps working after this machine sleeps, changes networks or loses its connection. The notebook runs
    until `farlab terminate`. Connecting again is always safe: it finds the running session.
    """
    found = _connect(context)
    found = replace(found, notes=(*found.notes, *_notes(context, found)))
    resume.resume_all()
    return found


def connected(context: CommandContext) -> None:
    """Have the session connected, for a command that needs its address."""
    if not sessions.is_connected(context.target()):
        _connect(context)
    resume.resume_all()


def _connect(context: CommandContext) -> Connected:
    target, options = context.target(), context.session_options()
    with Prompter(context) as prompter:
        return sessions.connect(target, options, ask=prompter.ask, tell=prompter.report)


def _notes(context: CommandContext, connected: Connected) -> list[str]:
    """Copy the address and open the browser; a failure is only a note, since the notebook runs anyway."""
    failures = [clipboard.copy(connected.url)] if context.settings.flag("copy") else []
    if not context.settings.flag("no-browser"):
        reason = browser.open_browser(connected.open_url or connected.address)
        failures.append(f"cannot open a browser: {reason}" if reason else "")
    return [failure for failure in failures if failure]
