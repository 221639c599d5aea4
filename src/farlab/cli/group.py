"""The verbs by name. Only the one that is called is imported: that keeps `--version` and a wrong word quick."""

from __future__ import annotations

from importlib import import_module

import click
from click.shell_completion import CompletionItem

from ..errors import Usage
from ..version import __version__

GROUPS: dict[str, dict[str, str]] = {
    "Begin and end": {
        "connect": "start or find the notebook on a host, and open it here",
        "terminate": "end it: the session on the host and what runs here",
        "disconnect": "end only what runs here; the session goes on",
    },
    "See": {
        "list": "every session known here, or all that run on a host",
        "status": "one session in full",
        "logs": "the server's log, or ours",
    },
    "Get there": {
        "open": "open the browser again",
        "url": "print the address",
        "attach": "enter the tmux session behind it, in this terminal",
    },
    "Learn": {
        "demo": "the whole thing against a throw-away host inside this machine",
        "completion": "print what your shell needs to complete these words",
    },
}
ALIASES = {"stop": "terminate", "-t": "terminate"}
VERBS = {verb: text for group in GROUPS.values() for verb, text in group.items()}

HELP = """Your notebook on another machine, in one command, and it stays within reach.

HOST is what you would type after `ssh`. Nothing has to be installed there but what a notebook needs anyway."""
EXAMPLES = (
    ("farlab connect gpu1", "a notebook on gpu1, in this browser"),
    ("farlab list", "what runs"),
    ("farlab terminate gpu1", "and it is gone; `farlab -t gpu1` does the same"),
)


def help_option(option: click.Option | None) -> click.Option | None:
    """click's own option, in our words."""
    if option is not None:
        option.help = "show this text"
    return option


class Farlab(click.Group):
    """`farlab` itself."""

    def __init__(self) -> None:
        settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
        super().__init__("farlab", help=HELP, context_settings=settings, subcommand_metavar="VERB [HOST] [OPTIONS]")
        options = {"prog_name": "farlab", "message": "%(prog)s %(version)s", "help": "print the version"}
        click.version_option(__version__, "-V", "--version", **options)(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        if args[0] == "-t":
            args = ["terminate", *args[1:]]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [self.subcommand_metavar]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return help_option(super().get_help_option(ctx))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in VERBS:
            return None
        command = getattr(import_module(f"{__package__}.commands.{name}"), name)
        return command if isinstance(command, click.Command) else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if self.get_command(ctx, word) is None and not word.startswith("-"):
            from ..advice import command
            from ..config import nearest
            from ..model import Target

            meant = nearest(word, (*VERBS, "stop"))
            connect = command(Target(host=word), "connect")
            hint = meant or f"a notebook on that host: `{connect}`; all verbs: `farlab --help`"
            raise Usage(f"`{word}` is not a verb of farlab", hint=hint)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        return [CompletionItem(verb, help=VERBS[verb]) for verb in VERBS if verb.startswith(incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, verbs in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl(list(verbs.items()), col_max=44)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            formatter.write_dl(list(EXAMPLES), col_max=44)
        formatter.write_paragraph()
        formatter.write_text("`farlab VERB --help` tells more about each.")
