"""The frames of the line, as bytes. Pure; Python 3.6. `docs/protocol.md` describes the wire.

    frame  = kind (1 byte), length of the payload (3), stream (4), payload; big-endian

Whatever arrives, nothing but `ProtocolError` is raised. Annotations are quoted, so that the host need not
import `typing`.
"""

import json
import struct
from collections.abc import Iterator

VERSION = 1
HELLO, ACK, PING, PONG = 1, 2, 3, 4
OPEN, DATA, EOF, RESET, WINDOW, MESSAGE = 16, 17, 18, 19, 20, 21
COUNTED = frozenset((OPEN, DATA, EOF, RESET, WINDOW, MESSAGE))

MAX_PAYLOAD = 256 * 1024
MAX_TEXT = 64 * 1024
"""Most bytes of a HELLO or a MESSAGE."""
FIRST_WINDOW = 2 * 1024 * 1024
"""Bytes that may be sent on a new stream before the first WINDOW arrives."""
MAX_CREDIT = 1 << 32
"""Most bytes that may ever be open to be sent on a stream."""

HEAD = struct.Struct(">II")
COUNT = struct.Struct(">Q")
BEAT = struct.Struct(">Q8s")
CREDIT = struct.Struct(">I")


class ProtocolError(Exception):
    """The other end broke the protocol, or is not one. The link is of no further use."""


def head(kind: int, stream: int, length: int) -> bytes:
    """The first 8 bytes of a frame."""
    return HEAD.pack(kind << 24 | length, stream)


def encode(kind: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame as bytes."""
    return HEAD.pack(kind << 24 | len(payload), stream) + payload


def encode_text(kind: int, value: "dict[str, object]") -> bytes:
    """A frame whose payload is a JSON object; `ValueError` if that is too long."""
    payload = json.dumps(value, separators=(",", ":")).encode()
    if len(payload) > MAX_TEXT:
        raise ValueError("text of %d bytes" % len(payload))
    return encode(kind, 0, payload)


def parse_text(payload: "bytes | memoryview") -> "dict[str, object]":
    """The JSON object that a payload is."""
    if len(payload) > MAX_TEXT:
        raise ProtocolError("text of %d bytes" % len(payload))
    try:
        value = json.loads(bytes(payload).decode())
    except (ValueError, RecursionError) as error:
        raise ProtocolError("text that is not JSON: %s" % type(error).__name__) from None
    if not isinstance(value, dict):
        raise ProtocolError("text that is not an object")
    return value


def count_of(hello: "dict[str, object]", key: str) -> int:
    """A field of a hello that counts something."""
    value = hello.get(key)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ProtocolError("hello without a proper %r" % key)
    return value


def check_hello(payload: "bytes | memoryview") -> "dict[str, object]":
    """The fields of a HELLO that both ends say; more may be there."""
    hello = parse_text(payload)
    line = hello.get("line")
    if not isinstance(line, str) or not 16 <= len(line) <= 64 or not line.isalnum() or max(line) > "z":
        raise ProtocolError("hello without a proper line")
    if count_of(hello, "version") < 1:
        raise ProtocolError("hello of no version")
    count_of(hello, "life")
    count_of(hello, "received")
    return hello


def read_hello(data: bytes) -> "tuple[dict[str, object], bytes] | None":
    """Split what a new link brought into its HELLO and the rest.

    Returns `(hello, rest)`, or None while the frame is incomplete. For the answerer, who must know which
    line a link belongs to before it can hand it the bytes.
    """
    if data and data[0] != HELLO:
        raise ProtocolError("a link that does not begin with a hello")
    if len(data) < HEAD.size:
        return None
    word, stream = HEAD.unpack_from(data)
    if stream or word & 0xFFFFFF > MAX_TEXT:
        raise ProtocolError("a hello on stream %d of %d bytes" % (stream, word & 0xFFFFFF))
    end = HEAD.size + (word & 0xFFFFFF)
    if len(data) < end:
        return None
    hello = check_hello(data[HEAD.size : end])
    count_of(hello, "link")
    return hello, data[end:]


class Frames(object):
    """Cuts what a link brings into frames.

    A large payload is a view of what was read, a small one a copy: whoever keeps it keeps no more than four
    times its size in memory.
    """

    def __init__(self) -> None:
        self._parts = []  # type: list[bytes | memoryview]
        self._size = 0
        self._need = HEAD.size

    @property
    def is_partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._size > 0

    def feed(self, data: bytes) -> "Iterator[tuple[int, int, bytes | memoryview]]":
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
            end = at + HEAD.size + length
            if end > size:
                self._need = end - at
                break
            payload = view[at + HEAD.size : end]
            yield word >> 24, stream, payload if length * 4 > size else payload.tobytes()
            at = end
        self._parts = [view[at:]] if at < size else []
        self._size = size - at
