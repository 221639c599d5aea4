"""The keepers that a session serves, one a laptop, and what their messages ask for. Python 3.6."""

import time

from farlab.mux.pipes import LinkPipes
from farlab.protocol.mux_messages import KeeperMessage

MYPY = False
if MYPY:
    import socket
    from collections.abc import Callable
    from typing import Any

    from farlab.host.client import Client
    from farlab.host.reactor import Reactor
    from farlab.host.server_connector import ServerConnector
    from farlab.protocol.mux_messages import SessionInfo
    from farlab.protocol.timing import Timing


class Clients(object):
    """`describe()`: what keepers are told of the session. `on_first()`: a keeper has come.

    `on_stop(is_cancel)`: the user terminates the session; or, `is_cancel`, gives up while it starts.
    """

    def __init__(
        self,
        loop: "Reactor",
        timing: "Timing",
        connector: "ServerConnector",
        describe: "Callable[[], SessionInfo]",
        on_attach: "Callable[[], object]",
        on_stop: "Callable[[], object]",
    ) -> None:
        self.has_come = False
        self._loop, self._timing, self._connector, self._describe = loop, timing, connector, describe
        self._on_attach, self._on_stop = on_attach, on_stop
        self._clients = {}  # type: dict[str, Client]

    @property
    def is_linked(self) -> bool:
        """Whether a link of any keeper stands."""
        return any(client.disconnected_at is None for client in self._clients.values())

    def add_link(self, fds: "list[int]", agent: "socket.socket", version: int, received: bytes) -> None:
        """An agent has handed over its link, on which that version of the mux is spoken."""
        # the mux and all that belongs to it: 20 ms to compile, while the server starts already
        from farlab.host.pending_link import PendingLink

        link = PendingLink(self._loop, LinkPipes(*fds), agent, version, received, self._attach)
        if not self._loop.call(link.begin, self._timing.hello):
            link.abandon()

    def _attach(self, mux_id: str) -> "Client":
        from farlab.host.client import Client

        self.has_come = True
        self._on_attach()
        if mux_id not in self._clients:
            self._clients[mux_id] = Client(
                mux_id, self._loop, self._timing, self._connector, self._describe, self._on_message
            )
        return self._clients[mux_id]

    def send_info(self) -> None:
        """Tell every keeper what the session is now."""
        for client in list(self._clients.values()):
            self._loop.call(client.send_info)

    def check(self) -> None:
        """Forget keepers that have been away for too long."""
        now = time.monotonic()
        for client in list(self._clients.values()):
            self._loop.call(self._check, client, now)

    def _check(self, client: "Client", now: float) -> None:
        if not client.check(now):
            self._forget(client)

    def _on_message(self, client: "Client", message: "dict[str, Any]") -> None:
        """Take a keeper's message."""
        asked = KeeperMessage.read_leniently(message)
        if asked.keep:
            client.keep(asked.keep)
        if asked.laptop:
            client.laptop = asked.laptop
            for other in list(self._clients.values()):
                if other is not client and other.laptop == client.laptop:
                    self._forget(other)
        elif asked.stop or (asked.cancel and self._connector.is_server_starting and len(self._clients) == 1):
            self._on_stop()
        elif asked.bye or asked.cancel:
            self._forget(client)

    def _forget(self, client: "Client") -> None:
        self._clients.pop(client.mux.id, None)
        client.close()
