"""The exchange with the agent that ends with the link joined to the session: then the mux begins."""

from __future__ import annotations

import base64
from collections.abc import Callable

from ..mux import frames
from ..protocol.agent import Ensure, Joined, Need, Progress
from ..protocol.records import Record
from . import bootstrap
from .link import Link


async def handshake(
    link: Link, request: Ensure, early: bytes, on_progress: Callable[[str, str], None], *, is_likely_alive: bool
) -> Joined:
    """Have the agent find or start the session and join the link to it, with `early` as the mux's first bytes.

    `request` says which session and with which options; the anchor's program goes with it where it is likely to be
    needed. `early` counts as never sent where an older version of the mux is spoken. Raises what the agent reports.
    """
    bundle = bootstrap.bundle()
    request.early = base64.b64encode(early).decode()
    await link.request(request, b"" if is_likely_alive else bundle)
    while True:
        frame = await link.receive()
        if isinstance(frame, Need):
            await link.request(Record(), bundle)
        elif isinstance(frame, Progress):
            on_progress(frame.progress, frame.text)
        elif isinstance(frame, Joined):
            frame.mux = 1 if frame.mux == 1 else frames.VERSION
            return frame
