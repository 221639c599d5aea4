"""The port of a session is the same whenever it is started."""

from __future__ import annotations

import socket

from farlab.keeper.web import listener
from farlab.model import Target
from farlab.saved import usual_ports


def test_a_session_has_its_own_ports_below_those_that_systems_give_to_anybody() -> None:
    ports = usual_ports(Target(host="gpu1"))
    assert ports == usual_ports(Target(host="gpu1"))
    assert all(1024 < port < 32768 for port in ports)
    assert len(set(ports)) > 4
    others = {usual_ports(Target(host="gpu1", name=f"n{number}"))[0] for number in range(200)}
    assert len(others) > 180


def test_the_first_that_is_free_is_taken_and_it_is_the_first_again_when_that_is_free() -> None:
    ports = usual_ports(Target(host=f"gpu-{socket.gethostname()}"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", ports[0]))
        taken.listen()
        found, note = listener.bind(None, None, ports)
        assert found[0].getsockname()[1] in ports[1:]
        assert note == ""
        for each in found:
            each.close()
    found, _ = listener.bind(None, None, ports)
    assert found[0].getsockname()[1] == ports[0]
    for each in found:
        each.close()
