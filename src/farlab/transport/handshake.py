"""The talk with the agent until the link can carry the line."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..mux import frames
from . import bootstrap
from .host_messages import Progress
from .link import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A link that the agent has joined to the session. `mux`: the version of it that is spoken there."""

    reused: bool
    mux: int


async def join(
    link: Link, words: dict[str, Any], early: bytes, tell: Callable[[str, str], None], *, is_likely_alive: bool
) -> Joined:
    """Have the agent find or start the session and join the link to it, with `early` as the line's first bytes.

    `words` say which session and what it shall be; the anchor's program travels along where it is likely to be needed.
    `early` counts as never sent where an older version of the mux is spoken. Raises what the agent reports.
    """
    bundle = bootstrap.bundle()
    request = {**words, "op": "ensure", "early": base64.b64encode(early).decode()}
    await link.request(request, b"" if is_likely_alive else bundle)
    while True:
        frame = await link.frame()
        if "need" in frame:
            await link.request({}, bundle)
        elif "progress" in frame:
            said = Progress.read_leniently(frame)
            tell(said.progress, said.text)
        elif frame.get("joined"):
            return Joined(reused=bool(frame.get("reused")), mux=1 if frame.get("mux") == 1 else frames.VERSION)
