"""A keeper's and an anchor's end of one mux, joined by bytes in hand: for tests that look at single moments."""

from __future__ import annotations

from farlab.mux import codec, frames
from farlab.mux.mux import Event, Mux
from mux_world import LIMIT

ID = "0123456789abcdefghij"


def hello_of(mux: Mux) -> dict:
    """What a keeper says on a new link that stays on its way."""
    hello, _ = codec.read_hello(b"".join(mux.data_to_send(mux.attach())), frames.VERSION) or ({}, b"")
    return hello


def as_said_to(mux: Mux, *said: tuple[int, int, bytes]) -> bytes:
    """Frames as the other end of the mux's link would say them, counted on from what the mux has received."""
    link, number, buffers = mux._link, mux.received, []
    keys = codec.link_keys(mux.id, mux._links)
    other = codec.PlainCodec() if link.version == 1 else codec.CheckedCodec(0, keys[0 if mux.is_client else 1])
    for kind, stream, payload in said:
        number += kind in frames.SEQUENCED
        buffers += other.pack(kind, stream, number, payload)
    return b"".join(buffers)


def answer_to(mux: Mux, hello: dict) -> bytes:
    """A HELLO as an anchor would say it on the keeper's present link."""
    return as_said_to(mux, (frames.HELLO, 0, frames.pack_text(hello)))


def said_by(mux: Mux, data: bytes) -> list[tuple[int, int, bytes]]:
    """What a mux says over its link, as `(kind, stream, payload)`."""
    keys = codec.link_keys(mux.id, mux._links)
    reader = codec.PlainCodec() if mux._link.version == 1 else codec.CheckedCodec(keys[1 if mux.is_client else 0], 0)
    return [(kind, stream, bytes(payload)) for kind, stream, _, payload in reader.feed(data)]


class PairOfEnds:
    """`keeper` and `anchor` may be replaced at any time; `connect` then joins what is there."""

    def __init__(self, limit: int = LIMIT, version: int = frames.VERSION) -> None:
        self.version = version
        self.keeper, self.anchor = Mux(ID, True, limit), Mux(ID, False, limit)
        self.keeper_token = self.anchor_token = 0
        self._early: list[Event] = []

    def connect(self) -> None:
        """A new link, as far as the anchor's having accepted it."""
        self.keeper_token = self.keeper.attach(self.version)
        hello, rest = codec.read_hello(self.out(), self.version) or ({}, b"")
        self.anchor_token = self.anchor.accept(hello, self.version)
        self._early = self.anchor.receive(self.anchor_token, rest)

    def out(self, size: int = 1 << 24) -> bytes:
        """What the keeper has to send."""
        return b"".join(self.keeper.data_to_send(self.keeper_token, size))

    def back(self, _: object = None, size: int = 1 << 24) -> bytes:
        """What the anchor has to send."""
        return b"".join(self.anchor.data_to_send(self.anchor_token, size))

    def flow(self) -> tuple[list[Event], list[Event]]:
        """All that both have arrives; returns the keeper's events and the anchor's."""
        at_keeper: list[Event] = []
        at_anchor, self._early = self._early, []
        while (out := self.out()) + (back := self.back()):
            at_anchor += self.anchor.receive(self.anchor_token, out)
            at_keeper += self.keeper.receive(self.keeper_token, back)
        return at_keeper, at_anchor

    def open(self, first: bytes = b"") -> int:
        """A stream that both know of; what came with it is consumed."""
        stream = self.keeper.open("", first)
        self.flow()
        self.anchor.mark_consumed(stream, len(first))
        return stream

    @staticmethod
    def text_at_anchor(events: list[Event]) -> bytes:
        """All data among events."""
        return b"".join(event.data for event in events if event.kind == frames.DATA)
