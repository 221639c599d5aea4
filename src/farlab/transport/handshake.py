"""The exchange with the agent that ends with the link joined to the session: then the mux begins."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from ..mux import frames
from . import bootstrap
from .host_messages import Progress
from .link import Link, Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A link that the agent has joined to the session. `mux`: the version of it that is spoken there."""

    reused: bool
    mux: int


async def handshake(
    link: Link, message: Message, early: bytes, on_progress: Callable[[str, str], None], *, is_likely_alive: bool
) -> Joined:
    """Have the agent find or start the session and join the link to it, with `early` as the mux's first bytes.

    `message` says which session and with which options; the anchor's program goes with it where it is likely to be
    needed. `early` counts as never sent where an older version of the mux is spoken. Raises what the agent reports.
    """
    bundle = bootstrap.bundle()
    request = {**message, "op": "ensure", "early": base64.b64encode(early).decode()}
    await link.request(request, b"" if is_likely_alive else bundle)
    while True:
        frame = await link.receive()
        if "need" in frame:
            await link.request({}, bundle)
        elif "progress" in frame:
            progress = Progress.read_leniently(frame)
            on_progress(progress.progress, progress.text)
        elif frame.get("joined"):
            return Joined(reused=bool(frame.get("reused")), mux=1 if frame.get("mux") == 1 else frames.VERSION)
