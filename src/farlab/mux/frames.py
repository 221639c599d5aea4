"""The kinds of frames of the mux, and their payloads. Pure; Python 3.6. `codec` makes bytes of them.

Whatever arrives, these functions raise nothing but `ProtocolError`.
"""

import json
import struct

VERSION = 2
HELLO, ACK, PING, PONG, AGAIN, BEGIN = 1, 2, 3, 4, 5, 6
OPEN, DATA, EOF, RESET, WINDOW, MESSAGE = 16, 17, 18, 19, 20, 21
SEQUENCED = frozenset((OPEN, DATA, EOF, RESET, WINDOW, MESSAGE))

MAX_PAYLOAD = 256 * 1024
MAX_TEXT = 64 * 1024
"""Most bytes of a HELLO or a MESSAGE."""
INITIAL_WINDOW = 2 * 1024 * 1024
"""Bytes that may be sent on a new stream before the first WINDOW arrives."""
MAX_CREDIT = 1 << 32
"""Most credit that a stream may ever have, in bytes."""

HEADER = struct.Struct(">II")
COUNT = struct.Struct(">Q")
HEARTBEAT = struct.Struct(">Q8s")
CREDIT = struct.Struct(">I")
MISSED = struct.Struct(">QI")
SERIAL = struct.Struct(">I")
MISSED_HELLO = (1 << 64) - 1
"""The count in the AGAIN of a client that has no HELLO yet."""


class ProtocolError(Exception):
    """The other end broke the protocol, or does not speak it. The link is of no further use."""


def pack_text(value: object) -> bytes:
    """The payload for a JSON object. Raises `ValueError` if that is too long."""
    payload = json.dumps(value, separators=(",", ":"), default=vars).encode()
    if len(payload) > MAX_TEXT:
        raise ValueError("text of %d bytes" % len(payload))
    return payload


def parse_text(payload: "bytes | memoryview") -> "dict[str, object]":
    """The JSON object in a payload."""
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
    """A field of a hello that is a count."""
    value = hello.get(key)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ProtocolError("hello without a proper %r" % key)
    return value


def check_hello(payload: "bytes | memoryview") -> "dict[str, object]":
    """The HELLO in a payload, its common fields checked; there may be more."""
    hello = parse_text(payload)
    mux_id = hello.get("line")
    if not isinstance(mux_id, str) or not 16 <= len(mux_id) <= 64 or not mux_id.isalnum() or max(mux_id) > "z":
        raise ProtocolError("hello without a proper line")
    if count_of(hello, "version") < 1:
        raise ProtocolError("hello of no version")
    count_of(hello, "life")
    count_of(hello, "received")
    return hello
