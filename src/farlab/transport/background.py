"""What blocks, and need not end, beside an event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from .base import Transport
from .said import SAID_AFTER, SAID_INTERVAL, Said

T = TypeVar("T")


async def in_background(function: Callable[[], T]) -> T:
    """What it returns, from a thread that holds nobody up: a lookup may take half a minute, and asyncio's own threads
    are waited for at the end. Raises what it raises, and RuntimeError where no thread can be had."""
    done: concurrent.futures.Future[T] = concurrent.futures.Future()
    done.set_running_or_notify_cancel()  # a caller that gives up cannot cancel it

    def run() -> None:
        try:
            done.set_result(function())
        except Exception as error:  # the caller gets it
            done.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(done)


async def resolve(
    transport: Transport, *, anew: bool, timeout: float, on_said: Callable[[str], None] = lambda line: None
) -> None:
    """`transport.resolve`; a caller that gives up ends what it runs. `on_said` gets what that says while it lasts."""
    resolving = asyncio.ensure_future(in_background(partial(transport.resolve, anew=anew, timeout=timeout)))
    said, pause = Said(), SAID_AFTER
    try:
        while not (await asyncio.wait({resolving}, timeout=pause))[0]:
            pause = SAID_INTERVAL
            said.feed(transport.new_words())
            for line in said.take():
                on_said(line)
        await resolving
    except asyncio.CancelledError:
        transport.abandon()
        resolving.cancel()
        raise
