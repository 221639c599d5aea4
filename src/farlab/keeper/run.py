"""Runs one keeper from its start to its end, and leaves nothing behind."""

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
from typing import Any

from .. import paths
from ..errors import Interrupted
from ..model import State
from ..mux.mux import MAX_STREAMS
from . import control_connection
from .control_server import ControlServer
from .control_socket import ControlSocket
from .keeper import Keeper, KeeperSetup
from .log import RateLimitedHandler
from .timing import Timing
from .web.jupyter_api import JupyterApi
from .web.proxy import Proxy
from .web.site import LocalSite


@dataclass(frozen=True, slots=True, kw_only=True)
class StartupState:
    """What was there before the event loop: the address, the private socket, and an `ssh` that was started (or not)."""

    setup: KeeperSetup
    listeners: tuple[socket.socket, ...]
    private: ControlSocket
    options: dict[str, Any]
    may_ask: bool


def serve(startup: StartupState) -> None:
    """Be the keeper until somebody ends it."""

    async def run() -> None:
        keeper = Keeper(startup.setup, on_next_request=lambda stream, data: proxy.on_next_request(stream, data))
        site = LocalSite(keeper)
        proxy = Proxy(startup.listeners, keeper, site)
        if startup.setup.is_resumed:
            keeper.resume()
        else:
            keeper.connect(startup.options, may_ask=startup.may_ask)
        jupyter = JupyterApi(keeper, startup.setup.timing)
        server = ControlServer(keeper, proxy, site, jupyter, is_wanted=startup.setup.is_resumed)
        await _Run(keeper, proxy, server, startup.private, startup.setup.timing).until_over()

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


class _Run:
    """One keeper's life, from the first client to the clean-up."""

    def __init__(
        self, keeper: Keeper, proxy: Proxy, server: ControlServer, private: ControlSocket, timing: Timing
    ) -> None:
        self._keeper, self._proxy, self._server, self._private, self._timing = keeper, proxy, server, private, timing
        self._listening: list[asyncio.Server] = []

    async def until_over(self) -> None:
        """Serve until somebody ends it, and leave nothing behind."""
        serve = self._server.serve
        self._listening = [await control_connection.serve(each, serve) for each in self._private.listeners]
        self._handle_signals()
        asyncio.get_running_loop().call_later(self._timing.first_client_timeout, self._server.end_if_unused)
        ending, repairing = asyncio.create_task(self._wait_for_end()), asyncio.create_task(self._repair_files())
        watching = asyncio.create_task(self._server.watch_kernels())
        try:
            await asyncio.wait({ending, repairing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self._shut_down(ending, repairing, watching)
        if not repairing.cancelled():
            repairing.result()  # it ends by itself only by a bug: that goes to the log

    async def _shut_down(self, *tasks: asyncio.Task[None]) -> None:
        keeper = self._keeper
        self._proxy.close()
        if keeper.local_state.is_new:
            keeper.local_state.remove()
        self._private.remove()
        for listening in self._listening:
            listening.close()  # from here on another keeper may begin, on the same port
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await keeper.stop()
        await self._server.wait_for_clients(self._timing.shutdown_grace)
        await keeper.close({"bye": True} if keeper.was_up else {"cancel": True})
        paths.tidy_runtime_directory()

    def _handle_signals(self) -> None:
        why = Interrupted("the keeper was stopped by a signal", hint="")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self._server.end, why)

    async def _repair_files(self) -> None:
        """Make again what somebody has removed: the private socket and what is saved."""
        while True:
            await asyncio.sleep(self._timing.repair_interval)
            self._keeper.local_state.trim_log()
            listener = self._private.recreate_if_missing()
            if listener is not None:
                self._listening[0].close()
                self._listening[0] = await control_connection.serve(listener, self._server.serve)
            if self._keeper.was_up:
                self._keeper.local_state.rewrite_if_missing()

    async def _wait_for_end(self) -> None:
        """Until somebody ends it, or nobody has wanted the session since it ended."""
        keeper, linger = self._keeper, self._timing.ended_linger
        while not self._server.should_end.is_set():
            over = asyncio.create_task(self._server.should_end.wait())
            await asyncio.wait({over}, timeout=min(linger, 60.0))
            over.cancel()
            if keeper.state is State.ENDED and time.time() - keeper.since > linger:
                return
