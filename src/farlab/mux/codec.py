"""Frames as bytes on one link, in both versions of the protocol. Pure; Python 3.6. `docs/protocol.md` has the details.

    version 1   kind (1), length of the payload (3), stream (4), payload
    version 2   mark (2), kind (1), length (3), stream (4), number (4), check of the payload (4), check of all that
                stands before it (4), payload; the checks are CRC-32, begun with a key

All numbers are big-endian. Programs that the start-up files of an account have started may print into a link at any
moment: version 2 skips whatever is no frame, and a key of its own for each link and direction keeps it from taking
somebody's data that looks like a frame for one.
"""

import struct
import zlib
from collections.abc import Iterator

from farlab.mux import frames
from farlab.mux.frames import HEADER, MAX_PAYLOAD, MAX_TEXT, ProtocolError

GAP = -1
"""Kind that stands for skipped bytes, which were no frame."""
JOIN_LIMIT = 4 * 1024
"""Header and payload of a frame up to this size become one buffer."""
MARK = 0xF5FB
"""Begins each frame of version 2: two bytes that no text in UTF-8 has."""
CHECKED = struct.Struct(">HIIII")
CHECK = struct.Struct(">I")
HEADER_SIZE = CHECKED.size + CHECK.size
"""Bytes before the payload."""
NOISE_SAMPLE = 200
"""Skipped bytes that are remembered."""
_MARK = struct.pack(">H", MARK)


class PlainCodec(object):
    """Version 1: checks nothing; there must be nothing but frames on the link.

    A large payload is a view of what was read, a small one a copy: a reader that keeps it holds no more than four
    times its size in memory.
    """

    version = 1
    noise = b""

    def __init__(self) -> None:
        self._parts = []  # type: list[bytes | memoryview]
        self._size = 0
        self._need = HEADER.size
        self.frame_bytes = 0

    @property
    def is_partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._size > 0

    def pack(
        self, kind: int, stream: int, number: int, payload: "bytes | memoryview"
    ) -> "tuple[bytes | memoryview, ...]":
        """One frame as buffers; version 1 does not write its number."""
        head = HEADER.pack(kind << 24 | len(payload), stream)
        return (head + payload,) if len(payload) <= JOIN_LIMIT else (head, payload)

    def feed(self, data: bytes) -> "Iterator[tuple[int, int, int | None, bytes | memoryview]]":
        """Yield `(kind, stream, None, payload)` for each frame completed by `data`."""
        self.frame_bytes += len(data)
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._need:
            return
        view = memoryview(self._parts[0] if len(self._parts) == 1 else b"".join(self._parts))
        at, size = 0, len(view)
        self._need = HEADER.size
        while size - at >= HEADER.size:
            word, stream = HEADER.unpack_from(view, at)
            length = word & 0xFFFFFF
            if length > MAX_PAYLOAD:
                raise ProtocolError("frame of %d bytes" % length)
            end = at + HEADER.size + length
            if end > size:
                self._need = end - at
                break
            payload = view[at + HEADER.size : end]
            yield word >> 24, stream, None, payload if length * 4 > size else payload.tobytes()
            at = end
        self._parts = [view[at:]] if at < size else []
        self._size = size - at


class CheckedCodec(object):
    """Version 2: `key_in` and `key_out` are the keys of the two directions. Raises nothing, whatever comes."""

    version = 2

    def __init__(self, key_in: int, key_out: int) -> None:
        self._key_in, self._key_out = key_in, key_out
        self._parts = []  # type: list[bytes]
        self._size = 0
        self._need = 1
        self._in_frames = 0
        self.noise = b""
        """The first skipped bytes."""

    @property
    def frame_bytes(self) -> int:
        """Bytes that have come in frames, among them those of a frame that is not whole yet."""
        return self._in_frames + (self._size if self.is_partial else 0)

    @property
    def is_partial(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._need > HEADER_SIZE

    def pack(
        self, kind: int, stream: int, number: int, payload: "bytes | memoryview"
    ) -> "tuple[bytes | memoryview, ...]":
        """One frame as buffers, with the last 32 bits of its number."""
        checksum, key = zlib.crc32(payload, self._key_out), self._key_out
        head = CHECKED.pack(MARK, kind << 24 | len(payload), stream, number & 0xFFFFFFFF, checksum)
        head += CHECK.pack(zlib.crc32(head, key))
        return (head + payload,) if len(payload) <= JOIN_LIMIT else (head, payload)

    def feed(self, data: bytes) -> "Iterator[tuple[int, int, int | None, bytes | memoryview]]":
        """Yield `(kind, stream, number, payload)` for each frame completed by `data`, `(BAD, 0, 0, b"")` for a gap."""
        whole = self._size + len(data)
        late = whole - len(data) if self.is_partial and len(data) <= JOIN_LIMIT and self._holds_head(data) else 0
        self._parts.append(data)
        self._size = whole
        if whole < self._need and not late:
            return
        text = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        view, at, size, begun = memoryview(text), 0, len(text), 0
        while True:
            self._need, frame = self.parse(view, at)
            if self._need > size - at and at >= late:
                break
            if frame is None:
                at = _next_mark(text, at + 1)
                continue
            if begun < at:
                yield self._skip(text[begun:at])
            kind, stream, number, payload = frame
            self._in_frames += self._need
            at = begun = at + self._need
            yield kind, stream, number, payload if len(payload) * 4 > size else payload.tobytes()
        if begun < at:
            yield self._skip(text[begun:at])
        self._parts = [text[at:]] if at < size else []
        self._size = size - at

    def parse(self, view: memoryview, at: int) -> "tuple[int, tuple[int, int, int, memoryview] | None]":
        """How many bytes from `at` on it takes to know what is there; and the frame, None where there is none."""
        left = len(view) - at
        if left < HEADER_SIZE:
            return (HEADER_SIZE if left and view[at : at + 2] == _MARK[:left] else 1), None
        mark, word, stream, number, check = CHECKED.unpack_from(view, at)
        length = word & 0xFFFFFF
        is_head = mark == MARK and length <= MAX_PAYLOAD
        is_head = is_head and CHECK.unpack_from(view, at + CHECKED.size)[0] == self._checksum(
            view[at : at + CHECKED.size]
        )
        if not is_head:
            return 1, None
        if left < HEADER_SIZE + length:
            return HEADER_SIZE + length, None
        payload = view[at + HEADER_SIZE : at + HEADER_SIZE + length]
        if self._checksum(payload) != check:
            return 1, None
        return HEADER_SIZE + length, (word >> 24, stream, number, payload)

    def _holds_head(self, data: bytes) -> bool:
        """Whether a frame begins in `data`: then one that began before and is not whole yet never will be.

        Other programs have read part of it. Waiting for the rest would swallow one heartbeat after another.
        """
        view, at = memoryview(data), data.find(_MARK)
        while 0 <= at <= len(data) - HEADER_SIZE:
            if self.parse(view, at)[0] >= HEADER_SIZE:
                return True
            at = data.find(_MARK, at + 1)
        return False

    def _checksum(self, data: memoryview) -> int:
        return zlib.crc32(data, self._key_in)

    def _skip(self, text: bytes) -> "tuple[int, int, int | None, bytes | memoryview]":
        self.noise += text[: NOISE_SAMPLE - len(self.noise)]
        return GAP, 0, 0, b""


def _next_mark(text: bytes, at: int) -> int:
    """Where the next frame may begin, from `at` on."""
    found = text.find(_MARK, at)
    if found >= 0:
        return found
    return len(text) - 1 if text.endswith(_MARK[:1]) and at < len(text) else len(text)


def link_keys(mux_id: str, link: int) -> "tuple[int, int]":
    """The keys of one link of version 2: for what the server sends, and for what the client sends after its HELLO."""
    first, second = (zlib.crc32(b"%s %d %d" % (mux_id.encode("ascii"), link, way)) for way in (0, 1))
    return first, second


HELLO_KEY = zlib.crc32(b"farlab")
"""The key of the client's HELLO, which names the mux and the link."""


def read_hello(data: bytes, version: int) -> "tuple[dict[str, object], bytes] | None":
    """Split what a new link brought into the client's HELLO and the rest.

    Returns `(hello, rest)`, or None while the frame is incomplete. For the server, which must know the mux that a link
    belongs to before it can hand it the bytes.
    """
    found = _plain_hello(data) if version == 1 else _checked_hello(data)
    if found is None:
        return None
    payload, end = found
    hello = frames.check_hello(payload)
    frames.count_of(hello, "link")
    return hello, data[end:]


def _plain_hello(data: bytes) -> "tuple[bytes | memoryview, int] | None":
    if data and data[0] != frames.HELLO:
        raise ProtocolError("a link that does not begin with a hello")
    if len(data) < HEADER.size:
        return None
    word, stream = HEADER.unpack_from(data)
    if stream or word & 0xFFFFFF > MAX_TEXT:
        raise ProtocolError("a hello on stream %d of %d bytes" % (stream, word & 0xFFFFFF))
    end = HEADER.size + (word & 0xFFFFFF)
    return (data[HEADER.size : end], end) if end <= len(data) else None


def _checked_hello(data: bytes) -> "tuple[bytes | memoryview, int] | None":
    reader, view, at = CheckedCodec(HELLO_KEY, 0), memoryview(data), 0
    while at < len(data):
        need, frame = reader.parse(view, at)
        if need > len(data) - at:
            return None
        if frame is not None and frame[0] == frames.HELLO:
            return frame[3], at + need
        at = _next_mark(data, at + 1)
    return None
