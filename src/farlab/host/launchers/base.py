"""What a launcher must be able to do. Standard library, Python 3.6.

A handle is a dict of strings: what the launcher finds again by it what it has started. It is in the session's record;
the anchor is told its launcher's name and its handle, and has no need to guess.
"""

MYPY = False
if MYPY:
    from typing import Dict, List, Optional

    Handle = Dict[str, str]


class Hold(object):
    """What the anchor has in hand of what it was started in: here nothing."""

    is_crashed = False
    """Whether that has ended, and not by its user's wish."""
    grace = 0.0
    """Seconds after a SIGHUP in which that may show."""

    def release(self) -> None:
        """It may end for all the anchor cares."""

    def print(self, text: str) -> None:
        """Show `text` to a user who attaches."""

    def close(self) -> None:
        """End it, the anchor's own place in it last."""


class Launcher(object):
    """One way to start the anchor. What is not said otherwise is true of a mere process."""

    name = ""

    def is_available(self) -> bool:
        """Whether it is worth a try on this host."""
        return True

    def handle_for(self, session: str) -> "Handle":
        """The handle of what is to be started for the session of that name."""
        return {}

    def start(self, handle: "Handle", argv: "List[str]") -> bool:
        """Start `argv`, which inherits nothing of the link. Whether that succeeded."""
        raise NotImplementedError

    def look(self, handle: "Handle") -> "Optional[List[int]]":
        """The pids of the processes that it has started and still holds; None where it does not know."""
        return None

    def has_lost(self, handle: "Handle") -> bool:
        """Whether it has ended what it started before that came to anything."""
        return False

    def attach_argv(self, handle: "Handle") -> "Optional[List[str]]":
        """What shows it to a user at a terminal of the host; None where there is nothing to see."""
        return None

    def stop(self, handle: "Handle", pid: int) -> None:
        """Remove what has stayed behind of it, if it is that of the anchor with this pid."""

    def hold(self, handle: "Handle") -> Hold:
        """For the anchor alone, which runs in it."""
        return Hold()
