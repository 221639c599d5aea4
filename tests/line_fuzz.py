"""Hostile bytes for the line: garbage, truncated, oversized and hostile frames, and honest talk that was changed.

`attack` returns how many inputs were refused and taken; anything but `ProtocolError` comes out. Standard library,
Python 3.6.
"""

import random
import sys
from collections import Counter

from farlab.remote import frames
from farlab.remote.frames import ProtocolError, encode, encode_text, read_hello
from farlab.remote.line import Line
from line_side import Side

ID = "0123456789abcdefghij"
LIMIT = 2 << 20
KINDS = (1, 2, 3, 4, 16, 17, 18, 19, 20, 21)
NUMBERS = (0, 1, 2, 3, 5, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)
TEXTS = (
    b"", b"{}", b"[]", b"null", b"{", b'{"a":' * 3000, b"[" * 60000, b"9" * 5000, b"NaN", b'"\\ud800"', b"\xff\xfe",
    b'{"version":1,"line":"0123456789abcdefghij","life":1,"link":1,"received":0}',
    b'{"version":1,"line":"0123456789abcdefghij","life":-1,"link":1e99,"received":"0"}',
    b'{"version":1,"line":"0123456789abcdefghij","life":9223372036854775807,"link":2,"received":9223372036854775807}',
    b'{"version":null,"line":["0123456789abcdefghij"],"life":{},"link":true,"received":NaN}',
    b'{"version":1,"version":1,"line":"\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661","life":1}',
)  # fmt: skip


def _talk():
    """What two honest ends say: the keeper's bytes and the anchor's, each from its HELLO on."""
    keeper, anchor = Line(ID, True, LIMIT), Line(ID, False, LIMIT)
    here = keeper.attach()
    first = keeper.open("", b"GET / HTTP/1.1")
    keeper.message({"hello": "anchor"})
    out, back = b"".join(keeper.data_to_send(here)), b""
    hello, rest = read_hello(out)
    there = anchor.accept(hello)
    anchor.receive(there, rest)
    for turn in range(4):
        stream = keeper.open("", b"x" * turn)
        for line in (anchor, keeper):
            line.send(first, b"data" * 10 * turn)
            line.send(stream, b"more" * 100)
            line.message({"turn": turn})
            line.ping(b"12345678")
            line.streams[first].owed += 1 << 20
            line.consumed(first, 0)
        keeper.send_eof(stream)
        anchor.reset(stream)
        said, answered = b"".join(keeper.data_to_send(here)), b"".join(anchor.data_to_send(there))
        out, back = out + said, back + answered
        if turn < 3:
            keeper.receive(here, answered)
            anchor.receive(there, said)
    return out, back


OUT, BACK = _talk()
HELLO, REST = read_hello(OUT)


FLOODS = (
    encode(frames.OPEN, 5, b"\x00") * 2, b"".join(encode(frames.OPEN, n, b"\x00") for n in range(10, 400)),
    encode(frames.DATA, 1, bytes(1 << 18)) * 9, encode(frames.WINDOW, 1, b"\xff" * 4) * 3,
    encode(frames.PING, 0, bytes(16)) * 1100, encode(frames.DATA, 1), encode(frames.EOF, 1) * 2,
    encode(frames.RESET, 1) * 2 + encode(frames.DATA, 1, b"x"),
)  # fmt: skip
"""More of something than there may be."""


def _garbage(rng):
    return bytes(bytearray(rng.getrandbits(8) for _ in range(rng.randrange(1, 60))))


def _frame(rng):
    """A frame that could be one: its kind, stream, length or payload may be anything."""
    kind = rng.choice(KINDS) if rng.random() < 0.95 else rng.randrange(256)
    stream = rng.choice((0, 1, 1, 2, 3, rng.choice(NUMBERS) & 0xFFFFFFFF))
    payload = rng.choice((
        b"", rng.choice(TEXTS), bytes(rng.randrange(300)), frames.COUNT.pack(rng.choice(NUMBERS)),
        frames.CREDIT.pack(rng.choice(NUMBERS) & 0xFFFFFFFF),
        frames.BEAT.pack(rng.choice(NUMBERS), b"x" * 8),
        bytes((rng.randrange(256),)) + b"a\xff" * rng.randrange(200),
    ))  # fmt: skip
    if rng.random() < 0.05:
        length = rng.choice((len(payload) + 1, 1 << 18, (1 << 18) + 1, 0xFFFFFF))
        return frames.head(kind, stream, length) + payload
    return encode(kind, stream, payload)


def _frames(rng):
    return b"".join(_frame(rng) for _ in range(rng.randrange(1, 6)))


def _changed(rng, text):
    """Honest talk with bytes changed, cut out, doubled or moved, or cut off."""
    text = bytearray(text)
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        at, size = rng.randrange(len(text) or 1), rng.choice((1, 2, 8, 9, 40))
        change = rng.randrange(6)
        if change == 0:
            text[at : at + 1] = (rng.getrandbits(8),)
        elif change == 1:
            del text[at : at + size]
        elif change == 2:
            text[at:at] = text[at : at + size]
        elif change == 3:
            text[at:at] = _frame(rng)
        elif change == 4:
            text[at : at + size] = text[:size]
        else:
            del text[at + 1 :]
    return bytes(text)


def _answered(link=1):
    return encode_text(frames.HELLO, {"version": 1, "line": ID, "life": link, "received": 0})


MESSAGE = encode(frames.MESSAGE, 0, b"{}")


def _talkative(line, token):
    """An end that has said more than honest talk acknowledges."""
    for _ in range(12):
        line._out.order(MESSAGE)
    line.data_to_send(token)
    return line, token


def _anchor():
    line = Line(ID, False, LIMIT)
    return _talkative(line, line.accept(HELLO))


def _keeper():
    line = Line(ID, True, LIMIT)
    for _ in range(5):
        line.open("", b"a question")
    return _talkative(line, line.attach())


def _known_keeper():
    line, token = _keeper()
    line.receive(token, _answered())
    return line, token


def _keeper_again():
    line, _ = _known_keeper()
    line.open("", b"while there was no link")
    return line, line.attach()


ENDS = ((_anchor, REST), (_keeper, BACK), (_known_keeper, BACK[len(_answered()) :]), (_keeper_again, BACK))


def _input(rng, honest):
    kind = rng.randrange(20)
    if kind == 0:
        return _garbage(rng)
    if kind == 1:
        return encode(frames.OPEN, 1, b"\x00") * rng.randrange(2) + rng.choice(FLOODS)
    return _frames(rng) if kind < 10 else _changed(rng, honest)


def _try_hello(rng):
    found = read_hello(_input(rng, OUT))
    if found is not None:
        line = rng.choice((Line(ID, False, LIMIT), _anchor()[0]))
        line.receive(line.accept(found[0]), found[1])


def _try_line(rng):
    make, honest = rng.choice(ENDS)
    line, token = make()
    text = _input(rng, honest)
    cut = rng.randrange(len(text) + 1)
    try:
        line.receive(token, text[:cut])
        line.receive(token, text[cut:])
    finally:
        Side(line, 0).check()
        line.data_to_send(token)
        if line.opener:
            line.data_to_send(line.attach())


def attack(seed, count):
    """Try `count` inputs; the same `seed` gives the same ones. Returns a `Counter` of what became of them."""
    rng, seen = random.Random(seed), Counter()
    for number in range(count):
        try:
            (_try_line if number % 5 else _try_hello)(rng)
            seen["taken"] += 1
        except ProtocolError:
            seen["refused"] += 1
        except BaseException:
            sys.stderr.write(f"fuzz: seed {seed}, input {number}\n")
            raise
    return seen
