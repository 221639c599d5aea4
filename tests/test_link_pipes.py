"""A link's descriptors, which others hold too: none of theirs ever fails for want of room."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import pytest

from farlab.mux.pipes import LinkPipes

Ends = tuple[int, int, int, int]


def pipes() -> Ends:
    """As dropbear gives them: what we read, what we write, and the far ends of both."""
    (read, far_write), (far_read, write) = os.pipe(), os.pipe()
    return read, write, far_write, far_read


def sockets() -> Ends:
    """As OpenSSH gives them: one socket is both."""
    ours, theirs = (each.detach() for each in socket.socketpair())
    return ours, os.dup(ours), theirs, os.dup(theirs)


def fill(wire: LinkPipes) -> None:
    """Write until there is no room."""
    while wire.write([bytes(65536)] * 20):
        pass


@pytest.mark.parametrize("ends", [pipes, sockets])
def test_a_link_is_read_and_written_without_waiting_and_others_who_hold_it_wait_as_before(
    ends: Callable[[], Ends],
) -> None:
    read, write, far_write, far_read = ends()
    others = os.dup(read), os.dup(write)
    wire = LinkPipes(read, write)
    try:
        with pytest.raises(BlockingIOError):
            wire.read(10)
        os.write(far_write, b"a word")
        assert wire.read(10) == b"a word"
        assert wire.write([b"an ", memoryview(b"answer")]) == 9
        assert os.read(far_read, 20) == b"an answer"
        with pytest.raises(BlockingIOError):
            fill(wire)
        assert all(map(os.get_blocking, others))
    finally:
        wire.close()
        for fd in (*others, far_write, far_read):
            os.close(fd)
