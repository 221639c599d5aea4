"""The options of all verbs, each described once, and the two things a verb is made of: `verb` and its words.

Rule: an option's name is its key in `config.KEYS`; reading its value is `config`'s, so that the command line, the
environment and the file accept the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import click
from click.shell_completion import CompletionItem

from ..config import KEYS, Kind, Value, from_text
from ..model import App, Kernels
from ..text import output
from .context import CommandContext, settle
from .group import help_option
from .output_mode import OutputMode

COMMON = ("name", "json", "ssh-config", "verbose")
Example = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionHelp:
    """How an option looks on the command line."""

    help: str
    short: str = ""
    metavar: str = ""


WORDS: Mapping[str, OptionHelp] = {
    "name": OptionHelp(short="-n", metavar="NAME", help="which session on that host; `main` unless given"),
    "dir": OptionHelp(
        metavar="DIR", help="the directory on the host where the notebooks are; your home there unless given"
    ),
    "env": OptionHelp(
        metavar="ENV", help="the environment on the host: a conda name, or a path to an environment or Python"
    ),
    "setup": OptionHelp(
        metavar="LINE", help="a line for your shell on the host before Jupyter starts; can be given again"
    ),
    "app": OptionHelp(metavar="APP", help="lab, notebook, nbclassic or server; lab unless given"),
    "notebook": OptionHelp(metavar="PATH", help="the notebook to open first, as the host names it"),
    "port": OptionHelp(metavar="N", help="the port on this machine; the one of last time, or a free one, unless given"),
    "no-browser": OptionHelp(help="print the address and open nothing"),
    "copy": OptionHelp(help="put the address on the clipboard"),
    "timeout": OptionHelp(
        metavar="S", help="seconds to wait for the server, apart from your answers; 120 unless given"
    ),
    "kernels": OptionHelp(
        metavar="KIND", help="any, or private: those that nobody else on the host can read; any unless given"
    ),
    "keep-output": OptionHelp(
        help="install what keeps output while no tab shows it; ipywidgets end with a reload then"
    ),
    "keep-host": OptionHelp(
        metavar="SIZE", help="how much the host keeps while this machine is away; 64M unless given"
    ),
    "keep-laptop": OptionHelp(
        metavar="SIZE", help="how much this machine keeps while the host is away; 16M unless given"
    ),
    "keep-hours": OptionHelp(metavar="H", help="hours that the host keeps this machine's connections; 72 unless given"),
    "yes": OptionHelp(short="-y", help="end kernels, busy ones too, without asking"),
    "follow": OptionHelp(short="-f", help="go on, showing what is new, until Ctrl-C"),
    "keeper": OptionHelp(help="the log of what farlab runs on this machine"),
    "lines": OptionHelp(metavar="N", help="how many lines; 200 unless given"),
    "seconds": OptionHelp(metavar="N", help="end by itself after that long"),
    "json": OptionHelp(help="print one JSON document on stdout, for success and failure"),
    "ssh-config": OptionHelp(short="-F", metavar="FILE", help="as `ssh -F`: this file instead of your `~/.ssh/config`"),
    "verbose": OptionHelp(short="-v", help="say more: each step, and tracebacks of bugs"),
    "host": OptionHelp(metavar="HOST", help="ask this host, and show servers there that farlab did not start"),
}


class SettingParameter(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """The value of a setting, read by `config`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.name = key

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Value:
        origin = "`HOST`" if isinstance(param, click.Argument) else f"`--{self.key}`"
        return from_text(self.key, str(value), origin)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from . import host_names

        if KEYS[self.key] is Kind.APP:
            return [CompletionItem(app) for app in App if app.startswith(incomplete)]
        if KEYS[self.key] is Kind.KERNELS:
            return [CompletionItem(kind) for kind in Kernels if kind.startswith(incomplete)]
        if KEYS[self.key] is Kind.FILE:
            return [CompletionItem(incomplete, type="file")]
        if self.key == "name":
            return host_names.names(ctx, incomplete)
        return host_names.hosts(ctx, incomplete) if self.key == "host" else []


class Option(click.Option):
    """An option of ours. Every flag has its opposite, `--no-json`, which the help does not repeat."""

    def __init__(self, key: str) -> None:
        word, kind = WORDS[key], KEYS[key]
        self.key = key
        name = key.replace("-", "_")
        if kind is Kind.FLAG:
            opposite = key.removeprefix("no-") if key.startswith("no-") else f"no-{key}"
            flags = [*filter(None, (word.short, f"--{key}/--{opposite}")), name]
            super().__init__(flags, default=None, help=word.help)
        else:
            many = kind is Kind.LINES
            flags = [*filter(None, (word.short, f"--{key}")), name]
            super().__init__(flags, type=SettingParameter(key), multiple=many, metavar=word.metavar, help=word.help)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0].partition(" / ")[0], record[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """What a verb is made of: its settings, and the options and arguments that only the command line gives."""

    keys: tuple[str, ...]
    examples: tuple[Example, ...] = ()
    typed: tuple[str, ...] = ()
    arguments: tuple[click.Argument, ...] = ()


class Command(click.Command):
    """One verb: reads its words, runs, and shows what it returns."""

    def __init__(self, run: Callable[[CommandContext], object], shape: CommandSpec) -> None:
        self.run = run
        self.shape = shape
        host = click.Argument(["host"], required=False, type=SettingParameter("host"), metavar="[HOST]")
        arguments = [host] if "host" in shape.keys else list(shape.arguments)
        options = [Option(key) for key in (*shape.typed, *shape.keys) if key != "host" or key in shape.typed]
        super().__init__(run.__name__.strip("_"), params=[*arguments, *options], help=run.__doc__)

    def invoke(self, ctx: click.Context) -> int:
        voice = ctx.find_object(OutputMode) or OutputMode()
        call = settle(self.shape.keys, words(self.params, ctx.params), voice)
        with call.blame():
            result = self.run(call)
        if result is not None:
            output.show(result, as_json=voice.json)
        return 0

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        arguments = (param for param in self.params if isinstance(param, click.Argument))
        return [*(argument.metavar or "" for argument in arguments), "[OPTIONS]"]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        return help_option(super().get_help_option(ctx))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.shape.examples:
            with formatter.section("Examples"):
                formatter.write_dl(list(self.shape.examples), col_max=44)


def verb(
    *keys: str,
    examples: Iterable[Example] = (),
    typed: tuple[str, ...] = (),
    common: tuple[str, ...] = COMMON,
    arguments: tuple[click.Argument, ...] = (),
) -> Callable[[Callable[[CommandContext], object]], Command]:
    """Make a command of a function from `CommandContext` to a result; its docstring is the help."""
    every = (*keys, *(key for key in common if key not in typed))
    shape = CommandSpec(keys=every, examples=tuple(examples), typed=typed, arguments=arguments)
    return lambda run: Command(run, shape)


def words(params: Iterable[click.Parameter], given: Mapping[str, object]) -> dict[str, Value]:
    """What the command line said, by key; what it did not say is left out."""
    found: dict[str, Value] = {}
    for param in params:
        value = given.get(param.name or "")
        key = param.key if isinstance(param, Option) else str(param.name)
        if isinstance(value, tuple):
            value = tuple(line for lines in value for line in lines)
        if isinstance(value, str | int | float | bool) or (isinstance(value, tuple) and value):
            found[key] = value
    return found
