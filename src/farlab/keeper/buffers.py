"""How much is buffered of what cannot be sent, and for how long, for this laptop alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model import DEFAULT_KEEP_HOST, DEFAULT_KEEP_HOURS, DEFAULT_KEEP_LAPTOP
from ..protocol.mux_messages import BufferInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteBuffer:
    """How the mux fares at the host's end."""

    limit: int = 0
    """Bytes kept there at most; 0: an anchor of an older farlab does not say."""
    full_since: float | None = None
    """Unix time from which on there was no room when this laptop was away last; None: there always was."""
    full_seconds: float = 0.0

    @classmethod
    def of(cls, info: BufferInfo | None, now: float) -> RemoteBuffer:
        """Of what the anchor says; `now`: Unix time."""
        if info is None or info.full is None:
            return cls(limit=info.limit if info else 0)
        return cls(limit=info.limit, full_since=now - info.full.ago, full_seconds=info.full.values()["for"])


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferLimits:
    """Bytes kept on the host and here, and seconds that the host keeps the mux of a laptop that is away."""

    host: int = DEFAULT_KEEP_HOST
    laptop: int = DEFAULT_KEEP_LAPTOP
    seconds: float = DEFAULT_KEEP_HOURS * 3600.0

    def with_options(self, options: Mapping[str, Any]) -> BufferLimits:
        """The same, but for what the options name."""
        hours = options.get("keep_hours")
        return BufferLimits(
            host=options.get("keep_host") or self.host,
            laptop=options.get("keep_laptop") or self.laptop,
            seconds=hours * 3600.0 if hours else self.seconds,
        )

    def message(self) -> dict[str, object]:
        """What the anchor is told."""
        return {"keep": {"bytes": self.host, "seconds": self.seconds}}
