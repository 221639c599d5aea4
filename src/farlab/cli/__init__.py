"""The command line: words in, one call of `api`, one result for `render`. One file a verb.

Rule: everything that ends a command ends here, once: an error of any kind becomes text or a JSON document and a status.
What only some calls need is imported where they need it: `--version` has 60 ms.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from ..errors import FarlabError, Internal, Interrupted, Usage
from .group import ALIASES, VERBS, Farlab
from .output_mode import OutputMode, guess_output_mode


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    if "_FARLAB_COMPLETE" in os.environ:
        Farlab().main(args=words, prog_name="farlab", complete_var="_FARLAB_COMPLETE")
    voice = guess_output_mode(words, os.environ)
    survive_any_text()
    try:
        return _run(words, voice)
    except BrokenPipeError:  # `farlab logs gpu1 | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(words: list[str], voice: OutputMode) -> int:
    try:
        with Farlab().make_context("farlab", words, obj=voice) as context:
            return int(context.command.invoke(context) or 0)
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.UsageError as error:
        return _fail(_usage(error, _help(words)), voice)
    except FarlabError as error:
        if error.hint == Usage.default_hint:
            error.hint = _help(words)
        return _fail(error, voice)
    except (KeyboardInterrupt, click.Abort):
        return _fail(Interrupted("interrupted"), voice)
    except Exception as error:  # the top: what arrives here is a bug, and is said so in one line
        if isinstance(error, BrokenPipeError) and _reader_has_gone():
            raise
        hint = "this is a bug; the same with `-v` says where"
        return _fail(Internal(f"{type(error).__name__}: {error}".rstrip(": "), hint=hint), voice, cause=error)


def _reader_has_gone() -> bool:
    """Whether nobody reads any more what we print: of such a pipe poll(2) tells it unasked."""
    from select import POLLERR, POLLHUP, poll

    ours = poll()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            ours.register(stream, 0)
    return any(events & (POLLERR | POLLHUP) for _, events in ours.poll(0))


def _fail(error: FarlabError, voice: OutputMode, cause: Exception | None = None) -> int:
    from .. import advice
    from ..text import output

    error.hint = advice.fill(error.hint, None)  # what is about no session
    if voice.verbose and cause is not None:
        import traceback

        from ..sanitize import clean

        output.say(clean("".join(traceback.format_exception(cause)).rstrip()))
    if not voice.is_settled and not voice.json:
        voice.json = _configured_json()
    if error.message or voice.json:
        output.fail(error, as_json=voice.json)
    return error.exit_status


def _configured_json() -> bool:
    """What the configuration says of `--json`, for an error that came before the settings were known."""
    from ..config import resolve
    from .context import load_config

    try:
        settings = resolve(("json",), words={}, environ=os.environ, config=load_config(os.environ))
    except Usage:
        return False
    return settings.flag("json")


def _usage(error: click.UsageError, hint: str) -> Usage:
    """What click found wrong, in our style."""
    if isinstance(error, click.NoSuchOption):
        from ..config import nearest

        path = hint.strip("`").removesuffix(" --help")
        meant = nearest(error.option_name, error.possibilities or ())
        return Usage(f"`{path}` has no option `{error.option_name}`", hint=meant or hint)
    message = error.format_message().replace("'", "`").rstrip(".")
    return Usage(message[:1].lower() + message[1:], hint=hint)


def _help(words: Sequence[str]) -> str:
    """What to type to learn about the verb that was meant."""
    verb = ALIASES.get(words[0], words[0]) if words else ""
    return f"`farlab {verb} --help`" if verb in VERBS else "`farlab --help`"


def survive_any_text() -> None:
    """A file name that is no text, or a terminal that knows no `…`, is shown somehow and never raises."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
