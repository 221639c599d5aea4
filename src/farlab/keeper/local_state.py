"""What a keeper leaves on this machine's disk: what `store` remembers of its session, and its log."""

from __future__ import annotations

from dataclasses import asdict, replace

from .. import saved
from ..model import Target
from ..protocol.mux_messages import SessionInfo
from .boot import this_boot
from .log import KeeperLog


class LocalState:
    """`saved` is as it should be on the disk; `is_saved` says whether it is, as far as this keeper could do it."""

    def __init__(self, target: Target, port: int) -> None:
        known = saved.load(target)
        self.saved = known or saved.SavedSession(**asdict(target), port=port)
        self.is_saved, self.is_new = True, known is None
        """`is_new`: nothing was ever remembered of this session."""
        self.port, self._target = port, target
        self._log = KeeperLog(saved.log_path(target))
        self._is_removed = False
        self._logged_once: set[str] = set()

    def log(self, text: str) -> None:
        """One line of the log."""
        if not self._is_removed:
            self._log.write(text)

    def trim_log(self) -> None:
        """Keep the log within its bounds."""
        self._log.trim()

    def log_once(self, what: str, text: str) -> tuple[str, ...]:
        """One line of the log; the text where nothing was told of that before, for others to tell."""
        if what in self._logged_once:
            return ()
        self._logged_once.add(what)
        self.log(text)
        return (text,)

    def save(self, *, is_alive: bool, session: SessionInfo | None = None) -> None:
        """The session is reached at this port; whether it is alive, and what is shown of it without a keeper."""
        known = replace(self.saved, port=self.port, is_known_alive=is_alive, connected_in=this_boot())
        if session:
            app, base = session.app or "lab", session.base_url
            known = replace(known, node=session.node, directory=session.directory, app=app, base_url=base)
        self._save(known)

    def save_disconnected(self) -> None:
        """A user wants no keeper any more."""
        if not self.is_new and not self._is_removed:
            self._save(replace(self.saved, connected_in=""))

    def _save(self, known: saved.SavedSession) -> None:
        self.saved, self.is_new = known, False
        self.is_saved = saved.save(known)

    def rewrite_if_missing(self) -> None:
        """Write it again where it was removed, spoiled, or could not be written.

        Another machine with the same home may say otherwise.
        """
        saved.remove_stale(self._target)
        found = saved.load(self._target)
        is_other_machines = self.is_saved and found is not None and found.port != self.saved.port
        if found != self.saved and not is_other_machines and not self._is_removed:
            self.is_saved = saved.save(self.saved)

    def remove(self) -> None:
        """Forget all of it, for good: not a word is written any more."""
        self._is_removed = True
        saved.delete(self._target)
