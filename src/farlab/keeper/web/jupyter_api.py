"""Asks the notebook server about its kernels, over the mux like any browser; never a kernel's WebSocket."""

from __future__ import annotations

import asyncio
import socket
import time
from urllib.parse import quote

from ...model import Kernel, State
from ...protocol import http_response, jupyter
from ...transport.from_host import kernels
from .. import notes
from ..keeper import Keeper
from ..timing import Timing
from .addresses import base_path, places_of

_TIMEOUT = 5.0
_MAX_RESPONSE = 512 << 10
"""Bytes of one response: a thousand kernels and more. JSON may take twenty times as much memory once it is read."""


class JupyterApi:
    """Requests to the server of one keeper's session."""

    def __init__(self, keeper: Keeper, timing: Timing) -> None:
        self._keeper, self._timing = keeper, timing
        self._starting: dict[str, float] = {}
        """Since when (monotonic) each kernel is known that has not answered yet, by its id."""
        self.last_kernels: tuple[Kernel, ...] | None = None
        """Those of the last answer."""
        self.last_kernels_at: float | None = None
        """Unix time of that answer."""

    @property
    def is_responsive(self) -> bool:
        """Whether the server is up and answered the anchor's last probe."""
        return self._keeper.state is State.UP and self._keeper.session.answers

    async def kernels(self) -> tuple[Kernel, ...] | None:
        """Every kernel with its notebook; None where the server does not answer in time, or is not up."""
        if not self.is_responsive:
            return None
        bodies = await asyncio.gather(self._get("api/kernels"), self._get("api/sessions"))
        found = kernels(jupyter.kernels(*bodies))
        if found is not None:
            self.last_kernels, self.last_kernels_at = found, time.time()
            self._note_silent(found)
        return found

    def _note_silent(self, found: tuple[Kernel, ...]) -> None:
        """Tell the user of a kernel that was started and does not answer: a page only says that it is being started."""
        now, starting = time.monotonic(), [kernel for kernel in found if kernel.state == "starting"]
        self._starting = {kernel.id: self._starting.get(kernel.id, now) for kernel in starting}
        for kernel in starting:
            if now - self._starting[kernel.id] >= self._timing.kernel_patience:
                self._keeper.tell(f"silent {kernel.id}", notes.silent_kernel(self._keeper.target, kernel))

    async def watch(self) -> None:
        """Ask now and then, so that there is something to tell when the server cannot be asked."""
        while True:
            interval = self._timing.kernel_patience if self._starting else self._timing.kernel_interval
            if self.last_kernels_at is None or time.time() - self.last_kernels_at >= interval:
                await self.kernels()
            changed = asyncio.create_task(self._keeper.changed.wait())
            await asyncio.wait({changed}, timeout=interval)
            changed.cancel()

    async def place_of(self, notebook: str) -> tuple[str | None, bool]:
        """The path on the server of a notebook, named as on the host, None where it has none; and whether it could."""
        places = places_of(notebook, self._keeper.session)
        for place in places:
            if (await self._ask("api/contents/" + quote(place, errors="surrogateescape"), "&content=0"))[0] != 404:
                return place, True
        return None, bool(places)

    async def _get(self, path: str) -> bytes:
        """The JSON behind `path`, or nothing."""
        status, body = await self._ask(path)
        return body if status == 200 else b""

    async def _ask(self, path: str, query: str = "") -> tuple[int | None, bytes]:
        """The status and the body of the answer; None where there is none."""
        session = self._keeper.session
        target = base_path(session.base_url) + path
        # no_track_activity: a watcher must not keep an idle server from its own shutdown
        head = f"GET {target}?no_track_activity=1{query} HTTP/1.0\r\nHost: localhost\r\n"
        head += f"Authorization: token {session.token}\r\n\r\n"
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            try:
                self._keeper.open_stream(theirs, head.encode())
            except ValueError:  # too many streams
                theirs.close()
                return None, b""
            try:
                async with asyncio.timeout(_TIMEOUT):
                    answer = await self._read(ours)
            except (TimeoutError, OSError):
                return None, b""
        return http_response.parse(answer)

    async def _read(self, sock: socket.socket) -> bytes:
        answer = b""
        while len(answer) < _MAX_RESPONSE:
            data = await asyncio.get_running_loop().sock_recv(sock, 1 << 16)
            if not data:
                break
            answer += data
        return answer
