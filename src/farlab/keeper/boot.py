"""Which sessions were connected when this machine was shut down: their keepers are gone, their tabs may be there."""

from __future__ import annotations

import os
import subprocess
import sys

from ..host.processes import boot_id
from ..saved import SavedSession


def this_boot() -> str:
    """The name of this machine and, after a space, what tells this boot from all others; empty where nothing does."""
    mark = boot_id()
    if not mark and sys.platform == "darwin":
        argv = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
        shown = subprocess.run(argv, capture_output=True, text=True, check=False)
        mark = shown.stdout.strip()
    return f"{os.uname().nodename} {mark}" if mark else ""


def was_connected_before(session: SavedSession) -> bool:
    """Whether a keeper of this very machine had it until the machine was shut down."""
    if not session.connected_in:
        return False
    here, there = this_boot(), session.connected_in
    return bool(here) and there != here and there.partition(" ")[0] == here.partition(" ")[0]
