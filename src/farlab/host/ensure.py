"""Finds or starts the session, and joins the link to it. Standard library, Python 3.6.

What a link to a running session does not need is imported late: each such link waits for the rest.
"""

import array
import os
import socket
from contextlib import suppress

from farlab.host import processes
from farlab.host.failure import Failure
from farlab.host.session_files import Session
from farlab.protocol.agent import Ensure, Joined
from farlab.protocol.anchor import Join, Joining

MYPY = False
if MYPY:
    from typing import Any

    from farlab.host.loader import Link

MUX = 2
"""The version of the mux that the laptop speaks. The anchor may be older."""
ENDING = 0.5
"""Seconds from an anchor's last word to the end of its process."""


def run(link: "Link", message: "dict[str, Any]") -> None:
    """Find or start the session, and carry the mux: ends with the link."""
    request = Ensure.read(message)
    session = Session(request.name, request.node)
    if request.existing:
        session.refuse_another(request.node)

    def find_or_start() -> bool:
        """Whether the session was found; it runs in any case."""
        if session.state == "alive":
            return True
        from farlab.host.lock import Lock
        from farlab.host.start import start

        with Lock(session.name, link):
            if session.look().state == "alive":
                return True
            start(link, request, session, message["brought"], message["umask"])
        return False

    reused = find_or_start()
    join_request = Join(op="join", mux=MUX)
    try:
        sock, answer = session.ask(join_request, Joining)
    except Failure:
        if not reused or not processes.wait_until(lambda: session.look().state != "alive", ENDING):
            raise
        reused = find_or_start()  # it was about to end
        sock, answer = session.ask(join_request, Joining)
    link.send(Joined(joined=True, reused=reused, mux=answer.mux, elsewhere=session.elsewhere))
    hand_over(sock, (request.early if answer.mux == MUX else "").encode() + b"\n")


def hand_over(sock: socket.socket, early: bytes) -> None:
    """Give the anchor the link's two descriptors, and `early`; return when it lets go of the link, or ends."""
    sent = sock.sendmsg([early], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1]))])
    sock.sendall(early[sent:])
    sock.settimeout(None)
    for fd in (0, 1):
        os.close(fd)
    with suppress(OSError):
        sock.recv(1)
