"""What the processes between the login shell and the server say to the anchor. Standard library, Python 3.6."""

import os
import socket

from farlab.protocol import json_lines, peer
from farlab.protocol.launcher import Wanted

MYPY = False
if MYPY:
    from farlab.protocol.anchor import Request

MAX_ANSWER = 8 << 20


def tell(runtime: str, request: "Request", timeout: "float | None" = None) -> Wanted:
    """One request to the anchor, one answer; raises OSError where none comes within `timeout` seconds."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(os.path.join(runtime, "anchor.sock"))
        if not peer.is_same_user(sock):
            raise OSError("`%s` belongs to another user" % runtime)
        sock.sendall(json_lines.encoded(request))
        return Wanted.read(peer.receive(sock, json_lines.JsonLines(MAX_ANSWER)))
