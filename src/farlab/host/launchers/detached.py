"""A mere process: of its own session and process group, without a terminal. Standard library, Python 3.6."""

import os

from farlab.host.launchers.base import Launcher

MYPY = False
if MYPY:
    from typing import List

    from farlab.host.launchers.base import Handle


class Detached(Launcher):
    """Where nothing else is."""

    name = "detached"

    def start(self, handle: "Handle", argv: "List[str]") -> bool:
        if os.fork():
            os.wait()
            return True
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.execv(argv[0], argv)
        os._exit(0)
