"""Makes a click command of a function: `@command("host", "dir", …)`, with an option for each setting.

Rule: an option's name is its key in `config.SETTINGS`, which reads its value and describes it, so that the command
line, the environment and the file accept the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import click
from click.shell_completion import CompletionItem

from ..config import FILE, FLAG, LINES, SETTINGS, Value, from_text
from ..text import output
from .context import CommandContext, resolve_settings
from .group import ExampleCommand, Examples
from .output_mode import OutputMode

COMMON = ("name", "json", "ssh-config", "verbose")


class SettingType(click.ParamType):  # type: ignore[type-arg]  # generic only in newer versions of click
    """The value of a setting, read by `config`."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.name = key

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Value:
        origin = "`HOST`" if isinstance(param, click.Argument) else f"`--{self.key}`"
        return from_text(self.key, str(value), origin)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from . import host_names

        kind = SETTINGS[self.key].kind
        if kind is FILE:
            return [CompletionItem(incomplete, type="file")]
        if self.key == "name":
            return host_names.names(ctx, incomplete)
        if self.key == "host":
            return host_names.hosts(ctx, incomplete)
        return [CompletionItem(choice) for choice in kind.choices if choice.startswith(incomplete)]


class SettingOption(click.Option):
    """The option of a setting. Every flag has its opposite, `--no-json`, which the help does not repeat."""

    def __init__(self, key: str, *, has_default: bool = True) -> None:
        setting = SETTINGS[key]
        self.key, text = key, setting.help if has_default else setting.help.partition(" (default")[0]
        names = [*filter(None, (setting.short,)), key.replace("-", "_")]
        if setting.kind is FLAG:
            opposite = key.removeprefix("no-") if key.startswith("no-") else f"no-{key}"
            super().__init__([f"--{key}/--{opposite}", *names], default=None, help=text)
        else:
            is_many, metavar = setting.kind is LINES, setting.metavar
            names = [f"--{key}", *names]
            super().__init__(names, type=SettingType(key), multiple=is_many, metavar=metavar, help=text)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        return record and (record[0].partition(" / ")[0], record[1])


class Command(ExampleCommand):
    """One command: resolves its settings, runs, and shows what it returns."""

    def __init__(
        self,
        run: Callable[[CommandContext], object],
        keys: tuple[str, ...],
        *,
        params: list[click.Parameter],
        examples: Examples,
    ) -> None:
        self.keys, self.examples, self._run = keys, examples, run
        super().__init__(run.__name__.strip("_"), params=params, help=run.__doc__)

    def invoke(self, ctx: click.Context) -> None:
        mode = ctx.find_object(OutputMode) or OutputMode()
        context = resolve_settings(self.keys, given_values(ctx.params), mode, self.name or "")
        with context.complete_hints():
            result = self._run(context)
        if result is not None:
            output.show(result, as_json=mode.json)


def command(
    *keys: str,
    examples: Examples = (),
    cli_only: tuple[str, ...] = (),
    common: tuple[str, ...] = COMMON,
    arguments: tuple[click.Argument, ...] = (),
) -> Callable[[Callable[[CommandContext], object]], Command]:
    """Make a command of a function from `CommandContext` to a result; its docstring is the help.

    `keys` are its settings; the environment and the configuration file cannot set those in `cli_only`.
    """
    every = (*keys, *(key for key in common if key not in cli_only))
    params: list[click.Parameter] = [*arguments]
    if "host" in keys:
        params += [click.Argument(["host"], required=False, type=SettingType("host"), metavar="[HOST]")]
    options = [key for key in (*cli_only, *every) if key != "host" or key in cli_only]
    params += [SettingOption(key, has_default=key not in cli_only) for key in options]
    return lambda run: Command(run, every, params=params, examples=examples)


def given_values(params: Mapping[str, object]) -> dict[str, Value]:
    """What the command line said, by key; what it did not say is left out."""
    found: dict[str, Value] = {}
    for name, value in params.items():
        if isinstance(value, tuple):  # of a repeatable option, each of whose values may be several lines
            value = tuple(line for lines in value for line in lines)
        if isinstance(value, str | int | float | bool) or (isinstance(value, tuple) and value):
            found[name.replace("_", "-")] = value
    if "place" in found:  # `farlab list gpu1` is `farlab list --host gpu1`
        found.setdefault("host", found.pop("place"))
    return found
