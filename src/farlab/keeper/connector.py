"""Makes one link at a time for as long as one is wanted: the back-off, the `ssh`, and who may be asked.

A person who connects is served at once: the wait is cut short, and an `ssh` that may not ask gives way to one that may.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import cast

from ..errors import Authentication, CannotAsk, FarlabError, Interrupted, LinkLost
from ..transport.base import Transport
from ..transport.link import Link
from ..transport.process import LinkProcess, LinkSpec, dial
from . import states

SLOW = 1.0
"""Seconds after which a try is one that may wait in vain."""
_SLOW = "the host or your home directory there may be overloaded: `{ssh HOST 'uptime; time ls ~'}` shows which"
_BUG = "this is a bug; `{farlab logs HOST --keeper}` has more"


class Connector:
    """`join(link)` makes a fresh link carry the line; `failed(error)` is told where one could not be made.

    `ask_socket` answers askpass. `dialed` is an `ssh` on its way already, if there is one.
    """

    def __init__(self, transport: Transport, ask_socket: str, dialed: LinkProcess | None) -> None:
        self.failures = 0
        """Tries in a row that failed: what the back-off goes by."""
        self.tries = 0
        """Links begun so far."""
        self.patience: float | None = None
        """Seconds that one try may take where nobody is asked anything; None for no end."""
        self.join: Callable[[Link], Awaitable[None]]
        self.failed: Callable[[FarlabError], None]
        self._transport, self._ask_socket, self._dialed = transport, ask_socket, dialed
        self._wanted, self._at_once = asyncio.Event(), asyncio.Event()
        self._may_ask = self._around_master = self._by_master = self._is_around = False
        self.is_refused_around = False
        """Whether a login past the person's master was refused: it is not tried again without the person."""
        self._making: asyncio.Task[None] | None = None
        self._began = 0.0
        self._is_asking = dialed is not None and dialed.spec.may_ask
        self._ends = ""
        """Why the link that is being made was told to end: "declined", or "again" where another would do better."""

    @property
    def is_slow(self) -> bool:
        """Whether a link is wanted and does not come at once."""
        is_waiting = self._making is not None and time.monotonic() - self._began > SLOW
        return self._wanted.is_set() and (self.failures > 0 or is_waiting)

    @property
    def is_wanted(self) -> bool:
        """Whether a link is being made, or will be."""
        return self._wanted.is_set()

    def want(self, *, around_master: bool | None = None) -> None:
        """A link is wanted, as soon as the back-off lets; `around_master`: past the person's own master, None: as the
        last one was to be."""
        if around_master is not None:
            self._around_master = around_master
        self._wanted.set()

    def hurry(self) -> None:
        """Whatever made the last try fail may be over: do not wait any longer."""
        self._at_once.set()

    def person_wants(self, *, may_ask: bool, around_master: bool | None = None) -> None:
        """A person wants a link now; `may_ask`: and is there to answer `ssh`."""
        self._may_ask = self._may_ask or may_ask
        if self._making and may_ask and not self._is_asking:
            self._end("again")  # it would fail where the person can help
        self.want(around_master=around_master)
        self.hurry()

    def person_left(self) -> None:
        """Nobody is there to answer any more: an `ssh` that may ask would ask nobody, and has no clock."""
        self._may_ask = False
        if self._is_asking:
            self._end("again")

    def reachable(self, since: float) -> None:
        """The host answers what was sent at `since` (monotonic), and did not before: a try of before waits in vain."""
        if self._making and self._began < since and not self._is_asking:
            self._end("again")
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
            if not self._wanted.is_set():
                continue
            self.tries += 1
            self._began = time.monotonic()
            self._making = asyncio.create_task(self._make())
            try:
                await self._making
            except FarlabError as error:
                if self._has_master_for(error):
                    self._by_master = self.is_refused_around = True
                    self.hurry()
                else:
                    self._give_up(error)
            except Exception as error:  # a bug of ours must not end the keeper: the log has it, and the next try may do
                traceback.print_exc()
                self._give_up(LinkLost("could not connect", detail=repr(error), hint=_BUG))
            except asyncio.CancelledError:
                if not self._ends:
                    raise
                if self._ends == "declined":
                    self._give_up(Interrupted(f"you did not answer the question of `{self._transport.host}`", hint=""))
            finally:
                self._making, self._ends = None, ""

    def _give_up(self, error: FarlabError) -> None:
        self.failures += 1
        self._may_ask = self._by_master = False
        self.failed(error)

    def _has_master_for(self, error: FarlabError) -> bool:
        """Whether a login past the person's master was refused while there is one, which needs none."""
        path = self._transport.unlocked().master if self._is_around else None
        return isinstance(error, Authentication | CannotAsk) and path is not None and os.path.exists(path)

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
            async with asyncio.timeout(None if self._is_asking else self.patience):
                await self.join(link)
        except TimeoutError:
            await link.end()
            message = f"`{self._transport.host}` did not answer within {self.patience:.0f} s"
            raise LinkLost(message, hint=_SLOW) from None
        except BaseException:
            await link.end()
            raise
        self._may_ask = self._by_master = self.is_refused_around = False

    async def _dial(self) -> LinkProcess:
        self._is_asking = self._may_ask
        # unless asking, what it was before will do: ssh itself reads the file anew
        await asyncio.to_thread(self._transport.resolve, anew=self._is_asking)
        ask_socket = self._ask_socket if self._may_ask else None
        # the master may be dead and not know it yet
        is_refused = self._by_master or (self.is_refused_around and not self._may_ask)
        around = self._is_around = not is_refused and (self._around_master or self.failures > 0)
        return dial(LinkSpec(transport=self._transport, ask_socket=ask_socket, bypass_master=around))
