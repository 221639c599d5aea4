"""Hostile bytes for the mux: garbage, truncated, oversized and hostile frames, and honest talk that was changed.

`attack` returns how many inputs were refused and taken; anything but `ProtocolError` comes out. Standard library,
Python 3.6.
"""

import random
import sys
from collections import Counter

from farlab.mux import codec, frames
from farlab.mux.codec import read_hello
from farlab.mux.frames import VERSION, ProtocolError, pack_text
from farlab.mux.mux import Mux
from mux_side import Side

ID = "0123456789abcdefghij"
LIMIT = 2 << 20
KINDS = (1, 2, 3, 4, 5, 6, 16, 17, 18, 19, 20, 21)
NUMBERS = (0, 1, 2, 3, 5, 255, 1 << 16, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, (1 << 64) - 1)
TEXTS = (
    b"", b"{}", b"[]", b"null", b"{", b'{"a":' * 3000, b"[" * 60000, b"9" * 5000, b"NaN", b'"\\ud800"', b"\xff\xfe",
    b'{"version":1,"line":"0123456789abcdefghij","life":1,"link":1,"received":0}',
    b'{"version":1,"line":"0123456789abcdefghij","life":-1,"link":1e99,"received":"0"}',
    b'{"version":1,"line":"0123456789abcdefghij","life":9223372036854775807,"link":2,"received":9223372036854775807}',
    b'{"version":null,"line":["0123456789abcdefghij"],"life":{},"link":true,"received":NaN}',
    b'{"version":1,"version":1,"line":"\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661\\u0661","life":1}',
)  # fmt: skip


def maker(version, way):
    """What makes frames as an end of the first link of the mux would: 0 the anchor, 1 the keeper."""
    return codec.PlainCodec() if version == 1 else codec.CheckedCodec(0, codec.link_keys(ID, 1)[way])


def bytes_of(version, way, said):
    """Frames as bytes, numbered on from 1 where they are counted."""
    packer, number, buffers = maker(version, way), 0, []
    for kind, stream, payload in said:
        number += kind in frames.SEQUENCED
        buffers += packer.pack(kind, stream, number, payload)
    return b"".join(buffers)


def _talk(version):
    """What two honest ends say: the keeper's bytes and the anchor's, each from its HELLO on."""
    keeper, anchor = Mux(ID, True, LIMIT), Mux(ID, False, LIMIT)
    here = keeper.attach(version)
    first = keeper.open("", b"GET / HTTP/1.1")
    keeper.send_message({"hello": "anchor"})
    out, back = b"".join(keeper.data_to_send(here)), b""
    hello, rest = read_hello(out, version)
    there = anchor.accept(hello, version)
    anchor.receive(there, rest)
    for turn in range(4):
        stream = keeper.open("", b"x" * turn)
        for mux in (anchor, keeper):
            mux.send(first, b"data" * 10 * turn)
            mux.send(stream, b"more" * 100)
            mux.send_message({"turn": turn})
            mux.send_ping(b"12345678")
            mux.streams[first].pending_credit += 1 << 20
            mux.mark_consumed(first, 0)
        keeper.send_eof(stream)
        anchor.reset(stream)
        said, answered = b"".join(keeper.data_to_send(here)), b"".join(anchor.data_to_send(there))
        out, back = out + said, back + answered
        if turn < 3:
            keeper.receive(here, answered)
            anchor.receive(there, said)
    return out, back


TALK = {version: _talk(version) for version in (1, VERSION)}
HELLO, _ = read_hello(TALK[1][0], 1)


def f(kind, stream, payload=b""):
    """One frame in a list."""
    return [(kind, stream, payload)]


FLOODS = (
    f(frames.OPEN, 5, b"\x00") * 2, [(frames.OPEN, n, b"\x00") for n in range(10, 400)],
    f(frames.DATA, 1, bytes(1 << 18)) * 9, f(frames.WINDOW, 1, b"\xff" * 4) * 3,
    f(frames.PING, 0, bytes(16)) * 1100, f(frames.PING, 0, bytes(24)) * 1100, f(frames.AGAIN, 0, bytes(12)) * 1100,
    f(frames.DATA, 1), f(frames.EOF, 1) * 2, f(frames.RESET, 1) * 2 + f(frames.DATA, 1, b"x"),
)  # fmt: skip
"""More of something than there may be."""


def _garbage(rng):
    return bytes(bytearray(rng.getrandbits(8) for _ in range(rng.randrange(1, 60))))


def _frame(rng):
    """A frame that could be one: its kind, stream or payload may be anything."""
    kind = rng.choice(KINDS) if rng.random() < 0.95 else rng.randrange(256)
    stream = rng.choice((0, 1, 1, 2, 3, rng.choice(NUMBERS) & 0xFFFFFFFF))
    count, mark = (
        frames.COUNT.pack(rng.choice(NUMBERS) & (1 << 64) - 1),
        frames.HEARTBEAT.pack(rng.randrange(9), b"x" * 8),
    )
    payload = rng.choice((
        b"", rng.choice(TEXTS), bytes(rng.randrange(300)), count, mark, mark + count,
        frames.CREDIT.pack(rng.choice(NUMBERS) & 0xFFFFFFFF),
        frames.MISSED.pack(rng.choice(NUMBERS) & (1 << 64) - 1, rng.randrange(4)),
        bytes((rng.randrange(256),)) + b"a\xff" * rng.randrange(200),
    ))  # fmt: skip
    return kind, stream, payload


def _frames(rng, version, way):
    text = bytes_of(version, way, [_frame(rng) for _ in range(rng.randrange(1, 6))])
    if version == 1 and rng.random() < 0.2:
        length = rng.choice((1, 1 << 18, (1 << 18) + 1, 0xFFFFFF))
        text += frames.HEADER.pack(rng.choice(KINDS) << 24 | length, 1)
    return text


def _changed(rng, text, version, way):
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
            text[at:at] = bytes_of(version, way, [_frame(rng)])
        elif change == 4:
            text[at : at + size] = text[:size]
        else:
            del text[at + 1 :]
    return bytes(text)


def _answered(version, link=1):
    hello = {"version": version, "line": ID, "life": link, "received": 0}
    return bytes_of(version, 0, f(frames.HELLO, 0, pack_text(hello)))


def _talkative(mux, token):
    """An end that has said more than honest talk acknowledges."""
    for _ in range(12):
        mux._queue.queue_control(frames.MESSAGE, 0, b"{}")
    mux.data_to_send(token)
    return mux, token


def _anchor(version):
    mux = Mux(ID, False, LIMIT)
    return _talkative(mux, mux.accept(HELLO, version))


def _keeper(version):
    mux = Mux(ID, True, LIMIT)
    for _ in range(5):
        mux.open("", b"a question")
    return _talkative(mux, mux.attach(version))


def _known_keeper(version):
    mux, token = _keeper(version)
    mux.receive(token, _answered(version))
    return mux, token


def _keeper_again(version):
    mux, _ = _known_keeper(version)
    mux.open("", b"while there was no link")
    return mux, mux.attach(version)


ENDS = (_anchor, _keeper, _known_keeper, _keeper_again)


def _input(rng, version, way):
    kind, honest = rng.randrange(20), TALK[version][0 if way else 1]
    if kind == 0:
        return _garbage(rng)
    if kind == 1:
        return bytes_of(version, way, f(frames.OPEN, 1, b"\x00") * rng.randrange(2) + rng.choice(FLOODS))
    return _frames(rng, version, way) if kind < 10 else _changed(rng, honest, version, way)


def _try_hello(rng, version):
    found = read_hello(_input(rng, version, 1), version)
    if found is not None:
        mux = rng.choice((Mux(ID, False, LIMIT), _anchor(version)[0]))
        mux.receive(mux.accept(found[0], version), found[1])


def _try_line(rng, version):
    mux, token = rng.choice(ENDS)(version)
    text = _input(rng, version, 0 if mux.is_client else 1)
    cut = rng.randrange(len(text) + 1)
    try:
        mux.receive(token, text[:cut])
        mux.receive(token, text[cut:])
    finally:
        Side(mux, 0).check()
        mux.data_to_send(token)
        if mux.is_client:
            mux.data_to_send(mux.attach(version))


def attack(seed, count):
    """Try `count` inputs; the same `seed` gives the same ones. Returns a `Counter` of what became of them."""
    rng, seen = random.Random(seed), Counter()
    for number in range(count):
        try:
            (_try_line if number % 5 else _try_hello)(rng, number // 5 % 2 + 1)
            seen["taken"] += 1
        except ProtocolError:
            seen["refused"] += 1
        except BaseException:
            sys.stderr.write(f"fuzz: seed {seed}, input {number}\n")
            raise
    return seen
