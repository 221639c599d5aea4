"""One-time words: who shows one is the user who asked for it, and needs no other login."""

from __future__ import annotations

import secrets
from collections.abc import Callable

LIFETIME = 120.0
"""Seconds for which a word is valid."""


class OneTimeWords:
    """The words that were given out and not used yet, each with the path to which it leads."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._valid: dict[str, tuple[float, str]] = {}

    def new(self, path: str) -> str:
        """A word, itself fit for a path, that leads to `path`."""
        now = self._clock()
        self._valid = {word: kept for word, kept in self._valid.items() if kept[0] > now}
        word = secrets.token_urlsafe(24)
        self._valid[word] = now + LIFETIME, path
        return word

    def is_valid(self, word: str) -> bool:
        return self._valid.get(word, (0.0, ""))[0] > self._clock()

    def use(self, word: str) -> str | None:
        """Where `word` leads, None where it is not valid. From now on it is not."""
        until, path = self._valid.pop(word, (0.0, ""))
        return path if until > self._clock() else None
