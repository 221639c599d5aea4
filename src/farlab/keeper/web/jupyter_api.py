"""What the keeper asks the notebook server itself, over the line like any browser; never a kernel's WebSocket."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from ...model import Kernel
from ...transport.host_messages import KernelTold, listed
from ..keeper import Keeper
from .pages import base_path

_TIMEOUT = 5.0
_MOST = 512 << 10
"""Bytes of one answer: a thousand kernels and more. What JSON is read into may take twenty times as much."""
_NAMES = {
    **{name: name for name in ("id", "name", "last_activity")},
    "state": "execution_state",
    "private": "farlab_private",
}
"""What we call things, and what the server does."""


class JupyterApi:
    """Questions to the server behind a keeper's line."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def kernels(self) -> tuple[Kernel, ...] | None:
        """Every kernel with its notebook; None where the server does not answer in time."""
        kernels, sessions = await asyncio.gather(self._get("api/kernels"), self._get("api/sessions"))
        if not isinstance(kernels, list):
            return None
        notebooks = {}
        for each in listed(sessions):
            if isinstance(each.get("kernel"), dict):
                notebooks[str(each["kernel"].get("id"))] = each.get("path") or each.get("name")
        return tuple(
            Kernel(
                **KernelTold.read_leniently(
                    {ours: each.get(theirs) for ours, theirs in _NAMES.items()}
                    | {"notebook": notebooks.get(str(each.get("id")))}
                ).values()
            )
            for each in listed(kernels)
        )

    async def _get(self, path: str) -> Any:
        """The JSON behind `path`, or None."""
        session = self._keeper.session
        target = base_path(session.base_url) + path
        # no_track_activity: a watcher must not keep an idle server from its own shutdown
        head = f"GET {target}?no_track_activity=1 HTTP/1.0\r\nHost: localhost\r\n"
        head += f"Authorization: token {session.token}\r\n\r\n"
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with ours:
            try:
                self._keeper.open_stream(theirs, head.encode())
            except ValueError:  # too many streams
                theirs.close()
                return None
            try:
                async with asyncio.timeout(_TIMEOUT):
                    answer = await self._read(ours)
            except (TimeoutError, OSError):
                return None
        head_bytes, _, body = answer.partition(b"\r\n\r\n")
        try:
            return json.loads(body) if head_bytes.split(b" ", 2)[1:2] == [b"200"] else None
        except (ValueError, RecursionError):
            return None

    async def _read(self, sock: socket.socket) -> bytes:
        answer = b""
        while len(answer) < _MOST:
            data = await asyncio.get_running_loop().sock_recv(sock, 1 << 16)
            if not data:
                break
            answer += data
        return answer
