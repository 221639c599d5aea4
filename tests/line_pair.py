"""A keeper's and an anchor's end of one line, joined by bytes in hand: for tests that look at single moments."""

from __future__ import annotations

from farlab.remote import frames
from farlab.remote.line import Event, Line
from line_world import LIMIT

ID = "0123456789abcdefghij"


def hello_of(line: Line) -> dict:
    """What a keeper says on a new link that stays on its way."""
    hello, _ = frames.read_hello(b"".join(line.data_to_send(line.attach()))) or ({}, b"")
    return hello


class PairOfEnds:
    """`keeper` and `anchor` may be replaced at any time; `connect` then joins what is there."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.keeper, self.anchor = Line(ID, True, limit), Line(ID, False, limit)
        self.keeper_token = self.anchor_token = 0
        self._early: list[Event] = []

    def connect(self) -> None:
        """A new link, as far as the anchor's having accepted it."""
        self.keeper_token = self.keeper.attach()
        hello, rest = frames.read_hello(self.out()) or ({}, b"")
        self.anchor_token = self.anchor.accept(hello)
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
        self.anchor.consumed(stream, len(first))
        return stream

    @staticmethod
    def text_at_anchor(events: list[Event]) -> bytes:
        """All data among events."""
        return b"".join(event.data for event in events if event.kind == frames.DATA)
