"""All sensors of one keeper: each reports events and decides nothing."""

from __future__ import annotations

from collections.abc import Callable

from ...transport.base import Transport
from ..events import (
    EndpointsFound,
    HostAnswered,
    KeysChanged,
    Probe,
    ResolveEndpoints,
    StopProbing,
    StopWatchingKeys,
    Ticked,
    WatchKeys,
)
from ..timing import Timing
from .clock import Clock
from .endpoints import EndpointResolver
from .network import NetworkChanges
from .ssh_agent import SshAgentWatcher
from .tcp_probe import TcpProber

Sensed = Ticked | HostAnswered | EndpointsFound | KeysChanged
Order = Probe | StopProbing | ResolveEndpoints | WatchKeys | StopWatchingKeys


class Sensors:
    """`on_event` gets what they report, but for a changed network: of that `on_network_change` is told."""

    def __init__(
        self,
        transport: Transport,
        timing: Timing,
        on_event: Callable[[Sensed], None],
        on_network_change: Callable[[], None],
    ) -> None:
        self._transport = transport
        self.clock = Clock(timing, on_event)
        self._network = NetworkChanges(on_network_change)
        self._prober = TcpProber(on_event)
        self._resolver = EndpointResolver(transport.endpoints, on_event)
        self._keys = SshAgentWatcher(timing.keys_interval, lambda: on_event(KeysChanged()))

    def perform(self, order: Order) -> None:
        """Begin to look at something, or look no more."""
        match order:
            case Probe():
                self._prober.start(order.endpoints, order.min_interval)
            case StopProbing():
                self._prober.stop()
            case ResolveEndpoints():
                self._resolver.start()
            case WatchKeys():
                self._keys.start(self._transport.unlocked())
            case StopWatchingKeys():
                self._keys.stop()

    def stop(self) -> None:
        """Report no more."""
        self.clock.stop()
        self._network.close()
        self._prober.stop()
        self._resolver.stop()
        self._keys.stop()
