"""The frames of the line, as bytes. Pure; Python 3.6. `docs/protocol.md` describes the wire.

    frame  = kind (1 byte), length of the payload (3), stream (4), payload; big-endian

Whatever arrives, nothing but `ProtocolError` is raised.
"""

import json
import struct

VERSION = 1
HELLO, ACK, PING, PONG = 1, 2, 3, 4
OPEN, DATA, EOF, RESET, WINDOW, MESSAGE = 16, 17, 18, 19, 20, 21
COUNTED = frozenset((OPEN, DATA, EOF, RESET, WINDOW, MESSAGE))

MAX_PAYLOAD = 256 * 1024
MAX_TEXT = 64 * 1024
"""Most bytes of a HELLO or a MESSAGE."""
FIRST_WINDOW = 2 * 1024 * 1024
"""Bytes that may be sent on a new stream before the first WINDOW arrives."""

HEAD = struct.Struct(">II")
COUNT = struct.Struct(">Q")
BEAT = struct.Struct(">Q8s")
CREDIT = struct.Struct(">I")


class ProtocolError(Exception):
    """The other end broke the protocol, or is not one. The link is of no further use."""


def encode(kind, stream, payload=b""):
    """One frame as bytes."""
    return HEAD.pack(kind << 24 | len(payload), stream) + payload


def encode_text(kind, value):
    return encode(kind, 0, json.dumps(value, separators=(",", ":")).encode())


def parse_text(payload):
    if len(payload) > MAX_TEXT:
        raise ProtocolError("text of %d bytes" % len(payload))
    try:
        value = json.loads(bytes(payload).decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError("text that is not JSON: %s" % type(error).__name__) from None
    if not isinstance(value, dict):
        raise ProtocolError("text that is not an object")
    return value


def count_of(hello, key):
    value = hello.get(key)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ProtocolError("hello without a proper %r" % key)
    return value


def check_hello(payload):
    hello = parse_text(payload)
    line_id = hello.get("line")
    if not isinstance(line_id, str) or not 16 <= len(line_id) <= 64 or not line_id.isalnum():
        raise ProtocolError("hello without a proper line")
    if count_of(hello, "version") < 1:
        raise ProtocolError("hello of no version")
    count_of(hello, "received")
    return hello


def read_hello(data):
    """Split what a new link brought into its HELLO and the rest.

    Returns `(hello, rest)`, or None while the frame is incomplete. For the answerer, who must know which
    line a link belongs to before it can hand it the bytes.
    """
    if len(data) < HEAD.size:
        return None
    word, stream = HEAD.unpack_from(data)
    if word >> 24 != HELLO or stream or word & 0xFFFFFF > MAX_TEXT:
        raise ProtocolError("a link that does not begin with a hello")
    end = HEAD.size + (word & 0xFFFFFF)
    if len(data) < end:
        return None
    return check_hello(data[HEAD.size : end]), data[end:]


class Frames(object):
    """Cuts what a link brings into frames; each payload is copied at most once."""

    def __init__(self):
        self._parts = []
        self._size = 0
        self._need = HEAD.size

    def feed(self, data):
        """Yield `(kind, stream, payload)` for each frame completed by `data`."""
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._need:
            return
        view = memoryview(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
        at, size = 0, len(view)
        self._need = HEAD.size
        while size - at >= HEAD.size:
            word, stream = HEAD.unpack_from(view, at)
            length = word & 0xFFFFFF
            if length > MAX_PAYLOAD:
                raise ProtocolError("frame of %d bytes" % length)
            if size - at < HEAD.size + length:
                self._need = HEAD.size + length
                break
            at += HEAD.size
            yield word >> 24, stream, view[at : at + length]
            at += length
        self._parts = [view[at:]] if at < size else []
        self._size = size - at
