"""What the processes between the login shell and the server say to the anchor. Standard library, Python 3.6."""

import json
import os
import socket

from farlab.protocol import peer

MYPY = False
if MYPY:
    from typing import Any, Dict, Optional


def tell(runtime: str, timeout: "Optional[float]" = None, **message: "Any") -> "Dict[str, Any]":
    """One request to the anchor, one answer; raises OSError where none comes within `timeout` seconds."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(os.path.join(runtime, "anchor.sock"))
        if not peer.is_same_user(sock):
            raise OSError("`%s` belongs to another user" % runtime)
        sock.sendall(json.dumps(message).encode() + b"\n")
        with sock.makefile("rb") as answers:
            return dict(json.loads(answers.readline().decode()))
