"""`farlab envs`."""

from __future__ import annotations

from ...client import sessions
from ...text.results import Environments
from ..context import CommandContext
from ..options import command
from ..prompt import Prompter

EXAMPLES = (
    ("farlab envs gpu1", "which environments gpu1 has, and which one `connect` would use"),
    ("farlab envs gpu1 --dir thesis", "with those of that directory"),
    ("farlab envs gpu1 --json", "for a program"),
)


@command("host", "dir", "timeout", examples=EXAMPLES)
def envs(context: CommandContext) -> Environments:
    """Show the environments on HOST (conda, mamba, venv, uv, poetry, pyenv …): their Python, Jupyter and kernels."""
    options = context.session_options()
    with Prompter(context) as prompter:
        found, why = sessions.environments_on(
            context.target(), options.directory, ask=prompter.ask, tell=prompter.report, timeout=options.timeout
        )
    return Environments(environments=found, why=why, host=context.target().host)
