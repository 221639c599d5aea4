"""How a command prints: as text or JSON, briefly or at length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

YES = ("1", "true", "yes", "on")


class OutputMode:
    """How to print. Guessed from the raw arguments, and set once the settings are known (`is_settled`)."""

    __slots__ = ("is_settled", "json", "verbose")

    def __init__(self, *, json: bool = False, verbose: bool = False, is_settled: bool = False) -> None:
        self.json, self.verbose, self.is_settled = json, verbose, is_settled

    def settle(self, *, json: bool, verbose: bool) -> None:
        """The settings are known."""
        self.json, self.verbose, self.is_settled = json, self.verbose or verbose, True


def guess_output_mode(argv: Sequence[str], environ: Mapping[str, str]) -> OutputMode:
    """The guess, made before the arguments are parsed, so that a usage error, too, can be a JSON document."""
    options = argv[: argv.index("--")] if "--" in argv else argv
    json = [word == "--json" for word in options if word in ("--json", "--no-json")]
    verbose = "-v" in options or "--verbose" in options or environ.get("FARLAB_VERBOSE", "").lower() in YES
    as_json = json[-1] if json else environ.get("FARLAB_JSON", "").lower() in YES
    return OutputMode(json=as_json, verbose=verbose, is_settled=bool(json))
