"""What the keeper knows of its session."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from ..durations import WallClockMoment
from ..protocol.mux_messages import SessionInfo
from .buffers import RemoteBuffer


@dataclass(slots=True, kw_only=True)
class SessionFacts:
    """Only the keeper writes them."""

    session: SessionInfo = field(default_factory=SessionInfo)
    """As the anchor described it last."""
    started: float | None = None
    """Unix time at which its server started, if the anchor tells."""
    remote_buffer: RemoteBuffer = field(default_factory=RemoteBuffer)
    options: dict[str, Any] = field(default_factory=dict)
    """What the user wants it to be like, where it is started."""
    may_start: bool = True
    """Whether a session that is not there may be started: only for a user who connects."""
    reused: bool = False
    """Whether it was there already."""
    seconds: dict[str, float] = field(default_factory=dict)
    """How long the parts of the first connection took."""
    linked_at: float = 0.0
    """When the link of now, or of last, was joined; monotonic."""
    progress: dict[str, str] = field(default_factory=dict)
    """What was reported last, for commands that wait."""
    notes: tuple[str, ...] = ()
    """What a user who connects should know."""
    entered: WallClockMoment = field(default_factory=WallClockMoment)
    """When the keeper's state was entered."""

    def take_request(self, options: dict[str, Any], *, is_new: bool) -> None:
        """A user wants the session; `is_new`: another than the one that ended."""
        self.options, self.may_start = options, True
        if is_new:
            self.session, self.started, self.seconds = SessionInfo(), None, {}

    def described(self, session: SessionInfo) -> None:
        """The anchor has described it."""
        self.session = session
        self.started = None if session.age is None else round(time.time() - session.age, 1)

    def joined(self, began: float, *, reused: bool) -> None:
        """A link has been joined to the session; the handshake began then."""
        self.linked_at = time.monotonic()
        self.reused, self.may_start = reused, False
        self.seconds.setdefault("link", round(self.linked_at - began, 3))

    def reached(self) -> None:
        """Its server has answered for the first time."""
        self.seconds.setdefault("start", 0.0 if self.reused else round(time.monotonic() - self.linked_at, 3))

    def found_up(self) -> None:
        """A user who connects finds it up: nothing was waited for."""
        self.reused, self.seconds = True, {"link": 0.0, "start": 0.0}
