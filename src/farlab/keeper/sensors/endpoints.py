"""Finds out where the host is: the addresses that a login would connect to first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from ...transport.background import in_background
from ...transport.base import Endpoint
from ..events import EndpointsFound
from .network import source_address


class EndpointResolver:
    """Calls `on_found` after each `start`, with nothing where nothing could be found out. `look_up` blocks."""

    def __init__(self, look_up: Callable[[], list[Endpoint]], on_found: Callable[[EndpointsFound], None]) -> None:
        self._look_up, self._on_found = look_up, on_found
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look once."""
        self._task = asyncio.get_running_loop().create_task(self._find())

    def stop(self) -> None:
        """Report no more."""
        if self._task is not None:
            self._task.cancel()

    async def _find(self) -> None:
        found: list[Endpoint] = []
        with suppress(Exception):  # no thread to be had, a name that cannot be one: then as it was
            found = await in_background(self._look_up)
        self._on_found(EndpointsFound(endpoints=tuple(found), source=source_address(found)))
