"""One end of a mux with a small application on top, which checks all that it is told. See `mux_world.py`."""

import random

from farlab.mux import frames
from farlab.mux.mux import NOISE as NOISE_EVENT
from farlab.mux.mux import UP
from farlab.mux.streams import FRAME_OVERHEAD, MAX_WINDOW

CHUNK = 64 * 1024
LIMIT = 2 * 1024 * 1024
BASE = 1 << 19
NOISE = random.Random(5).getrandbits(8 * BASE).to_bytes(BASE, "big")
NOISE += NOISE[: frames.MAX_PAYLOAD]


def content(key, at, size):
    """What is said on a stream, from byte `at` on."""
    start = (key * 7919 + at) % BASE
    return NOISE[start : start + size]


class Record:
    """What one side knows of one stream."""

    def __init__(self, sent=0):
        self.sent, self.got, self.eaten = sent, 0, 0
        self.eof_out = self.eof_in = self.reset_out = self.reset_in = False
        self.mate = None  # which server it has heard

    @property
    def alive(self):
        return not (self.reset_out or self.reset_in)

    @property
    def complete(self):
        return self.eof_out and self.eof_in


class Side:
    """One end of a mux with a small application on top; `number` makes what it says its own."""

    def __init__(self, mux, number):
        self.mux, self.number = mux, number
        self.records, self.pings = {}, set()
        self.said = self.heard = 0  # messages
        self.opened = 0  # bytes that came with OPEN: queued without asking `wants`
        self.mate = self.late_mate = None

    def key(self, stream_id):
        return self.number * 1000 + stream_id

    def send(self, stream_id, size):
        record = self.records[stream_id]
        while size > 0 and record.alive and not record.eof_out and self.mux.can_send(stream_id):
            data = content(self.key(stream_id), record.sent, min(size, CHUNK))
            self.mux.send(stream_id, data)
            record.sent += len(data)
            size -= len(data)

    def read(self, stream_id, size):
        record = self.records[stream_id]
        size = min(size, record.got - record.eaten)
        if size and record.alive:
            record.eaten += size
            self.mux.mark_consumed(stream_id, size)

    def took(self, events, mate, strict):
        """Take events that come from `mate`; `strict`: no server has been forgotten."""
        if events and mate is not self.mate:
            self.mate, self.heard = mate, 0
        for kind, stream_id, data in events:
            record = self.records.get(stream_id)
            if kind == frames.OPEN:
                assert record is None, "opened twice"
                assert data == "", data
                self.records[stream_id] = Record()
            elif kind == frames.MESSAGE:
                assert data["n"] > self.heard, "a message twice or out of order"
                assert data["n"] == self.heard + 1 or not strict, "a message was lost"
                self.heard = data["n"]
            elif kind == frames.PONG:
                self.pings.remove(data)
            elif kind not in (UP, NOISE_EVENT) and not record.reset_out:
                self._of_stream(kind, stream_id, record, data, mate)

    def _of_stream(self, kind, stream_id, record, data, mate):
        assert not record.reset_in, "an event after RESET"
        if kind == frames.RESET:
            record.reset_in = True
            return
        assert not record.eof_in, "an event after EOF"
        assert record.mate in (None, mate), "the stream is mixed up with another server's"
        record.mate = mate
        if kind == frames.EOF:
            record.eof_in = True
            return
        assert kind == frames.DATA, kind
        assert data, "no data"
        assert data == content(mate.key(stream_id), record.got, len(data)), "other bytes than were sent"
        record.got += len(data)

    def check(self):
        """What holds at any moment."""
        mux, out = self.mux, self.mux._queue
        held = sum(FRAME_OVERHEAD + len(payload) for *_, payload in [*out._control.values(), *out._unacked])
        for stream in mux.streams.values():
            assert stream.queued == sum(map(len, stream.pending))
            held += stream.queued
            assert stream.recv_window + stream.unconsumed + stream.pending_credit == stream.window <= MAX_WINDOW
            assert min(stream.unconsumed, stream.credit) >= 0
        assert mux.buffered == held, "the account of what is held is wrong"
        assert len(out._unacked) == out.sent - out.acked
        assert held <= LIMIT * 1.02 + CHUNK + self.opened, "more is held than may be"

    def check_window(self, stream_id, receiver):
        stream, there = self.mux.streams.get(stream_id), receiver.mux.streams.get(stream_id)
        if stream is not None and there is not None:
            out = self.records[stream_id].sent - stream.queued
            assert out <= receiver.records[stream_id].eaten + there.window, "the window does not hold"
