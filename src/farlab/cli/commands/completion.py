"""`farlab completion`."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import ShellComplete, get_completion_class

from ...errors import Usage
from ...text.results import Script
from ..context import CommandContext
from ..group import Farlab
from ..options import command

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = (
    ('eval "$(farlab completion bash)"', "in `~/.bashrc`"),
    ('eval "$(farlab completion zsh)"', "in `~/.zshrc`"),
    ("farlab completion fish | source", "in `~/.config/fish/config.fish`"),
)
SHELL = click.Argument(["shell"], required=False, type=click.Choice(SHELLS), metavar="[bash|zsh|fish]")


@command(examples=EXAMPLES, common=("json", "verbose"), arguments=(SHELL,))
def completion(context: CommandContext) -> Script:
    """Print a script with which your shell completes commands, options, sessions and the hosts in `~/.ssh/config`."""
    shell = str(context.arguments.get("shell") or Path(os.environ.get("SHELL", "")).name)
    found = get_completion_class(shell)
    if shell not in SHELLS or found is None:
        raise Usage("cannot tell which shell you use", hint="`farlab completion bash`, or zsh, or fish")
    # not the class's own `source`: for bash that starts a bash to see its version
    return Script(key="script", value=ShellComplete.source(found(Farlab(), {}, "farlab", "_FARLAB_COMPLETE")))
