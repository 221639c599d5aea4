"""Stub hosts that go on after the agent has joined: an anchor and a server of a few lines, which say what a test wants.

They speak version 1 of the mux, as an older session does: `docs/protocol.md`. Beside what `stub_ssh` offers:

    join()                  let the keeper join, and greet it
    message(words)          one MESSAGE; `up(**more)` the session, with other values
    frame_of(kind, stream, payload)     a frame as bytes, for `raw`
    serve(until=None)       answer the keeper's frames (streams by HTTP, pings) for ever, or for so many seconds
    ANSWERS                 what the server says to a path, as a function of the rest of the head
"""

from __future__ import annotations

import textwrap

import stub_ssh
from bed import Laptop

_MUX = r"""
import select, struct, time
SESSION = {
    "state": "up", "node": "evil", "launcher": "tmux", "transport": "unix", "app": "lab", "server": "jupyter_server 2",
    "base_url": "/", "token": "t" * 48, "directory": "/home/evil", "home": "/home/evil", "asked": "", "environment": "",
    "pid": 4711, "answers": True, "keep_output": False,
}
ANSWERS = {"/api/kernels": lambda: b"[]", "/api/sessions": lambda: b"[]"}
counted, waiting, asked = 0, b"", {}

def frame_of(kind, stream=0, payload=b""):
    return struct.pack(">II", kind << 24 | len(payload), stream) + payload

def message(words):
    raw(frame_of(21, 0, json.dumps(words).encode()))

def up(**more):
    message({"session": dict(SESSION, **more)})

def came(seconds=None):
    # the next frame of the keeper's, or None after so many seconds
    global waiting
    while True:
        if len(waiting) >= 8:
            word, stream = struct.unpack(">II", waiting[:8])
            end = 8 + (word & 0xFFFFFF)
            if len(waiting) >= end:
                payload, waiting = waiting[8:end], waiting[end:]
                return word >> 24, stream, payload
        if seconds is not None and not select.select([0], [], [], seconds)[0]:
            return None
        data = os.read(0, 1 << 16)
        if not data:
            os._exit(0)
        waiting += data

def join():
    global waiting
    words = hear()
    if "serial" not in words:
        import base64
        waiting = base64.b64decode(words["early"])
    say({"joined": True, "reused": True, "mux": 1, "session": {}})
    kind, _, payload = came()
    hello = json.loads(payload)
    answer = {"version": 1, "line": hello["line"], "life": hello["link"], "received": 0}
    raw(frame_of(1, 0, json.dumps(answer).encode()))

def answer(kind, stream, payload):
    global counted
    if kind >= 16:
        counted += 1
    if kind == 3:
        raw(frame_of(4, 0, struct.pack(">Q", counted) + payload[8:]))
    elif kind in (16, 17):
        asked[stream] = asked.get(stream, b"") + (payload[1 + payload[0] :] if kind == 16 else payload)
        if b"\r\n\r\n" in asked[stream]:
            path = asked.pop(stream).split(b" ", 2)[1].decode().partition("?")[0]
            body = ANSWERS.get(path, lambda: b"{}")()
            head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            whole = head + body
            for at in range(0, len(whole), 200_000):
                raw(frame_of(17, stream, whole[at : at + 200_000]))
            raw(frame_of(18, stream))

def serve(until=None):
    end = None if until is None else time.monotonic() + until
    while True:
        frame = came(None if end is None else max(end - time.monotonic(), 0))
        if frame is not None:
            answer(*frame)
        elif time.monotonic() >= end:
            return
"""


def program(body: str) -> str:
    """The source of such a host, for `stub_ssh`."""
    return _MUX + textwrap.dedent(body)


def write(laptop: Laptop, body: str) -> None:
    """Make `ssh` of that laptop a host that does what `body` says."""
    stub_ssh.write(laptop, program(body))
