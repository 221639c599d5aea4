"""How the carrier moves bytes between a line and real sockets, on the host's own loop."""

from __future__ import annotations

import socket
import types
from collections.abc import Callable, Iterator

import pytest

from farlab.host import clients
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
    loop._stopped = False


def test_many_sockets_that_are_full_at_once_do_not_exceed_the_lines_limit(
    pairs: Callable[[], tuple[socket.socket, socket.socket]],
) -> None:
    loop, line = Reactor(), Mux("0123456789abcdefghij", True, MIB)
    carrier = MuxDriver(loop, line, lambda event: None, lambda reason: None)
    for _ in range(100):
        ours, theirs = pairs()
        theirs.setblocking(False)
        while True:
            try:
                theirs.send(bytes(CHUNK))
            except BlockingIOError:
                break
        carrier.join(line.open(), ours)
    turn(loop, 0.2)
    assert MIB // 2 < line.held <= MIB + CHUNK
    assert carrier.waits_since is not None
    carrier.close()


def test_what_waits_for_a_socket_is_forgotten_with_the_line() -> None:
    line = Mux("0123456789abcdefghij", False, MIB)
    carrier = MuxDriver(Reactor(), line, lambda event: None, lambda reason: None)
    carrier.expect(7)
    carrier.close()
    assert not carrier.is_expected(7)


@pytest.mark.parametrize("version", [1, VERSION])
def test_a_link_that_does_not_say_whose_it_is_is_closed_after_a_while(
    version: int, pairs: Callable[[], tuple[socket.socket, socket.socket]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "GREETING_TIMEOUT", 0.05)
    loop, (link, laptop), (agent, far) = Reactor(), pairs(), pairs()
    fds = [link.detach()]
    fds.append(socket.dup(fds[0]))
    clients.PendingLink(types.SimpleNamespace(loop=loop), b"\x01\x00", LinkPipes(*fds), agent, version)
    laptop.settimeout(5)
    far.settimeout(5)
    turn(loop, 0.5)
    assert (laptop.recv(1), far.recv(1)) == (b"", b"")
