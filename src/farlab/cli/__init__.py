"""The command line: arguments in, one operation of `client`, one result for `text.output`. One file per command.

Rule: everything that ends a command ends here, once: an error of any kind becomes text or a JSON document and a status.
What only some commands need is imported where they need it: `--version` may take 40 ms.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from ..errors import FarlabError, Internal, Interrupted, Usage
from .group import ALIASES, COMMANDS, Farlab
from .output_mode import OutputMode, guess_output_mode


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    args = list(sys.argv[1:] if argv is None else argv)
    if "_FARLAB_COMPLETE" in os.environ:
        Farlab().main(args=args, prog_name="farlab", complete_var="_FARLAB_COMPLETE")
    mode = guess_output_mode(args, os.environ)
    survive_any_text()
    try:
        return _run(args, mode)
    except BrokenPipeError:  # `farlab logs gpu1 | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk: nothing more is printed there, also not at the end
        from ..text import output

        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        output.print_err(f"error: cannot write to the standard output: {error.strerror}")
        return 1


def _run(args: list[str], mode: OutputMode) -> int:
    try:
        with Farlab().make_context("farlab", args, obj=mode) as context:
            return int(context.command.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _fail(_usage(error, _help(args)), mode)
    except FarlabError as error:
        if error.hint == Usage.default_hint:
            error.rephrase(hint=_help(args))
        return _fail(error, mode)
    except (KeyboardInterrupt, click.Abort):
        # CPython ends by the signal, whatever our status, where it came while a text was executed, as dataclasses do
        # when they are imported; the next text that is executed makes it forget that (run_eval_code_obj)
        exec("")  # noqa: S102
        return _fail(Interrupted("interrupted"), mode)
    except Exception as error:  # the top: what arrives here is a bug, and one line says so
        if isinstance(error, OSError) and (_reader_has_gone() or _is_output_lost()):
            raise
        hint = "this is a bug in farlab; run it again with `-v` for a traceback"
        return _fail(Internal(f"{type(error).__name__}: {error}".rstrip(": "), hint=hint), mode, cause=error)


def _reader_has_gone() -> bool:
    """Whether the pipe that we print into has no reader any more: poll(2) reports it."""
    from select import POLLERR, POLLHUP, poll

    ours = poll()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            ours.register(stream, 0)
    return any(events & (POLLERR | POLLHUP) for _, events in ours.poll(0))


def _is_output_lost() -> bool:
    """Whether what was printed cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        return True
    return False


def _fail(error: FarlabError, mode: OutputMode, cause: Exception | None = None) -> int:
    from .. import advice
    from ..text import output

    error.rephrase(hint=advice.fill(error.hint, None))  # of an error that is about no session
    if mode.verbose and cause is not None:
        import traceback

        from ..sanitize import clean

        output.print_err(clean("".join(traceback.format_exception(cause)).rstrip()))
    as_json = mode.json or (not mode.is_settled and _configured_json())
    if error.message or as_json:
        output.fail(error, as_json=as_json)
    return error.exit_status


def _configured_json() -> bool:
    """Whether the configuration sets `json`, for an error that came before the settings were known."""
    from ..config import resolve
    from .context import load_config

    try:
        settings = resolve(("json",), typed={}, environ=os.environ, config=load_config(os.environ))
    except Usage:
        return False
    return settings.flag("json")


def _usage(error: click.UsageError, hint: str) -> Usage:
    """An error of click's, in our style."""
    if isinstance(error, click.NoSuchOption):
        from ..config import suggest

        path = hint.strip("`").removesuffix(" --help")
        meant = suggest(error.option_name, error.possibilities or ())
        return Usage(f"`{path}` has no option `{error.option_name}`", hint=meant or hint)
    message = error.format_message().replace("'", "`").rstrip(".")
    return Usage(message[:1].lower() + message[1:], hint=hint)


def _help(args: Sequence[str]) -> str:
    """What to type for the help of the command."""
    name = ALIASES.get(args[0], args[0]) if args else ""
    return f"`farlab {name} --help`" if name in COMMANDS else "`farlab --help`"


def survive_any_text() -> None:
    """Make stdout and stderr print any text, also a file name that is not UTF-8, or `…` where the encoding lacks it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
