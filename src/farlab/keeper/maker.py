"""Makes one link at a time for as long as one is wanted: the back-off, the `ssh`, and who may be asked.

A person who connects is served at once: the wait is cut short, and an `ssh` that may not ask gives way to one that may.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from ..errors import FarlabError, Interrupted
from ..model import Target
from . import states
from .dial import Dialed, Way, dial
from .link import Link
from .query import resolve


class LinkMaker:
    """`join(link)` makes a fresh link carry the line; `failed(error)` is told where one could not be made.

    `ask_socket` answers askpass. `dialed` is an `ssh` on its way already, if there is one.
    """

    def __init__(self, target: Target, ask_socket: str, dialed: Dialed | None) -> None:
        self.failures = 0
        """Tries in a row that failed: what the back-off goes by."""
        self.join: Callable[[Link], Awaitable[None]]
        self.failed: Callable[[FarlabError], None]
        self._target, self._ask_socket, self._dialed = target, ask_socket, dialed
        self._wanted, self._at_once = asyncio.Event(), asyncio.Event()
        self._may_ask = self._around_master = False
        self._making: asyncio.Task[None] | None = None
        self._is_asking = dialed is not None and dialed.way.ask_socket is not None
        self._ends = ""
        """Why the link that is being made was told to end: "declined", or "asking" where another begins that asks."""

    def want(self, *, around_master: bool = False) -> None:
        """A link is wanted, as soon as the back-off lets; `around_master`: past the person's own master."""
        self._around_master = around_master
        self._wanted.set()

    def hurry(self) -> None:
        """Whatever made the last try fail may be over: do not wait any longer."""
        self._at_once.set()

    def person_wants(self, *, may_ask: bool) -> None:
        """A person wants a link now; `may_ask`: and is there to answer `ssh`."""
        self._may_ask = self._may_ask or may_ask
        if self._making and may_ask and not self._is_asking:
            self._end("asking")  # it would fail where the person can help
        self.want()
        self.hurry()

    def rest(self) -> None:
        """No link is wanted any more. One that is being made may still come."""
        self._wanted.clear()

    def decline(self) -> None:
        """The person does not answer: end the `ssh` at once, since each empty answer counts as a failed login."""
        self._end("declined")

    async def run(self) -> None:
        """Make links. Ends only by being cancelled."""
        us = cast("asyncio.Task[None]", asyncio.current_task())
        while not us.cancelling():  # which the end of a link may hide: both come as one CancelledError
            await self._wanted.wait()
            await self._pause()
            self._making = asyncio.create_task(self._make())
            try:
                await self._making
            except FarlabError as error:
                self._give_up(error)
            except asyncio.CancelledError:
                if not self._ends:
                    raise
                if self._ends == "declined":
                    self._give_up(Interrupted(f"the question of `{self._target.host}` was not answered", hint=""))
            finally:
                self._making, self._ends = None, ""

    def _give_up(self, error: FarlabError) -> None:
        self.failures += 1
        self._may_ask = False
        self.failed(error)

    def _end(self, why: str) -> None:
        if self._making:
            self._ends = why
            self._making.cancel()

    async def _pause(self) -> None:
        """Wait as the back-off says, or until somebody wants it now."""
        with suppress(TimeoutError):
            pause = states.delay(self.failures, random.random())  # noqa: S311 - it only spreads keepers out
            await asyncio.wait_for(self._at_once.wait(), pause)
        self._at_once.clear()

    async def _make(self) -> None:
        dialed, self._dialed = self._dialed or await self._dial(), None
        link = Link(dialed)
        try:
            await self.join(link)
        except BaseException:
            await link.end()
            raise
        self._may_ask = False

    async def _dial(self) -> Dialed:
        resolved = await asyncio.to_thread(resolve, self._target)
        self._is_asking = self._may_ask
        ask_socket = self._ask_socket if self._may_ask else None
        around = self._around_master or self.failures > 0  # it may be dead and not know it yet
        return dial(Way(target=self._target, resolved=resolved, ask_socket=ask_socket, around_master=around))
