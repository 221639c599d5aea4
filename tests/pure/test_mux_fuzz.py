"""A taste of `tests/test_mux_attack.py` for the quick checks, and bytes of hypothesis' own invention."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farlab.mux.codec import read_hello
from farlab.mux.frames import VERSION, ProtocolError
from mux_fuzz import ENDS, attack


def test_hostile_bytes_raise_nothing_but_the_protocols_own_error() -> None:
    assert attack(1, 5000)["refused"]


@pytest.mark.parametrize("make", ENDS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("version", [1, VERSION])
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_taken_or_refused(make, version: int, pieces: list[bytes]) -> None:
    mux, token = make(version)
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            mux.receive(token, piece)
    with contextlib.suppress(ProtocolError):
        read_hello(b"".join(pieces), version)
