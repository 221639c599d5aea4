"""The talk with the agent until the link can carry the line."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from ...remote import bootstrap
from .link import Link


async def join(
    link: Link, words: dict[str, Any], early: bytes, tell: Callable[[str, str], None], *, is_likely_alive: bool
) -> bool:
    """Have the agent find or start the session and join the link to it, with `early` as the line's first bytes.

    `words` say which session and what it shall be; the anchor's program travels along where it is likely to be needed.
    Returns whether the session was there already. Raises what the agent reports.
    """
    bundle = bootstrap.bundle()
    request = {**words, "op": "ensure", "early": base64.b64encode(early).decode()}
    await link.request(request, b"" if is_likely_alive else bundle)
    while True:
        frame = await link.frame()
        if "need" in frame:
            await link.request({}, bundle)
        elif "progress" in frame:
            tell(str(frame["progress"]), str(frame.get("text", "")))
        elif frame.get("joined"):
            return bool(frame.get("reused"))
