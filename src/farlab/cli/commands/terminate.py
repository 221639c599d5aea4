"""`farlab terminate`, also `farlab stop` and `farlab -t`."""

from __future__ import annotations

from ...client import sessions
from ...model import Terminated
from ..context import CommandContext
from ..options import verb
from ..prompt import Prompter

EXAMPLES = (
    ("farlab terminate gpu1", "end the session `main` on gpu1"),
    ("farlab -t gpu1", "the same, shorter; so is `farlab stop gpu1`"),
    ("farlab terminate gpu1 --name second", "another one"),
    ("farlab terminate gpu1 --yes", "without a question"),
)


@verb("host", "yes", examples=EXAMPLES)
def terminate(call: CommandContext) -> Terminated:
    """End the session on HOST: the server, its kernels, and everything that ran here for it.

    Its kernels are named and asked about first; without a terminal, none is ended that is busy. Nothing else on the
    host is touched, and nothing is left behind.
    """
    target = call.target()
    with Prompter(call) as person:
        confirm = None if call.settings.flag("yes") else person.confirm
        return sessions.terminate(target, confirm=confirm, idle_too=person.is_there, ask=person.ask, tell=person.tell)
