"""What the keeper asks the notebook server itself, over the line like any browser; never a kernel's WebSocket."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

from ...model import Kernel
from ..process import Keeper
from .pages import base_path

_TIMEOUT = 5.0
_MOST = 4 << 20


class Rest:
    """Questions to the server behind a keeper's line."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def kernels(self) -> tuple[Kernel, ...] | None:
        """Every kernel with its notebook; None where the server does not answer in time."""
        kernels, sessions = await asyncio.gather(self._get("api/kernels"), self._get("api/sessions"))
        if not isinstance(kernels, list):
            return None
        notebooks = {}
        for each in sessions if isinstance(sessions, list) else ():
            if isinstance(each, dict) and isinstance(each.get("kernel"), dict):
                notebooks[each["kernel"].get("id")] = str(each.get("path") or each.get("name") or "")
        return tuple(
            Kernel(
                id=str(each.get("id")),
                name=str(each.get("name")),
                state=str(each.get("execution_state")),
                notebook=notebooks.get(each.get("id"), ""),
                last_activity=str(each.get("last_activity")),
            )
            for each in kernels
            if isinstance(each, dict)
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
                self._keeper.join(theirs, head.encode())
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
