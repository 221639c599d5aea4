"""Messages as lines of JSON, each an object: how the processes of one machine talk. Pure; Python 3.6."""

import json

from farlab.protocol.records import InvalidMessage

MYPY = False
if MYPY:
    from typing import Any


class JsonLines(object):
    """Finds the messages in the bytes that come: `feed` it, and take `next` until there is none."""

    def __init__(self, most: int) -> None:
        """`most`: bytes of one line."""
        self._most = most
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        """More bytes have come."""
        self._buffer += data

    def next(self) -> "dict[str, Any] | None":
        """The next message, None where it has not come yet. Raises InvalidMessage, after which nothing more is sure."""
        line, newline, rest = self._buffer.partition(b"\n")
        if len(line) > self._most:
            raise InvalidMessage("a line of more than %d bytes" % self._most)
        if not newline:
            return None
        self._buffer = rest
        return decoded(line)


def encoded(message: object) -> bytes:
    """A message, a record or a dictionary, as one line."""
    return json.dumps(message, default=vars).encode() + b"\n"


def decoded(line: bytes) -> "dict[str, Any]":
    """The message that a line is. Raises InvalidMessage."""
    try:
        message = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise InvalidMessage("no JSON") from None
    if not isinstance(message, dict):
        raise InvalidMessage("no object")
    return message
