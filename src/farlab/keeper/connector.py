"""Makes one link at a time, as it is told: starts the `ssh`, has it joined, ends what came to nothing."""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping

from ..errors import FarlabError, LinkLost
from ..transport import background
from ..transport.base import Transport
from ..transport.link import Link, with_link
from ..transport.process import LinkProcess, LinkSpec, dial
from .events import AttemptFailed, Connect, Signal

_SLOW = "the host or your home directory there may be overloaded: `{ssh HOST 'uptime; time ls ~'}` shows which"
_WAITS = "what is said above may tell what it waits for; `{ssh HOST true}` in a terminal shows the same"
_BANNER_LATE = "timed out during banner exchange"
_USUAL_PATIENCE, _MOST_PATIENCE = 15.0, 240.0
"""Seconds for the host's first word where nobody waits: twice as many after each time that they were too few."""
_CONFIGURATION_TIMEOUT = 120.0
"""Seconds for `ssh -G` where nobody waits."""
_BUG = "this is a bug; `{farlab logs HOST --keeper}` has more"


class Patience:
    """How long an attempt may take for the host's first word."""

    def __init__(self) -> None:
        self._awaited_until, self._late = 0.0, 0

    def expect(self, seconds: float) -> None:
        """Somebody waits that long for a link from now on."""
        self._awaited_until = time.monotonic() + seconds

    def left(self) -> float:
        """For how many seconds somebody still waits; below 0 where nobody does."""
        return self._awaited_until - time.monotonic()

    def note_failure(self, error: FarlabError) -> None:
        """An attempt has failed, perhaps because the host's first word came too late."""
        self._late = self._late + 1 if _BANNER_LATE in error.detail else 0

    def of_attempt(self) -> float | None:
        """Seconds, None for the usual. Those that wait hear what `ssh` says of its end, so it is a little earlier."""
        patience = max(self.left() - 2.0, min(_USUAL_PATIENCE * 2**self._late, _MOST_PATIENCE))
        return patience if patience > _USUAL_PATIENCE else None


class Connector:
    """`handshake(link)` joins a fresh link to the session, and reports that; `on_failure` is told of anything else.

    `said` is what the attempt under way has said while it does not answer, `on_said` is called when there is more.
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
        on_said: Callable[[], None],
    ) -> None:
        self._transport, self._ask_socket, self._dialed = transport, ask_socket, dialed
        self._handshake, self._on_failure, self._on_said = handshake, on_failure, on_said
        self.said: list[str] = []
        self._patience = Patience()
        self._task: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = self._may_ask = False

    def expect(self, seconds: float) -> None:
        """Somebody waits that long for a link from now on."""
        self._patience.expect(seconds)

    def start(self, order: Connect) -> None:
        """Begin an attempt; the one before has ended."""
        if self._is_closed:
            return
        self._may_ask = order.may_ask
        self._task = asyncio.get_running_loop().create_task(self._attempt(order))
        self._task.add_done_callback(self._ended)

    def adopt(self, environ: Mapping[str, str]) -> None:
        """Make links in that environment from now on; an attempt in another one ends, unless a user is in it."""
        if self._transport.adopt(environ) and not self._may_ask:
            self.cancel()

    def is_shared(self, link: Link) -> bool:
        """Whether it may go over the user's own ControlMaster."""
        return not link.spec.bypass_master and self._has_master()

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
        self._task, self.said = None, []
        if task.cancelled():
            self._on_failure(Signal.ATTEMPT_CANCELLED)
        elif error := task.exception():
            if not isinstance(error, FarlabError):  # a bug of ours must not end the keeper: the next attempt may do
                traceback.print_exception(error)
                error = LinkLost("could not connect", detail=repr(error), hint=_BUG)
            self._patience.note_failure(error)
            self._on_failure(AttemptFailed(error=error, has_master=self._has_master()))

    async def _attempt(self, order: Connect) -> None:
        dialed, self._dialed = self._dialed, None
        if dialed is not None and dialed.spec.may_ask != order.may_ask:
            self.end(Link(dialed))  # the user has come, or gone, meanwhile
            dialed = None
        process = dialed or await self._dial(order)
        timeout = None if order.timeout is None else order.timeout + (process.spec.patience or 0)
        try:
            async with asyncio.timeout(timeout):
                await with_link(process, self._handshake, self._hear)
        except TimeoutError:
            message = f"`{self._transport.host}` did not answer within {timeout or 0:.0f} s"
            error = LinkLost(message, detail="\n".join(self.said), hint=_WAITS if self.said else _SLOW)
            error.is_unanswered = True
            raise error from None
        self._patience = Patience()

    def _has_master(self) -> bool:
        master = self._transport.login_sources().master
        return master is not None and os.path.exists(master)

    def _hear(self, line: str) -> None:
        self.said.append(line)
        self._on_said()

    async def _dial(self, order: Connect) -> LinkProcess:
        # where nobody waits, what it was before will do; and there may be no free thread
        left = self._patience.left()
        if left > 0 or order.may_ask or not self._transport.is_resolved:
            limit = max(left - 2.0, 1.0) if left > 0 else _CONFIGURATION_TIMEOUT
            anew = left > 0 or order.may_ask
            await background.resolve(self._transport, anew=anew, timeout=limit, on_said=self._hear)
        ask_socket = self._ask_socket if order.may_ask else None
        spec = LinkSpec(
            transport=self._transport,
            ask_socket=ask_socket,
            bypass_master=order.bypass_master,
            patience=self._patience.of_attempt(),
        )
        return dial(spec)
