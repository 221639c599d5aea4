"""Connects again what was connected when this machine was shut down, so that the tabs of before are live again."""

from __future__ import annotations

from contextlib import suppress

from .. import saved
from ..errors import FarlabError
from ..keeper.boot import was_connected_before
from ..model import SessionOptions, Target
from . import spawn


def resume_all() -> list[Target]:
    """Start a keeper for each such session, which goes on by itself; those that were started."""
    resumed = []
    for known in saved.load_all():
        if was_connected_before(known):
            with suppress(FarlabError):  # `connect` says what is wrong
                spawn.find_or_start(known.target, SessionOptions(), may_ask=False, is_resumed=True).close()
                resumed.append(known.target)
    return resumed
