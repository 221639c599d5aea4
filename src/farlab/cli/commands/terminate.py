"""`farlab terminate`, also `farlab stop` and `farlab -t`."""

from __future__ import annotations

from ...client import sessions
from ...model import Terminated
from ..context import CommandContext
from ..options import command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab terminate gpu1", "stop the session `main` on gpu1"),
    ("farlab -t gpu1", "the same, shorter; so is `farlab stop gpu1`"),
    ("farlab terminate gpu1 --name second", "another session"),
    ("farlab terminate gpu1 --yes", "without asking"),
)


@command("host", "yes", examples=EXAMPLES)
def terminate(context: CommandContext) -> Terminated:
    """Stop the session on HOST, with its server and kernels, and its keeper on this machine.

    It lists the kernels and asks first. Without a terminal it refuses to end busy kernels, unless you give --yes.
    It touches nothing else on the host and leaves nothing behind.
    """
    target = context.target()
    with Prompter(context) as prompter:
        confirm = None if context.settings.flag("yes") else prompter.confirm
        return sessions.terminate(
            target, confirm=confirm, idle_too=prompter.has_terminal, ask=prompter.ask, tell=prompter.report
        )
