"""What is known of the way to the host: the failure detector, the TCP probes, this machine's network. Pure: a value."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..transport.base import Endpoint
from .events import EndpointsFound
from .failure_detector import FailureDetector

_LONGEST_LOOKUP_INTERVAL = 30.0
Stretch = tuple[bool, float]
"""A silence, or an attempt: what one answered probe is good for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """Times are monotonic seconds. Each method returns what is known then."""

    detector: FailureDetector
    ticked: float
    awake_since: float
    changed: float
    """When the network changed last."""
    endpoints: tuple[Endpoint, ...] = ()
    source: str | None = None
    """The address that this machine has towards the host now."""
    linked_from: str | None = None
    """The one that the link was made from."""
    is_probing: bool = False
    answered_in: Stretch | None = None
    """The one in which the host has answered a probe."""
    is_stuck: bool = False
    """Whether a silence of less than the full length was told of a host within reach."""
    resolved: float | None = -math.inf
    """When the endpoints were looked up last; None while they are."""
    lookups: int = 0
    """How often in vain since the network changed."""

    @property
    def quiet_since(self) -> float:
        """When an outage began that is noticed now: sleep is none."""
        return max(self.detector.last_heard, self.awake_since)

    def is_lookup_due(self, now: float, interval: float) -> bool:
        """Whether the names are worth another look: ten times in that interval, then ever later."""
        wait = min(interval * 1.1 ** min(max(self.lookups - 10, 0), 50), max(interval, _LONGEST_LOOKUP_INTERVAL))
        return self.resolved is not None and now - self.resolved >= wait

    def link_joined(self, now: float, source: str | None) -> Liveness:
        """Another link has been joined, from that address."""
        return replace(
            self,
            detector=self.detector.link_joined(now),
            is_probing=False,
            answered_in=None,
            is_stuck=False,
            lookups=0,
            source=source,
            linked_from=source,
        )

    def network_changed(self, now: float) -> Liveness:
        """The network has changed, or this machine has slept: probes begin anew, in the quick rhythm."""
        detector = self.detector.network_changed(now)
        return replace(self, detector=detector, changed=now, is_probing=False, answered_in=None, lookups=0)

    def found(self, event: EndpointsFound, now: float) -> Liveness:
        """The endpoints were looked up."""
        if not event.endpoints or event.endpoints == self.endpoints:
            return replace(self, resolved=now, lookups=self.lookups + 1)
        return replace(
            self,
            resolved=now,
            lookups=0,
            is_probing=False,
            endpoints=event.endpoints,
            source=event.source,
            linked_from=self.linked_from or event.source,
        )
