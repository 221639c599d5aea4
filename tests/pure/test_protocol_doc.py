"""`docs/protocol.md` tells the truth: its bytes are those that two real ends say, its numbers those of the code."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

from farlab.mux import codec, frames, link_end, mux, streams
from farlab.mux.codec import CheckedCodec, PlainCodec
from farlab.mux.frames import COUNT, CREDIT, HEARTBEAT, MISSED, SERIAL
from mux_pair import ID, PairOfEnds

PAGE = (Path(__file__).resolve().parents[2] / "docs/protocol.md").read_text("utf-8")
NAMES = ("HELLO", "ACK", "PING", "PONG", "AGAIN", "BEGIN", "OPEN", "DATA", "EOF", "RESET", "WINDOW", "MESSAGE")
Said = tuple[str, bytes]


def blocks(kind: str) -> list[list[Said]]:
    """The page's examples: per block and line who speaks (`>` the keeper, `<` the anchor) and the bytes."""
    return [
        [_said(text) for text in block.splitlines() if text[:1] in "><"]
        for block in re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.M | re.S)
    ]


def _said(text: str) -> Said:
    """`> 11 00 00 02 00 00 00 01 68 69   comment`, or with text in quotes: `> 01 00 00 02 00 00 00 00 '{}'`."""
    words = re.match(r"([><])((?: [0-9a-f]{2})+)(?: '([^']*)')?", text)
    assert words, text
    return words[1], bytes.fromhex(words[2]) + (words[3] or "").encode()


def one_by_one(who: str, data: bytes) -> list[Said]:
    """What goes over the link at once, frame by frame."""
    said = []
    while data:
        end = codec.HEADER_SIZE + (int.from_bytes(data[2:6], "big") & 0xFFFFFF)
        said.append((who, data[:end]))
        data = data[end:]
    return said


class SessionInfo(PairOfEnds):
    """Two ends of which every frame is written down when it is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[Said] = []

    def out(self, size: int = 1 << 24) -> bytes:
        data = super().out(size)
        self.said += one_by_one(">", data)
        return data

    def back(self, _: object = None, size: int = 1 << 24) -> bytes:
        data = super().back(_, size)
        self.said += one_by_one("<", data)
        return data


def the_story() -> list[list[Said]]:
    """What the page tells: a link, one that resumes and has text of others in it, an anchor that has forgotten."""
    ends = SessionInfo()
    stories = []

    def tell() -> None:
        stories.append(ends.said)
        ends.said = []

    ends.keeper.open("", b"hi")
    ends.connect()
    ends.flow()
    ends.anchor.send(1, b"yes?")
    ends.flow()
    ends.keeper.send(1, b"bye")
    ends.keeper.send_eof(1)
    ends.anchor.send_message({"load": 0.5})
    ends.out()  # lost with the link
    ends.back()
    tell()
    ends.connect()
    ends.flow()
    ends.anchor.send_eof(1)
    ends.flow()
    ends.keeper.send_ping(b"12345678")
    ends.flow()
    tell()
    ends.anchor.send_message({"load": 0.6})
    hit = ends.back()
    ends.keeper.receive(ends.keeper_token, hit[:9] + b"updates!" + hit[9:])
    ends.flow()
    tell()
    ends.anchor = mux.Mux(ends.keeper.id, False, 1 << 21)
    ends.connect()
    ends.flow()
    tell()
    return stories


def test_the_examples_are_what_two_real_ends_say() -> None:
    assert blocks("wire") == the_story()


SINGLE = (
    (frames.ACK, 0, COUNT.pack(1000)),
    (frames.PING, 0, HEARTBEAT.pack(1000, b"12345678")),
    (frames.PONG, 0, HEARTBEAT.pack(2000, b"12345678")),
    (frames.OPEN, 7, b"\x00GET "),
    (frames.OPEN, 8, b"\x04shop"),
    (frames.DATA, 7, b"/"),
    (frames.EOF, 7, b""),
    (frames.RESET, 7, b""),
    (frames.WINDOW, 7, CREDIT.pack(1 << 20)),
    (frames.MESSAGE, 0, frames.pack_text({"n": 1})),
)
ONLY_2 = ((frames.AGAIN, 0, MISSED.pack(1000, 1)), (frames.BEGIN, 0, SERIAL.pack(1)))


def test_the_single_frames_are_as_the_code_makes_them() -> None:
    to_keeper, to_anchor = codec.link_keys(ID, 1)
    beats = (frames.PING, frames.PONG)
    said, number = [], 0
    for kind, stream, payload in SINGLE + ONLY_2:
        number += kind in frames.SEQUENCED
        key = to_keeper if kind in (frames.PONG, frames.RESET, frames.WINDOW, frames.BEGIN) else to_anchor
        whole = payload + (COUNT.pack(5) if kind in beats else b"")
        said.append(b"".join(CheckedCodec(0, key).pack(kind, stream, number if kind in frames.SEQUENCED else 0, whole)))
    assert [data for block in blocks("frame") for _, data in block] == said


def test_the_single_frames_of_version_1_are_as_the_code_makes_them() -> None:
    made = [b"".join(PlainCodec().pack(kind, stream, 0, payload)) for kind, stream, payload in SINGLE]
    assert [data for block in blocks("plain") for _, data in block] == made


def test_every_kind_has_its_row_with_its_number() -> None:
    rows = dict(re.findall(r"^\| `([A-Z]+)` \| (\d+) \|", PAGE, re.M))
    assert rows == {name: str(getattr(frames, name)) for name in NAMES}


def test_the_keys_are_those_of_the_code() -> None:
    to_keeper, to_anchor = codec.link_keys(ID, 1)
    for key in (codec.HELLO_KEY, to_keeper, to_anchor):
        assert f"`{key:08x}`" in PAGE


def test_the_frame_of_the_loader_is_one() -> None:
    frame = re.search(r"^\\n0123456789abcdef:([0-9a-f]{8})([0-9a-f]{8})(\{.*\})$", PAGE, re.M)
    assert frame
    assert (int(frame[1], 16), int(frame[2], 16)) == (len(frame[3]), zlib.crc32(frame[3].encode()))
    assert frame[3] == json.dumps({"hello": True})


def test_the_limits_are_those_of_the_code() -> None:
    rows = dict(re.findall(r"^\| ([^|`]+) \| ([\d ]+) \|", PAGE, re.M))
    assert {name: int(number.replace(" ", "")) for name, number in rows.items()} == {
        "payload of a frame": frames.MAX_PAYLOAD,
        "payload of a HELLO or MESSAGE": frames.MAX_TEXT,
        "first window of a stream, each way": frames.INITIAL_WINDOW,
        "credit of a stream at any time": frames.MAX_CREDIT,
        "streams at a time": mux.MAX_STREAMS,
        "link frames waiting to be answered": link_end.MAX_CONTROL_FRAMES,
        "bytes received after which an ACK is due": link_end.ACK_THRESHOLD,
        "what a frame adds to them": link_end.ACK_FRAME_WEIGHT,
        "heartbeats that a BEGIN may take": link_end.HEARTBEATS_UNTIL_PROBE,
        "largest window given": streams.MAX_WINDOW,
    }
