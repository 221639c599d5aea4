"""All sensors of one keeper: each reports events and decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...transport.base import Transport
from ..events import EndpointsFound, HostAnswered, Order, Probe, Signal, Ticked
from ..timing import Timing
from .clock import Clock
from .endpoints import EndpointResolver
from .login import LoginWatcher
from .network import NetworkChanges
from .tcp_probe import TcpProber

Sensed = Ticked | HostAnswered | EndpointsFound | Signal


class Sensors:
    """`on_event` gets what they report, but for a changed network: of that `on_network_change` is told."""

    def __init__(
        self,
        transport: Transport,
        timing: Timing,
        on_event: Callable[[Sensed], None],
        on_network_change: Callable[[], None],
    ) -> None:
        self.clock = Clock(timing, on_event)
        self._network = NetworkChanges(on_network_change)
        self._prober = TcpProber(on_event)
        self._resolver = EndpointResolver(transport.endpoints, on_event)
        self._login = LoginWatcher(
            timing.login_interval, transport.login_sources, lambda: on_event(Signal.LOGIN_CHANGED)
        )
        self.orders: Mapping[Order, Callable[[], None]] = {
            Order.STOP_PROBING: self._prober.stop,
            Order.RESOLVE_ENDPOINTS: self._resolver.start,
            Order.NOTE_LOGIN: self._login.note,
            Order.WATCH_LOGIN: self._login.start,
            Order.STOP_WATCHING_LOGIN: self._login.end_watch,
        }
        """What each does on the policy's order."""

    def probe(self, order: Probe) -> None:
        """Probe until there is an answer; nothing happens where that is being done."""
        self._prober.start(order.endpoints, order.interval)

    def stop(self) -> None:
        """Report no more."""
        self.clock.stop()
        self._network.close()
        self._prober.stop()
        self._resolver.stop()
        self._login.stop()
