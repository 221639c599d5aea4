"""Runs one keeper from its first link to its end, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from .. import paths
from ..errors import Interrupted
from ..model import State, Target
from ..mux.mux import MAX_STREAMS
from ..transport.base import Transport
from ..transport.process import LinkProcess
from . import control_connection
from .control_client import socket_path
from .control_server import ControlServer
from .control_socket import ControlSocket
from .keeper import Keeper, Words
from .log import RateLimitedHandler
from .web.proxy import Proxy
from .web.site import LocalSite

ENDED_LIFE = 600.0
"""Seconds a keeper goes on telling the browser that its session has ended."""
FIRST_VISIT = 10.0
"""Seconds within which whoever started the keeper must have spoken to it."""
ROUND = 4.0
"""Seconds between two looks at the keeper's own files, which cleaners remove."""
FAREWELL = 1.0
"""Seconds that whoever waits may take to hear why the keeper ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupState:
    """What was there before the event loop: the address, the private socket, and an `ssh` on its way (or none)."""

    target: Target
    listeners: tuple[socket.socket, ...]
    private: ControlSocket
    transport: Transport
    dialed: LinkProcess | None
    note: str
    wish: Words
    may_ask: bool


def serve(beginning: StartupState) -> None:
    """Be the keeper until somebody ends it."""

    async def run() -> None:
        target = beginning.target
        port, ask_socket = beginning.listeners[0].getsockname()[1], str(socket_path(target))
        keeper = Keeper(
            target,
            port,
            beginning.transport,
            ask_socket,
            beginning.dialed,
            on_next_request=lambda stream, data: proxy.on_next_request(stream, data),
            note=beginning.note,
        )
        site = LocalSite(keeper)
        proxy = Proxy(beginning.listeners, keeper, site)
        keeper.connect(beginning.wish, may_ask=beginning.may_ask)
        await _keep(keeper, proxy, ControlServer(keeper, proxy, site), beginning.private)

    allow_many_connections()
    bound_faults()
    asyncio.run(run())


def bound_faults() -> None:
    """An exception in a callback costs what it came from, and few lines of the log: asyncio goes on, and logs it."""
    log = logging.getLogger("asyncio")
    log.addHandler(RateLimitedHandler(sys.stderr.write))
    log.propagate = False


def allow_many_connections() -> None:
    """As many open files as a line has streams, if that is allowed: a shell's 1024, or 256, is for select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (MAX_STREAMS + 1024, 10240):  # macOS may have a bound beside the one that it tells
        most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
        if soft == resource.RLIM_INFINITY or most <= soft:
            return
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return


async def _keep(keeper: Keeper, proxy: Proxy, desk: ControlServer, private: ControlSocket) -> None:
    servers = [await control_connection.serve(each, desk.serve) for each in private.listeners]
    _obey_signals(desk)
    asyncio.get_running_loop().call_later(FIRST_VISIT, desk.end_if_unused)
    keeping = asyncio.create_task(keeper.keep())
    ending = asyncio.create_task(_until_over(keeper, desk))
    looking = asyncio.create_task(_look_after(keeper, desk, private, servers))
    try:
        await asyncio.wait({keeping, ending, looking}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        proxy.close()
        if not keeping.done() and keeper.local_state.is_new:
            keeper.local_state.remove()
        private.remove()
        for server in servers:
            server.close()  # from here on another keeper may begin, on the same port
        for task in (keeping, ending, looking):
            task.cancel()
        await asyncio.gather(keeping, ending, looking, return_exceptions=True)
        await desk.wait_for_clients(FAREWELL)
        await keeper.close(message=None if keeper.was_up else {"cancel": True})
        paths.tidy_runtime_directory()
    for task in (keeping, looking):
        if not task.cancelled():
            task.result()  # it ends by itself only by a bug: that goes to the log


def _obey_signals(desk: ControlServer) -> None:
    why = Interrupted("the keeper was stopped by a signal", hint="")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, desk.end, why)


async def _look_after(
    keeper: Keeper, desk: ControlServer, private: ControlSocket, servers: list[asyncio.Server]
) -> None:
    """Make again what somebody has removed: the private socket and the memory."""
    while True:
        await asyncio.sleep(ROUND)
        keeper.local_state.trim_log()
        listener = private.recreate_if_missing()
        if listener is not None:
            servers[0].close()
            servers[0] = await control_connection.serve(listener, desk.serve)
        if keeper.was_up:
            keeper.local_state.rewrite_if_missing()


async def _until_over(keeper: Keeper, desk: ControlServer) -> None:
    while not desk.should_end.is_set():
        over = asyncio.create_task(desk.should_end.wait())
        await asyncio.wait({over}, timeout=60.0)
        over.cancel()
        if keeper.state is State.ENDED and time.time() - keeper.since > ENDED_LIFE:
            return
