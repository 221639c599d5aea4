"""What the anchor tells of its session and of its end of the line. Pure: JSON in, values out.

Rule: it comes from the host, so nothing is taken for what it should be; what has another shape counts as not told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..model import NAME

_MOST_NAMES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A session as its anchor describes it; texts are empty where it has not."""

    state: str = ""
    """`starting`, `up` or `ended`."""
    stage: str = ""
    """What a server that starts waits for."""
    node: str = ""
    launcher: str = ""
    transport: str = ""
    app: str = ""
    server: str = ""
    """Its name and version."""
    base_url: str = ""
    token: str = ""
    directory: str = ""
    home: str = ""
    asked: str = ""
    """The directory as the person named it."""
    environment: str = ""
    pid: int | None = None
    """The server's."""
    answers: bool = True
    """Whether the server did when the anchor asked it last."""
    keep_output: bool = False
    names: tuple[str, ...] = ()
    """Of the person's sessions that this host knows."""

    @classmethod
    def of(cls, words: Mapping[str, Any]) -> Told:
        """Of the anchor's own words."""
        texts = {field.name: words.get(field.name) for field in fields(cls) if field.default == ""}
        pid = words.get("pid")
        return cls(
            **{key: text for key, text in texts.items() if isinstance(text, str)},
            pid=pid if isinstance(pid, int) else None,
            answers=words.get("answers") is not False,
            keep_output=words.get("keep_output") is True,
            names=_names(words.get("names")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FarEnd:
    """How the line fares at the host's end."""

    limit: int = 0
    """Bytes kept there at most; 0: an anchor of an older farlab does not say."""
    full_since: float | None = None
    """Unix time from which on there was no room when this laptop was away last; None: there always was."""
    full_seconds: float = 0.0

    @classmethod
    def of(cls, words: Mapping[str, Any], now: float) -> FarEnd:
        """Of the anchor's own words; `now`: Unix time."""
        far_end, full = cls(), words.get("full")
        if isinstance(words.get("limit"), int):
            far_end = replace(far_end, limit=words["limit"])
        if isinstance(full, dict) and all(isinstance(full.get(key), int | float) for key in ("ago", "for")):
            far_end = replace(far_end, full_since=now - full["ago"], full_seconds=float(full["for"]))
        return far_end


def _names(value: object) -> tuple[str, ...]:
    listed = value[:_MOST_NAMES] if isinstance(value, list) else []
    return tuple(name for name in listed if isinstance(name, str) and NAME.fullmatch(name))
