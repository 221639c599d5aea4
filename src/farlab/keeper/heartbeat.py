"""Pings and their answers: only what was asked is an answer, so that a host cannot set its own round trip."""

from __future__ import annotations

import os
import time

from ..durations import WallClockMoment

_MARK_SIZE = 8
_MAX_PENDING = 256
"""Pings that may come back; what is older was lost with its link."""


class Heartbeat:
    """Marks pings, and remembers when something was heard."""

    def __init__(self) -> None:
        self._sent: dict[bytes, float] = {}
        self._heard: WallClockMoment | None = None

    def mark(self) -> bytes:
        """The mark of a ping that is sent now."""
        mark = os.urandom(_MARK_SIZE)
        self._sent[mark] = time.monotonic()
        if len(self._sent) > _MAX_PENDING:
            del self._sent[next(iter(self._sent))]
        return mark

    def answered(self, mark: bytes) -> float | None:
        """Seconds since that ping; None for what was not sent, or has come back already, which says nothing."""
        sent = self._sent.pop(mark, None)
        return None if sent is None else time.monotonic() - sent

    def note_heard(self) -> None:
        """The other end has given a sign of life."""
        self._heard = WallClockMoment()

    @property
    def last_heard(self) -> float | None:
        """Unix time of the last sign of life; None before the first."""
        return round(self._heard.unix, 3) if self._heard else None
