"""The commands by name. Only the one that runs is imported: that keeps `--version` and a wrong word quick."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..errors import Usage
from ..version import __version__

GROUPS: dict[str, dict[str, str]] = {
    "Sessions": {
        "connect": "start or find the notebook on a host, and open it here",
        "terminate": "stop the session on the host and its keeper here",
        "disconnect": "stop only the keeper here; the session keeps running",
    },
    "Inspect": {
        "list": "show all sessions known here, or all that run on a host",
        "status": "show one session in full",
        "envs": "show the environments on a host, and which one would be used",
        "logs": "print the log of the server or of the keeper",
    },
    "Open": {
        "open": "open the browser again",
        "url": "print the address",
        "attach": "enter the tmux session on the host, in this terminal",
    },
    "Other": {
        "demo": "try farlab with a throw-away SSH host on this machine",
        "completion": "print a shell completion script",
    },
}
ALIASES = {
    **dict.fromkeys(("start", "run", "up"), "connect"),
    **dict.fromkeys(("stop", "kill", "rm", "down", "end", "-t"), "terminate"),
    **dict.fromkeys(("ls", "ps"), "list"),
}
"""What other programs call the same."""
COMMANDS = {name: text for group in GROUPS.values() for name, text in group.items()}

HELP = """Your notebook on another machine, in one command, and it stays within reach.

HOST is what you would type after `ssh`. The host needs nothing but what a notebook needs anyway."""
Examples = tuple[tuple[str, str], ...]
_NARROW = 76
"""Columns below which an example and its text do not stand side by side."""


class ExampleCommand(click.Command):
    """A command whose help ends with examples."""

    examples: Examples = ()

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, add_help_option=False, **options)
        click.help_option("-h", "--help", help="show this help")(self)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            if formatter.width >= _NARROW:
                formatter.write_dl(list(self.examples), col_max=44)
                return
            for typed, text in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{typed}\n")
                with formatter.indentation():
                    formatter.write_text(text)


class Farlab(ExampleCommand, click.Group):
    """`farlab` itself."""

    examples = (
        ("farlab connect gpu1", "a notebook on gpu1, in this browser"),
        ("farlab list", "what runs"),
        ("farlab terminate gpu1", "stop it; `farlab -t gpu1` does the same"),
        ("farlab COMMAND --help", "more about one command"),
    )

    def __init__(self) -> None:
        usage = {"options_metavar": "", "subcommand_metavar": "COMMAND [OPTIONS] [HOST]"}
        super().__init__("farlab", help=HELP, context_settings={"max_content_width": 100}, **usage)
        options = {"prog_name": "farlab", "message": "%(prog)s %(version)s", "help": "print the version"}
        click.version_option(__version__, "-V", "--version", **options)(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        if args[0] == "-t":
            args = ["terminate", *args[1:]]
        elif args[0] in ("help", "version"):
            args = [*args[1:2], "--help"] if args[0] == "help" else ["--version"]
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        command = getattr(import_module(f"{__package__}.commands.{name}"), name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            from . import guesses

            if not guesses.is_host(word, _file_of(args)):
                hint = guesses.unknown_word(word, args[1:], dict(zip(COMMANDS, COMMANDS, strict=True)) | ALIASES)
                raise Usage(f"`{word}` is not a farlab command, and no host is known by that name", hint=hint)
            args = ["connect", *args]
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(name, help=COMMANDS[name]) for name in COMMANDS if name.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(commands.items()), col_max=44)


def _file_of(args: list[str]) -> str | None:
    """What the `-F` among these arguments names."""
    return next((file for option, file in pairwise(args) if option in ("-F", "--ssh-config")), None)
