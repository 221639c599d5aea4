"""`python -m farlab.keeper`: reads which session from standard input, says on standard output when it listens."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from typing import Any

from .. import store
from ..errors import FarlabError, PortBusy
from ..model import State, Target
from . import control
from .desk import Desk
from .process import Keeper
from .spawn import socket_path

ENDED_LIFE = 600.0
"""Seconds a keeper goes on telling the browser that its session has ended."""


def bind(wanted: int | None, remembered: int | None) -> tuple[socket.socket, str]:
    """The listener on loopback, and a note where it is not the port that it was. Raises PortBusy."""
    for port in [wanted] if wanted else [remembered or 0, 0]:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(1024)
        except OSError as error:
            listener.close()
            if wanted:
                raise PortBusy(
                    f"port {wanted} on this machine cannot be had", detail=os.strerror(error.errno or 0)
                ) from error
            continue
        got = listener.getsockname()[1]
        return (
            listener,
            f"port {remembered} is taken; the address is now on port {got}" if remembered and got != remembered else "",
        )
    raise PortBusy("no port of this machine can be had")


async def keep(words: dict[str, Any], say: Any) -> None:
    """Be the keeper until somebody ends it."""
    target = Target(host=words["host"], name=words["name"], ssh_config=words["ssh_config"])
    memory = store.recall(target)
    listener, note = bind(words["port"], memory.port if memory else None)
    path = socket_path(target)
    keeper = Keeper(target, listener, str(path))
    keeper.notes = (note,) if note else ()
    desk = Desk(keeper)
    server = await control.serve(path, desk.serve)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, desk.over.set)
    say({"ready": True})
    keeping = asyncio.create_task(keeper.keep())
    ending = asyncio.create_task(_until_over(keeper, desk))
    try:
        await asyncio.wait({keeping, ending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        path.unlink(missing_ok=True)
        for task in (keeping, ending):
            task.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await keeper.close(message=None if keeper.was_up else {"cancel": True})
        server.close()
    if not keeping.cancelled():
        keeping.result()  # it ends by itself only by a bug: that goes to the log
    elif not keeper.was_up and memory is None:
        store.forget(target)


async def _until_over(keeper: Keeper, desk: Desk) -> None:
    while not desk.over.is_set():
        over = asyncio.create_task(desk.over.wait())
        await asyncio.wait({over}, timeout=60.0)
        over.cancel()
        if keeper.state is State.ENDED and time.time() - keeper.since > ENDED_LIFE:
            return


def main() -> None:
    words = json.load(sys.stdin)
    out = os.dup(1)
    for number in (0, 1):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)

    def say(answer: dict[str, Any]) -> None:
        os.write(out, json.dumps(answer).encode())
        os.close(out)

    os.umask(0o077)
    try:
        asyncio.run(keep(words, say))
    except FarlabError as error:
        say({"error": error.as_json()})


main()
