"""How the driver moves bytes between a mux and real sockets, on the host's own loop."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from farlab.host import pending_link
from farlab.host.reactor import Reactor
from farlab.mux.driver import CHUNK, MuxDriver
from farlab.mux.frames import VERSION
from farlab.mux.mux import Mux
from farlab.mux.pipes import LinkPipes

MIB = 1 << 20


@pytest.fixture
def pairs() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Makes pairs of connected sockets, closed after the test."""
    made: list[socket.socket] = []

    def pair() -> tuple[socket.socket, socket.socket]:
        ours, theirs = socket.socketpair()
        made.extend((ours, theirs))
        return ours, theirs

    yield pair
    for sock in made:
        sock.close()


def turn(loop: Reactor, seconds: float) -> None:
    """Let the loop run that long."""
    loop.call_later(seconds, loop.stop)
    loop.run()
    loop._is_stopped = False


def test_many_sockets_that_are_full_at_once_do_not_exceed_the_limit_of_the_mux(
    pairs: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    loop, mux = Reactor(), Mux("0123456789abcdefghij", True, MIB)
    driver = MuxDriver(loop, mux, lambda event: None, lambda reason: None)
    for _ in range(100):
        ours, theirs = pairs()
        theirs.setblocking(False)
        while True:
            try:
                theirs.send(bytes(CHUNK))
            except BlockingIOError:
                break
        driver.connect_socket(mux.open(), ours)
    turn(loop, 0.2)
    assert MIB // 2 < mux.buffered <= MIB + CHUNK
    assert driver.blocked_since is not None
    driver.close()


def test_what_waits_for_a_socket_is_forgotten_with_the_mux() -> None:
    mux = Mux("0123456789abcdefghij", False, MIB)
    driver = MuxDriver(Reactor(), mux, lambda event: None, lambda reason: None)
    driver.reserve(7)
    driver.close()
    assert not driver.is_reserved(7)


@pytest.mark.parametrize("version", [1, VERSION])
def test_a_link_that_does_not_say_whose_it_is_is_closed_after_a_while(
    version: int, pairs: Callable[[], tuple[socket.socket, socket.socket]]
) -> None:
    loop, (link, laptop), (agent, far) = Reactor(), pairs(), pairs()
    fds = [link.detach()]
    fds.append(socket.dup(fds[0]))
    pending_link.PendingLink(loop, LinkPipes(*fds), agent, version, b"\x01\x00", pytest.fail).begin(0.05)
    laptop.settimeout(5)
    far.settimeout(5)
    turn(loop, 0.5)
    assert (laptop.recv(1), far.recv(1)) == (b"", b"")
