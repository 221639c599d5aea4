"""Words that work once and soon: whoever shows one is the person who asked for it, and needs no other login."""

from __future__ import annotations

import secrets
from collections.abc import Callable

LIFETIME = 120.0
"""Seconds a pass is good for."""


class Passes:
    """Those that were handed out and not shown yet."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def new(self) -> str:
        """Another one, for a path."""
        now = self._clock()
        self._until = {word: until for word, until in self._until.items() if until > now}
        word = secrets.token_urlsafe(24)
        self._until[word] = now + LIFETIME
        return word

    def knows(self, word: str) -> bool:
        """Whether that is one."""
        return self._until.get(word, 0.0) > self._clock()

    def take(self, word: str) -> bool:
        """Whether that is one, which it is no more."""
        return self._until.pop(word, 0.0) > self._clock()
