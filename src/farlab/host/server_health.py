"""Whether a server that starts lets in the token and nothing else, and whether one that is up answers. Python 3.6."""

import time

MYPY = False
if MYPY:
    from collections.abc import Callable

    from farlab.host.http import ServerApi
    from farlab.protocol.launcher import Serving
    from farlab.protocol.timing import Timing

REFUSALS = (301, 302, 303, 307, 308, 401, 403)
"""Statuses with which a server refuses a request without the token: the best one leads to a log-in page."""


class ServerHealth(object):
    """`answers`: whether the last probe was answered."""

    def __init__(self, api: "ServerApi", timing: "Timing", on_change: "Callable[[], object]") -> None:
        self.answers = True
        self._api, self._timing, self._on_change = api, timing, on_change
        self._is_asking = False
        self._asked_at = 0.0

    def is_due(self) -> bool:
        """Whether to `probe` now."""
        return not self._is_asking and time.monotonic() - self._asked_at > self._timing.probe

    def probe(self, target: str) -> None:
        """Ask a server that is up whether it still answers."""
        self._is_asking, self._asked_at = True, time.monotonic()
        self._api.request("GET", target, self._probed, self._timing.probe)

    def _probed(self, status: "int | None", body: bytes) -> None:
        self._is_asking = False
        before, self.answers = self.answers, status is not None
        if before != self.answers:
            self._on_change()

    def check_ready(
        self, place: "Serving", on_ready: "Callable[[], object]", on_failure: "Callable[[str], object]"
    ) -> None:
        """Call one of the two, unless a server that starts does not answer yet. It is ready once it also refuses."""
        if self._is_asking:
            return
        self._is_asking = True
        target = place.base_url + "api/status"

        def with_token(status: "int | None", body: bytes) -> None:
            if status == 200:
                self._api.request("GET", target, without_token, self._timing.start, has_token=False)
                return
            self._is_asking = False
            if status in (400, 404):
                message = "the server answers %d below its own `c.ServerApp.base_url`, `%s`"
                on_failure(message % (status, place.base_url))
            elif status is not None:  # else it does not listen yet
                message = "the server rejects farlab's token (HTTP status %d): %s"
                on_failure(message % (status, doorkeeper))

        def without_token(status: "int | None", body: bytes) -> None:
            self._is_asking = False
            if status in REFUSALS:
                on_ready()
            elif status is not None:
                on_failure("the server does not require the token: %s" % doorkeeper)

        doorkeeper = "`c.%s` is `%s`" % (place.setting, place.doorkeeper)
        self._api.request("GET", target, with_token, self._timing.start)
