"""How a call speaks: as text or JSON, briefly or at length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

YES = ("1", "true", "yes", "on")


class OutputMode:
    """How to speak. Guessed from the raw words first, corrected once the settings are known (`is_settled`)."""

    __slots__ = ("is_settled", "json", "verbose")

    def __init__(self, *, json: bool = False, verbose: bool = False, is_settled: bool = False) -> None:
        self.json = json
        self.verbose = verbose
        self.is_settled = is_settled


def guess_output_mode(words: Sequence[str], environ: Mapping[str, str]) -> OutputMode:
    """The guess, made before the words are understood, so that a usage error, too, can be a JSON document."""
    options = words[: words.index("--")] if "--" in words else words
    debug = environ.get("FARLAB_DEBUG", "") not in ("", "0")
    json = [word == "--json" for word in options if word in ("--json", "--no-json")]
    verbose = "-v" in options or "--verbose" in options or environ.get("FARLAB_VERBOSE", "").lower() in YES
    as_json = json[-1] if json else environ.get("FARLAB_JSON", "").lower() in YES
    return OutputMode(json=as_json, verbose=verbose or debug, is_settled=bool(json))
