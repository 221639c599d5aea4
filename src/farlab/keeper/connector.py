"""Makes one link at a time, as it is told: starts the `ssh`, has it joined, ends what came to nothing."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable

from ..errors import FarlabError, LinkLost
from ..transport.base import Transport
from ..transport.link import Link
from ..transport.process import LinkProcess, LinkSpec, dial
from .events import AttemptFailed, Connect, Signal

_SLOW = "the host or your home directory there may be overloaded: `{ssh HOST 'uptime; time ls ~'}` shows which"
_BUG = "this is a bug; `{farlab logs HOST --keeper}` has more"


class Connector:
    """`handshake(link)` joins a fresh link to the session, and reports that; `on_failure` is told of anything else.

    `ask_socket` answers askpass. `dialed` is an `ssh` that was started already, if there is one.
    """

    def __init__(
        self,
        transport: Transport,
        ask_socket: str,
        dialed: LinkProcess | None,
        *,
        handshake: Callable[[Link], Awaitable[None]],
        on_failure: Callable[[AttemptFailed | Signal], None],
    ) -> None:
        self._transport, self._ask_socket, self._dialed = transport, ask_socket, dialed
        self._handshake, self._on_failure = handshake, on_failure
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def start(self, order: Connect) -> None:
        """Begin an attempt; the one before has ended."""
        if self._is_closed:
            return
        self._task = asyncio.get_running_loop().create_task(self._attempt(order))
        self._task.add_done_callback(self._ended)

    def cancel(self) -> None:
        """End the attempt under way."""
        if self._task is not None:
            self._task.cancel()

    def end(self, link: Link) -> None:
        """End a link that is needed no more, while other things go on."""
        task = asyncio.get_running_loop().create_task(link.end())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End all of it, and wait for that."""
        self._is_closed = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._dialed is not None:
            self.end(Link(self._dialed))
            self._dialed = None
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task is not self._task:
            return  # closed
        self._task = None
        if task.cancelled():
            self._on_failure(Signal.ATTEMPT_CANCELLED)
        elif error := task.exception():
            if not isinstance(error, FarlabError):  # a bug of ours must not end the keeper: the next attempt may do
                traceback.print_exception(error)
                error = LinkLost("could not connect", detail=repr(error), hint=_BUG)
            master = self._transport.unlocked().master
            has_master = master is not None and os.path.exists(master)
            self._on_failure(AttemptFailed(error=error, has_master=has_master))

    async def _attempt(self, order: Connect) -> None:
        dialed, self._dialed = self._dialed, None
        if dialed is not None and dialed.spec.may_ask != order.may_ask:
            self.end(Link(dialed))  # whoever was there has come, or gone, meanwhile
            dialed = None
        link = Link(dialed or await self._dial(order))
        try:
            async with asyncio.timeout(order.timeout):
                await self._handshake(link)
        except TimeoutError:
            await link.end()
            message = f"`{self._transport.host}` did not answer within {order.timeout or 0:.0f} s"
            raise LinkLost(message, hint=_SLOW) from None
        except BaseException:
            await link.end()
            raise

    async def _dial(self, order: Connect) -> LinkProcess:
        # unless asking, what it was before will do, ssh itself reads the file anew; and there may be no free thread
        if order.may_ask or not self._transport.is_resolved:
            await asyncio.to_thread(self._transport.resolve, anew=order.may_ask)
        ask_socket = self._ask_socket if order.may_ask else None
        return dial(LinkSpec(transport=self._transport, ask_socket=ask_socket, bypass_master=order.bypass_master))
