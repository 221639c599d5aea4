"""What is done about a line that is not heard: `pulse` finds out, this decides, the keeper's `maker` makes the link."""

from __future__ import annotations

import os
import time
from typing import Protocol

from ..durations import WallClockMoment, format_duration
from ..model import State, Target
from ..mux.driver import MuxDriver
from ..mux.mux import Mux
from ..transport.base import Endpoint, Transport
from .connector import Connector
from .local_state import LocalState
from .monitor import LinkMonitor
from .outages import Outages
from .states import Happened

MUCH = 16 << 10
"""Bytes not acknowledged that may hold up a heartbeat on a slow network."""
_MARK = 8
"""Bytes of a ping's mark."""
_MOST_SENT = 256
"""Pings that may come back; what is older was lost with its link."""
GREETING = 20.0
"""Seconds that an anchor may take for its first word over a link that the agent has joined."""


class MonitoredLink(Protocol):
    """What is needed of the keeper."""

    target: Target
    transport: Transport
    state: State
    line: Mux
    carrier: MuxDriver
    maker: Connector
    local_state: LocalState

    @property
    def is_linked(self) -> bool:
        """Whether a link carries the line."""

    @property
    def is_greeted(self) -> bool:
        """Whether the other end has answered over that link."""

    @property
    def was_up(self) -> bool:
        """Whether the session has ever been reached."""

    def happened(self, happened: Happened) -> None:
        """Enter the state that follows."""


class Recovery:
    """The keeper as the pulse sees it (`pulse.MonitoredLink`), and the outages of its session."""

    def __init__(self, keeper: MonitoredLink) -> None:
        self.target = keeper.target
        self.outages = Outages(keeper.local_state.log)
        self.pulse = LinkMonitor(self)
        self.needs_person = False
        """Whether another link was refused for want of a person, so that it is no use to make one by ourselves."""
        self._keeper = keeper
        self._heard = WallClockMoment()
        self._sent: dict[bytes, float] = {}
        """When each ping was sent that has not come back."""

    def linked(self) -> None:
        """A link has been joined."""
        self.needs_person = False
        self.pulse.linked()

    def answered(self, mark: bytes) -> None:
        """A ping has come back; what was not sent, or has come back already, says nothing."""
        sent = self._sent.pop(mark, None)
        if sent is None:
            return
        now, self._heard = time.monotonic(), WallClockMoment()
        self.pulse.watch.answered(now - sent, now)
        self.pulse.look()

    @property
    def last_heard(self) -> float | None:
        """Unix time of the last sign of life; None before the first."""
        return round(self._heard.unix, 3) if self.bytes_in else None

    # what the pulse needs --------------------------------------------------------------------------------

    @property
    def is_linked(self) -> bool:
        return self._keeper.is_linked

    @property
    def bytes_in(self) -> int:
        return self._keeper.carrier.heard

    @property
    def is_sending(self) -> bool:
        return self._keeper.line.held > MUCH

    @property
    def tries(self) -> int:
        return self._keeper.maker.tries

    @property
    def is_looking(self) -> bool:
        keeper = self._keeper
        return keeper.was_up and keeper.state in (State.SILENT, State.DOWN) and keeper.maker.is_slow

    def endpoints(self) -> list[Endpoint]:
        return self._keeper.transport.endpoints()

    def ping(self) -> None:
        mark = os.urandom(_MARK)
        self._sent[mark] = time.monotonic()
        if len(self._sent) > _MOST_SENT:
            del self._sent[next(iter(self._sent))]
        self._keeper.line.ping(mark)
        self._keeper.carrier.pump()

    def heard(self) -> None:
        self._heard = WallClockMoment()
        if self._keeper.state is State.SILENT:
            self._keeper.happened(Happened.HEARD if self._keeper.was_up else Happened.SERVER_STARTING)
            self._keeper.maker.rest()
            self.outages.end(time.monotonic(), "the connection is alive again")

    def silent(self, since: float) -> None:
        quiet = time.monotonic() - since
        if self._keeper.is_greeted or quiet > GREETING:
            self._go_around(since, f"no data from `{self.target.host}` for {format_duration(quiet)}")

    def cut_off(self, since: float) -> None:
        self._go_around(since, "this machine lost the address that the connection used")

    def _go_around(self, since: float, why: str) -> None:
        """Make a second link beside one that is of no use at present."""
        keeper = self._keeper
        if keeper.state in (State.UP, State.STARTING):
            keeper.happened(Happened.SILENCE)
        elif keeper.is_greeted or keeper.maker.is_wanted or self.needs_person:
            return  # that is being done, or cannot be
        if self.needs_person:
            self.outages.begin(since, f"{why}; a second connection needs you")
        else:
            self.outages.begin(since, f"{why}; opening a second connection")
            keeper.maker.want(around_master=True)

    def reachable(self, since: float) -> None:
        self._keeper.maker.reachable(since)

    def stirred(self, why: str) -> None:
        self._keeper.local_state.log(why)
        self._keeper.maker.hurry()
