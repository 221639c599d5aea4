"""How much is kept of what cannot be sent, and for how long. For this laptop's line alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..model import DEFAULT_KEEP_HOST, DEFAULT_KEEP_HOURS, DEFAULT_KEEP_LAPTOP, State
from ..mux.driver import MuxDriver
from ..transport.host_messages import RemoteBuffer


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferLimits:
    """Bytes kept on the host and here, and seconds that the host keeps the line of a laptop that is away."""

    host: int = DEFAULT_KEEP_HOST
    laptop: int = DEFAULT_KEEP_LAPTOP
    seconds: float = DEFAULT_KEEP_HOURS * 3600.0

    def but(self, wish: Mapping[str, Any]) -> BufferLimits:
        """The same, but for what the wish names."""
        hours = wish.get("keep_hours")
        return BufferLimits(
            host=wish.get("keep_host") or self.host,
            laptop=wish.get("keep_laptop") or self.laptop,
            seconds=hours * 3600.0 if hours else self.seconds,
        )

    def status(self, state: State, carrier: MuxDriver, far_end: RemoteBuffer) -> dict[str, Any]:
        """What `status` says of the line's two buffers."""
        return {
            "bytes_limit": self.laptop,
            # a socket that waits while all is well waits for a network that is slower than it: nothing to tell
            "full_since": None if state is State.UP else carrier.waits_since,
            "host_bytes_limit": far_end.limit,
            "host_full_since": far_end.full_since,
            "host_full_seconds": far_end.full_seconds,
        }

    def message(self) -> dict[str, object]:
        """What the anchor is told."""
        return {"keep": {"bytes": self.host, "seconds": self.seconds}}
