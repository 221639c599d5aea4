"""Every time constant of the keeper, as one value: seconds, unless it is said otherwise."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from typing import Any

_MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long things may take. Tests hand in shorter ones (`FARLAB_TIMING`)."""

    # whether the other end is alive: failure_detector.py
    heartbeat: float = 3.0
    """Between two pings."""
    silence: float = 8.0
    """Without a byte, that mean silence whatever else is known."""
    suspect_after: float = 1.5
    """That an answer may take, beside the round trips, before it is missed."""
    stuck_after: float = 4.0
    """Of silence, that are enough where the host is known to be reachable."""
    network_change_grace: float = 0.25
    """That an answer may take, beside the round trips, where the network has just changed."""
    overdue_grace: float = 0.05
    """The same where a ping was open for longer than that: it is lost, and what is sent after it waits behind it."""

    # how often it is looked at, and what counts
    tick: float = 1.0
    suspecting_tick: float = 0.1
    sleep_threshold: float = 5.0
    """By which the clocks must have parted, or a tick be late, to mean that this machine has slept."""
    min_change_interval: float = 5.0
    """Between two changes of the network that count, where it cannot be seen whether they concern us."""
    resolve_interval: float = 3.0
    """Between two look-ups of where the host is."""

    login_interval: float = 3.0
    """Between two looks at what a login takes from this machine."""

    # links: policy.py
    backoff: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0)
    """Before each attempt, by how many in a row have failed; the last for ever."""
    refused_pauses: tuple[float, ...] = (1.0, 3.0, 8.0, 20.0, 15.0, 35.0, 30.0, 30.0, 30.0, 30.0, 30.0, 620.0)
    """After each connection in a row that the host refused; the last half for ever: refusals.py."""
    quiet_after: tuple[float, ...] = (600.0, 3600.0)
    """After which nothing at all has come back for so long that it may be a firewall which drops what we send …"""
    silences: tuple[float, ...] = (65.0, 620.0)
    """… so that for so long nothing is sent."""
    probe_intervals: tuple[float, ...] = (0.1, 1.0, 5.0)
    """Between two TCP probes, before the first silence, after it, and after the second."""
    login_pauses: tuple[float, ...] = (60.0, 240.0, 600.0, 3600.0)
    """After each login in a row that was refused and had passed with nobody there before: refused_login.py."""
    host_key_pause: float = 600.0
    """After a host key that is not the host's."""
    change_pauses: tuple[float, ...] = (0.0, 30.0, 120.0, 600.0)
    """That each such login keeps to the one before, where something has changed."""
    jitter: float = 0.25
    """Part of the back-off by which it is longer or shorter, so that many keepers are spread out."""
    attempt_timeout: float = 60.0
    """For one attempt at a session that was up, where no user is asked anything."""
    slow_after: float = 1.0
    """After which an attempt is one that may wait in vain."""
    stable_after: float = 5.0
    """After which a link counts as one that works: when it ends, the next is made at once."""
    hello_timeout: float = 20.0
    """That an anchor may take for its first frame over a link that the agent has joined."""
    server_probe_timeout: float = 10.0
    """That a server which is said to be up may take for its first answer."""

    # kernels: web/jupyter_api.py
    kernel_interval: float = 60.0
    """Between two looks at the kernels that nobody asks for."""
    kernel_patience: float = 30.0
    """That a kernel may take for its first answer before the user is told."""

    # the process: run.py
    ended_linger: float = 600.0
    """That a keeper goes on telling the browser that its session has ended."""
    first_client_timeout: float = 10.0
    """Within which the command that started the keeper must have spoken to it."""
    repair_interval: float = 4.0
    """Between two looks at the keeper's own files, which cleaners remove."""
    shutdown_grace: float = 1.0
    """That commands that wait may take to hear why the keeper ends."""

    # on the host: protocol/timing.py
    host: tuple[tuple[str, float], ...] = ()
    """What the host gets in place of its own, by name: `{"host": {"start": 10}}`."""

    def delay(self, failures: int, chance: float) -> float:
        """How long to wait after so many failed attempts in a row; `chance` in [0, 1)."""
        return self.backoff[min(failures, len(self.backoff) - 1)] * (1 + self.jitter * (2 * chance - 1))


def from_json(text: str) -> Timing:
    """The usual ones, but for what the JSON object `text` names. What cannot be is left as it is."""
    try:
        given = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return Timing()
    good: dict[str, Any] = {}
    for field in fields(Timing) if isinstance(given, dict) else ():
        value = given.get(field.name)
        if isinstance(field.default, tuple) and isinstance(value, list) and value and all(map(_is_seconds, value)):
            good[field.name] = tuple(value)
        elif field.name == "host" and isinstance(value, dict):
            good["host"] = tuple((name, seconds) for name, seconds in value.items() if _is_seconds(seconds))
        elif not isinstance(field.default, tuple) and _is_seconds(value) and value > 0:
            good[field.name] = value
    return replace(Timing(), **good)


def _is_seconds(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS
