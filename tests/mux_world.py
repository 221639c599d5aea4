"""A world in which muxes live: keepers, anchors that forget, and links that are cut, late, overlapped and spoilt.

Everything that happens is one `step` with plain numbers, so that hypothesis (`pure/test_mux.py`) or a seeded random
(`host_selfcheck.py`) can drive it; after each step the world checks itself. Standard library, Python 3.6.
"""

from farlab.mux import codec
from farlab.mux.frames import VERSION, ProtocolError
from farlab.mux.mux import Mux
from mux_side import CHUNK, LIMIT, NOISE, Record, Side, content

SPOILT = b"\xff" * 8
SIZES = (1, 2, 7, 8, 9, 30, 60, 500, 5000, 20000, CHUNK, CHUNK + 1, 300000, 1 << 20, 3 << 20)
STEPS = {
    "connect": 3, "pump": 14, "deliver": 16, "flow": 6, "cut": 2, "spoil": 1, "forget": 1, "open": 5, "send": 10,
    "pour": 6, "read": 10, "eof": 6, "reset": 2, "message": 3, "ping": 2, "foreign": 3, "eat": 1,
}  # fmt: skip
FOREIGN = (
    b"x", b"2 updates are available: run `dotfiles update`\n", codec._MARK, codec._MARK[:1], codec._MARK * 30,
    bytes(21), codec._MARK + NOISE[:40], NOISE[:300], b"NOTE: quota 93% used\r\n" * 4000, NOISE[:CHUNK],
)  # fmt: skip
"""What others may print into a link."""
SCHEDULE = [name for name in STEPS for _ in range(STEPS[name])]


class Link:
    """Bytes on their way, in both directions; each end may notice its end at another time."""

    def __init__(self, keeper, version):
        self.keeper, self.keeper_token = keeper, keeper.mux.attach(version)
        self.anchor, self.anchor_token = None, None
        self.brought = b""
        self.out = self.back = b""
        self.whole, self.spoilt = True, False


class World:
    """Keepers (each with its mux), the anchor's muxes by id, and every link that has not been forgotten."""

    def __init__(self, keepers=1, version=VERSION):
        self.version = version
        self.keepers = [Side(Mux(f"keeper{n:010}", True, LIMIT), n + 1) for n in range(keepers)]
        self.anchors = {}
        self.links = []
        self.forgotten = self.pinged = 0
        self._sides = keepers

    # what may happen: `a` and `b` choose among what there is ------------------------------------------------

    def step(self, name, a, b):
        getattr(self, "_" + name)(a, b)
        for side in self._everyone():
            side.check()
        self._check_windows()

    def _connect(self, a, b):
        self.links.append(Link(self.keepers[a % len(self.keepers)], self.version))
        if len(self.links) > 4:
            self._end(self.links.pop(0), True, True)

    def _pump(self, a, b):
        """One side puts what it has on a link."""
        if self.links:
            link, size = self.links[a // 2 % len(self.links)], SIZES[b % len(SIZES)]
            (self._send_out if a % 2 else self._send_back)(link, size)

    def _deliver(self, a, b):
        """Some bytes of a link arrive."""
        if self.links:
            link, size = self.links[a // 2 % len(self.links)], SIZES[b % len(SIZES)]
            (self._bring_out if a % 2 else self._bring_back)(link, size)

    def _flow(self, a, b):
        """All goes well for a while on the newest link."""
        if self.links:
            self._all_well(self.links[-1])

    def _cut(self, a, b):
        if self.links:
            link = self.links[a % len(self.links)]
            link.whole = False
            if b & 4:  # what is on its way is lost; otherwise it still arrives
                link.out = link.back = b""
            self._end(link, b & 1, b & 2)

    def _spoil(self, a, b):
        """Garbage after whole frames: the end of a link of version 1."""
        if self.links and self.version == 1:
            link = self.links[a % len(self.links)]
            if link.whole:
                link.out += SPOILT
                link.back += SPOILT
                link.whole, link.spoilt = False, True

    def _foreign(self, a, b):
        """Others print into a link, between any two of its bytes."""
        self._change(a, b, FOREIGN[b // 8 % len(FOREIGN)], 0)

    def _eat(self, a, b):
        """Others read of what was meant for one end."""
        self._change(a, b, b"", SIZES[b // 8 % len(SIZES)])

    def _change(self, a, b, put, taken):
        if not self.links or self.version == 1:
            return
        link = self.links[a % len(self.links)]
        text = link.out if b & 1 else link.back
        at = (a * 7919 + b) % (len(text) + 1)
        text = text[:at] + put + text[at + taken :]
        link.out, link.back = (text, link.back) if b & 1 else (link.out, text)

    def _forget(self, a, b):
        """The anchor starts anew and knows no mux."""
        self.forgotten += 1
        self.anchors = {}
        for link in self.links:
            self._end(link, b & 1, True)

    def _open(self, a, b):
        keeper = self.keepers[a % len(self.keepers)]
        if len(keeper.records) < 40:
            size = min(SIZES[b % len(SIZES)], 300000) - 1
            number = len(keeper.records) + 1
            stream_id = keeper.mux.open("", content(keeper.key(number), 0, size))
            assert stream_id == number
            keeper.records[number] = Record(size)
            keeper.opened += size

    def _send(self, a, b):
        side, stream_id = self._some_stream(a)
        if side:
            side.send(stream_id, SIZES[b % len(SIZES)])

    def _pour(self, a, b):
        """Much is sent on one stream while all goes well, to a fast reader or to none."""
        side, stream_id = self._some_stream(a)
        for _ in range(4 if side and self.links else 0):
            side.send(stream_id, SIZES[-1])
            self._all_well(self.links[-1])
            if side.mate and stream_id in side.mate.records and b & 1:
                side.mate.read(stream_id, SIZES[-1])

    def _read(self, a, b):
        side, stream_id = self._some_stream(a)
        if side:
            side.read(stream_id, SIZES[b % len(SIZES)])

    def _eof(self, a, b):
        side, stream_id = self._some_stream(a)
        if side and side.records[stream_id].alive:
            side.mux.send_eof(stream_id)
            assert not side.mux.can_send(stream_id)
            side.records[stream_id].eof_out = True

    def _reset(self, a, b):
        side, stream_id = self._some_stream(a)
        if side and stream_id in side.mux.streams:
            side.mux.reset(stream_id)
            side.records[stream_id].reset_out = True

    def _message(self, a, b):
        side = self._some_side(a)
        side.said += 1
        side.mux.send_message({"n": side.said})

    def _ping(self, a, b):
        self._ping_from(self._some_side(a))

    def _ping_from(self, side):
        self.pinged += 1
        mark = b"%08d" % self.pinged
        side.pings.add(mark)
        side.mux.send_ping(mark)

    # how it happens ------------------------------------------------------------------------------------------

    def _everyone(self):
        return self.keepers + list(self.anchors.values())

    def _some_side(self, a):
        return self._everyone()[a % len(self._everyone())]

    def _some_stream(self, a):
        side = self._some_side(a)
        ids = sorted(side.records)[-12:]
        return (side, ids[a // 7 % len(ids)]) if ids else (None, 0)

    def _send_out(self, link, size):
        data = link.keeper.mux.data_to_send(link.keeper_token, size)
        link.out += b"".join(data) if link.whole else b""

    def _send_back(self, link, size):
        data = link.anchor.mux.data_to_send(link.anchor_token, size) if link.anchor else []
        link.back += b"".join(data) if link.whole else b""

    def _bring_out(self, link, size):
        data, link.out = link.out[:size], link.out[size:]
        if link.anchor:
            self._receive(link.anchor, link.keeper, link.anchor_token, data, link.spoilt and not link.out)
        elif link.anchor_token is None and data:
            self._arrive(link, data)

    def _bring_back(self, link, size):
        data, link.back = link.back[:size], link.back[size:]
        if link.anchor:
            self._receive(link.keeper, link.anchor, link.keeper_token, data, link.spoilt and not link.back)

    def _arrive(self, link, data):
        """The anchor's side of a new link, as a driver does it."""
        link.brought += data
        try:
            found = codec.read_hello(link.brought, self.version)
        except ProtocolError:
            assert link.spoilt
            link.anchor_token = -1
            return
        if found is None:
            return
        hello, rest = found
        side = self.anchors.get(hello["line"])
        if side is None:
            self._sides += 1
            side = self.anchors[hello["line"]] = Side(Mux(hello["line"], False, LIMIT), self._sides)
        try:
            link.anchor_token = side.mux.accept(hello, self.version)
        except ProtocolError:
            newer = self.links[self.links.index(link) + 1 :]
            assert any(each.keeper is link.keeper for each in newer), "the newest link was refused"
            link.anchor_token = -1
            return
        link.anchor = side
        self._receive(side, link.keeper, link.anchor_token, rest, link.spoilt and not link.out)

    def _receive(self, side, mate, token, data, spoilt):
        """`spoilt`: this is the last of a link that ends with garbage. What came before it is told later."""
        late = len(side.mux._events)
        try:
            events = side.mux.receive(token, data)
        except ProtocolError:
            assert spoilt, "an honest link was refused"
            assert not side.mux.is_linked
            side.late_mate = side.late_mate if late else mate
        else:
            side.took(events[:late], side.late_mate, not self.forgotten)
            side.took(events[late:], mate, not self.forgotten)

    def _end(self, link, keeper_notices, anchor_notices):
        if keeper_notices:
            link.keeper.mux.detach(link.keeper_token)
        if anchor_notices:
            if link.anchor:
                link.anchor.mux.detach(link.anchor_token)
            link.anchor_token = link.anchor_token or -1

    def _all_well(self, link):
        """What each side has goes and arrives. Returns whether anything moved."""
        self._send_out(link, 1 << 20)
        self._send_back(link, 1 << 20)
        moved = bool(link.out or link.back)
        self._bring_out(link, len(link.out))
        self._bring_back(link, len(link.back))
        return moved

    def _check_windows(self):
        """No more has gone out on any stream than its receiver allowed."""
        for keeper in self.keepers:
            anchor = self.anchors.get(keeper.mux.id)
            if anchor is None or anchor.mux.epoch != keeper.mux.epoch:
                continue
            for stream_id in set(keeper.records) & set(anchor.records):
                keeper.check_window(stream_id, anchor)
                anchor.check_window(stream_id, keeper)

    # the end ---------------------------------------------------------------------------------------------------

    def settle(self):
        """A last, good link for each keeper; then everything must have arrived, and nothing be held."""
        for keeper in self.keepers:
            link = Link(keeper, self.version)
            self._run_dry(link)
            for side in (keeper, link.anchor):
                side.pings.clear()
                self._ping_from(side)
            self._run_dry(link)
            self._check_end(keeper, link.anchor)

    def settle_here(self):
        """Time passes on the only link there is: heartbeats alone bring back all that was lost on it."""
        [link], [keeper] = self.links, self.keepers
        for _ in range(30):
            self._run_dry(link)
            for side in (keeper, link.anchor):
                side.pings.clear()
                self._ping_from(side)
        self._run_dry(link)
        self._check_end(keeper, link.anchor)

    def _run_dry(self, link):
        """Everything is sent, delivered and read, until nothing moves."""
        for _ in range(500):
            for side in filter(None, (link.keeper, link.anchor)):
                for stream_id in list(side.records):
                    side.read(stream_id, 1 << 30)
            if not self._all_well(link):
                return
        raise AssertionError("it never ends")

    def _check_end(self, keeper, anchor):
        for side in (keeper, anchor):
            side.check()
            assert side.mux.buffered == 0, f"still held: {side.mux.buffered}"
            assert not side.pings, "a ping without its pong"
            assert self.forgotten or side.heard == side.mate.said, "a message is missing"
        for stream_id, here in keeper.records.items():
            there = anchor.records.get(stream_id)
            if here.alive and there is not None and there.alive:
                self._check_stream(stream_id, (keeper, here), (anchor, there))
                continue
            if here.alive:
                assert self.forgotten or there is not None, "a stream never arrived"
                assert here.complete, "a stream lost its other end, and was not told"
            elif there is not None and there.alive:
                assert there.complete, "a stream given up here lives on there"
            assert stream_id not in keeper.mux.streams
            assert stream_id not in anchor.mux.streams
        assert set(keeper.mux.streams) == set(anchor.mux.streams)

    def _check_stream(self, stream_id, *ends):
        for (side, here), (_, there) in (ends, ends[::-1]):
            assert here.got == there.sent, f"{here.got} of {there.sent} bytes"
            assert here.eof_in == there.eof_out
            assert (stream_id in side.mux.streams) != here.complete
