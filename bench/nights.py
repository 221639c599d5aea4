"""The long outages of `outage`: they take as long as they are."""

from __future__ import annotations

from host import Host
from measure import Table
from outage import LONG, of


def measure(host: Host, rounds: int) -> Table:
    """Two rounds are enough where the default would be five."""
    table = of(LONG, host, min(rounds, 2))
    table.title = "Long outages, as a page sees them"
    return table
