"""Cuts the agent's frames out of what comes on a link's standard output. Pure.

Everything that comes from the host is bounded and checked; what start-up files print before our marker is noise, kept
only to explain a failure.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from ..errors import LinkLost

MAX_NOISE = 1 << 20
"""Bytes of start-up files' output before a host is taken not to be ours."""
MAX_FRAME = 64 << 10
"""Bytes of one frame, unless the caller expects more."""
MAX_KEPT = 64 << 10
"""Bytes of noise that are kept."""
_HEAD = 16
_QUIET = "`{ssh HOST true}` should print next to nothing and end; remove what start-up files there print"


def mark(nonce: str) -> bytes:
    """What each frame, and each request, of a link begins with."""
    return f"\n{nonce}:".encode()


class AgentFrames:
    """`feed` what has come, take frames by `next`, and at the end the `rest`, which is the mux's."""

    def __init__(self, nonce: str, host: str, max_frame: int) -> None:
        self._mark, self._host, self._max_frame = mark(nonce), host, max_frame
        self._buffer = bytearray()
        self._searched = 0
        """Where in the buffer a marker may begin at the earliest."""
        self._noise = b""
        self.has_begun = False
        """Whether the beginning of a frame has come."""

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> dict[str, Any] | None:
        """The next frame, None while it is incomplete. Raises LinkLost for what no agent sends."""
        at = self._buffer.find(self._mark, self._searched)
        if at < 0:
            self._searched = max(0, len(self._buffer) - len(self._mark))
            if len(self._buffer) > MAX_NOISE:
                message = f"start-up files on `{self._host}` print more than 1 MiB before farlab's agent answers"
                raise LinkLost(message, detail=self._buffer[-500:].decode("utf-8", "replace"), hint=_QUIET)
            return None
        self._searched, self.has_begun = at, True
        body_at = at + len(self._mark) + _HEAD
        if len(self._buffer) < body_at:
            return None
        size, check = self._head(bytes(self._buffer[body_at - _HEAD : body_at]))
        if len(self._buffer) < body_at + size:
            return None
        self._noise = (self._noise + bytes(self._buffer[:at]))[-MAX_KEPT:]
        body = bytes(self._buffer[body_at : body_at + size])
        del self._buffer[: body_at + size]
        self._searched = 0
        return self._parsed(body, check)

    def _head(self, head: bytes) -> tuple[int, int]:
        """Length and check of the body."""
        try:
            size, check = int(head[:8], 16), int(head[8:], 16)
        except ValueError:
            raise self.garbled() from None
        if not 0 <= size <= self._max_frame:
            raise self.garbled()
        return size, check

    def _parsed(self, body: bytes, check: int) -> dict[str, Any]:
        if zlib.crc32(body) != check:
            raise self.garbled()
        try:
            frame = json.loads(body)
        except (ValueError, RecursionError):
            frame = None
        if not isinstance(frame, dict):
            raise self.garbled()
        return frame

    def garbled(self) -> LinkLost:
        """The error for what no agent sends, or what was printed into what one sent."""
        return LinkLost(f"`{self._host}` sent something that farlab's agent does not send")

    def take_rest(self) -> bytes:
        """What came behind the last frame."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        self._searched = 0
        return rest

    @property
    def noise(self) -> bytes:
        """The end of what was no frame."""
        return self._noise + bytes(self._buffer[-MAX_KEPT:])
