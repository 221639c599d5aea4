"""The session as the proxy and the control server see it: its addresses on this machine, its token, its status page."""

from __future__ import annotations

import time
from urllib.parse import urlencode

from ...model import State
from ..keeper import Keeper
from . import addresses
from .responses import sign_in_page, status_page

PAGE_DELAY = 10.0
"""Seconds for which a page waits for the server before the user is told what it waits for."""


class LocalSite:
    """Answers from what the keeper knows now."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.name = f"{addresses.label(keeper.target)}.localhost"
        """The session's own host name for a browser."""

    def app_path(self, notebook: str | None = None) -> str:
        """The path of the app, or of one notebook in it."""
        session = self._keeper.session
        return addresses.app_path(session.app or "lab", session.base_url, notebook)

    def url(self, notebook: str | None = None) -> str:
        """The whole address with the token; empty as long as there is none."""
        query = urlencode({"token": self.token})
        return f"http://{self.name}:{self._keeper.port}{self.app_path(notebook)}?{query}" if self.token else ""

    @property
    def token(self) -> str:
        """The session's secret; empty while the server is not there."""
        return self._keeper.session.token

    @property
    def base_path(self) -> str:
        """What every path on the server begins with: `/` or `/BASE/`."""
        return addresses.base_path(self._keeper.session.base_url)

    @property
    def page_delay(self) -> float:
        """Seconds for which a page may wait before the user is told what it waits for."""
        return 0.0 if self._keeper.state in (State.ENDED, State.BLOCKED) else PAGE_DELAY

    def status_page(self) -> str | None:
        """What a user who waits for a page sees; None while there is nothing to wait for."""
        keeper = self._keeper
        if keeper.state is State.UP:
            return None
        reason = f"{keeper.reason.message}\n{keeper.reason.detail}" if keeper.reason else ""
        seconds = keeper.outage_seconds or time.time() - keeper.since
        return status_page(keeper.target, keeper.state, seconds, reason)

    def sign_in_page(self) -> str:
        """What a browser without a login sees."""
        return sign_in_page(self._keeper.target)

    def log_refused_user(self) -> None:
        self._keeper.local_state.log("refused a connection by another user of this machine (logged once)")
