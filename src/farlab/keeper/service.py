"""Runs one keeper from its first link to its end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from dataclasses import dataclass

from .. import paths, store
from ..model import State, Target
from . import peers
from .desk import Desk
from .dial import Dialed
from .front import Front
from .process import Keeper, Words
from .relay import Relay
from .spawn import socket_path

ENDED_LIFE = 600.0
"""Seconds a keeper goes on telling the browser that its session has ended."""
FIRST_VISIT = 10.0
"""Seconds within which whoever started the keeper must have spoken to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What was there before the event loop: the address, the private socket, and an `ssh` on its way (or none)."""

    target: Target
    listener: socket.socket
    door: socket.socket
    dialed: Dialed | None
    note: str
    wish: Words
    may_ask: bool


def serve(beginning: Beginning) -> None:
    """Be the keeper until somebody ends it."""

    async def run() -> None:
        target = beginning.target
        keeper = Keeper(target, beginning.listener.getsockname()[1], str(socket_path(target)), beginning.dialed)
        front = Front(keeper)
        relay = Relay(beginning.listener, front)
        keeper.on_turn = relay.asked_again
        keeper.notes = (beginning.note,) if beginning.note else ()
        keeper.connect(beginning.wish, may_ask=beginning.may_ask)
        await _keep(keeper, relay, Desk(keeper, relay, front), beginning.door)

    asyncio.run(run())


async def _keep(keeper: Keeper, relay: Relay, desk: Desk, door: socket.socket) -> None:
    server = await peers.serve(door, desk.serve)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, desk.over.set)
    loop.call_later(FIRST_VISIT, desk.expect_somebody)
    was_known = store.recall(keeper.target) is not None
    keeping = asyncio.create_task(keeper.keep())
    ending = asyncio.create_task(_until_over(keeper, desk))
    try:
        await asyncio.wait({keeping, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        relay.close()
        if not keeping.done() and not keeper.was_up and not was_known:
            store.forget(keeper.target)
        socket_path(keeper.target).unlink(missing_ok=True)  # from here on another keeper may begin, on the same port
        for task in (keeping, ending):
            task.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await keeper.close(message=None if keeper.was_up else {"cancel": True})
        server.close()
        paths.tidy_runtime_directory()
    if not keeping.cancelled():
        keeping.result()  # it ends by itself only by a bug: that goes to the log


async def _until_over(keeper: Keeper, desk: Desk) -> None:
    while not desk.over.is_set():
        over = asyncio.create_task(desk.over.wait())
        await asyncio.wait({over}, timeout=60.0)
        over.cancel()
        if keeper.state is State.ENDED and time.time() - keeper.since > ENDED_LIFE:
            return
