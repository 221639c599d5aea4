"""What blocks, and need not end, beside an event loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from .base import Transport

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


async def resolve(transport: Transport, *, anew: bool, timeout: float) -> None:
    """`transport.resolve`; a caller that gives up ends what it runs."""
    try:
        await in_background(partial(transport.resolve, anew=anew, timeout=timeout))
    except asyncio.CancelledError:
        transport.abandon()
        raise
