"""A taste of `tests/test_line_attack.py` for the quick checks, and bytes of hypothesis' own invention."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farlab.remote.frames import ProtocolError, read_hello
from line_fuzz import ENDS, attack


def test_hostile_bytes_raise_nothing_but_the_protocols_own_error() -> None:
    assert attack(1, 5000)["refused"]


@pytest.mark.parametrize(("make", "_"), ENDS, ids=lambda each: getattr(each, "__name__", ""))
@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_taken_or_refused(make, _, pieces: list[bytes]) -> None:
    line, token = make()
    with contextlib.suppress(ProtocolError):
        for piece in pieces:
            line.receive(token, piece)
    with contextlib.suppress(ProtocolError):
        read_hello(b"".join(pieces))
