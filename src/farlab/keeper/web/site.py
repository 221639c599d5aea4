"""What the local address shows: the session's own pages through the line, or a word about why there is none yet."""

from __future__ import annotations

import socket
import time

from ...model import State
from ..keeper import Keeper
from . import pages

PAGE_PATIENCE = 10.0
"""Seconds a page waits for the line before the person is told what it waits for."""


class LocalSite:
    """The keeper as the relay sees it (`relay.StreamOpener`), and the session's addresses on this machine."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.notebook: str | None = None
        """What a one-time address opens: the notebook that was asked for last."""

    @property
    def name(self) -> str:
        """The session's own host name for a browser."""
        return f"{pages.label(self._keeper.target)}.localhost"

    def place(self, notebook: str | None = None) -> str:
        """The path of the app, or of one notebook in it."""
        session = self._keeper.session
        return pages.path(session.app or "lab", session.base_url, notebook)

    def url(self, notebook: str | None = None) -> str:
        """The whole address with the token; empty as long as there is none."""
        token = self._keeper.session.token
        place = pages.with_token(self.place(notebook), token)
        return f"http://{self.name}:{self._keeper.port}{place}" if token else ""

    # relay.Joiner ----------------------------------------------------------------------------------------

    def join(self, sock: socket.socket, head: bytes) -> int | None:
        try:
            return self._keeper.open_stream(sock, head)
        except ValueError:
            return None

    def waits(self, stream: int) -> bool:
        return self._keeper.is_unanswered(stream)

    def take_back(self, stream: int) -> socket.socket | None:
        return self._keeper.take_back(stream)

    def patience(self) -> float:
        return 0.0 if self._keeper.state in (State.ENDED, State.BLOCKED) else PAGE_PATIENCE

    def page(self) -> str | None:
        keeper = self._keeper
        if keeper.state is State.UP:
            return None
        reason = f"{keeper.reason.message}\n{keeper.reason.detail}" if keeper.reason else ""
        seconds = keeper.outage_seconds or time.time() - keeper.since
        return pages.waiting_page(keeper.target, keeper.state, seconds, reason)

    def token(self) -> str:
        return self._keeper.session.token

    def base(self) -> str:
        return pages.base_path(self._keeper.session.base_url)

    def opens(self) -> str:
        return self.place(self.notebook)

    def met_stranger(self) -> None:
        self._keeper.local_state.log("refused a connection by another user of this machine (logged once)")
