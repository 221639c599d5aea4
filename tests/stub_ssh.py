"""Stub `ssh` programs: hosts that answer oddly, for failures that no real host gives on demand.

A stub is the real `ssh` for `ssh -G`, which asks no host; for a link it runs a few lines of Python that may use

    say(words)      one frame of the agent's, `raw(bytes)` bytes as they are, `complain(text)` text on stderr
    hear()          the keeper's next request as a dict, without what it brings along
    NONCE, wait()   the mark of this link's frames; wait for the other side to leave
"""

from __future__ import annotations

import sys
import textwrap

from bed import Laptop

_HEAD = r"""
import json, os, re, signal, sys, zlib
if "-G" in sys.argv:
    os.execv("/usr/bin/ssh", sys.argv)
NONCE = re.search(r'" ([0-9a-f]{16}) ', sys.argv[-1])[1].encode()

def raw(data):
    while data:
        data = data[os.write(1, data):]

def frame(body):
    return b"\n%s:%08x%08x%s" % (NONCE, len(body), zlib.crc32(body), body)

def say(words):
    raw(frame(json.dumps(words).encode()))

def complain(text):
    sys.stderr.write(text)
    sys.stderr.flush()

def read(size):
    data = b""
    while len(data) < size:
        part = os.read(0, size - len(data))
        if not part:
            os._exit(0)
        data += part
    return data

def hear():
    while read(1) != NONCE[:1] or read(len(NONCE) - 1) != NONCE[1:]:
        pass
    size = int(read(17)[1:9], 16)
    return json.loads(read(size).partition(b"\n")[0])

def wait():
    while os.read(0, 65536):
        pass
"""


def source(body: str) -> str:
    """A program for the place of `ssh` that does what `body` says."""
    return f"#!{sys.executable} -IS\n" + _HEAD + textwrap.dedent(body)


def write(laptop: Laptop, body: str) -> None:
    """Make `ssh` of that laptop such a program."""
    laptop.write_stub("ssh", source(body))
