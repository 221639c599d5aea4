"""Whatever a link brings, the mux raises nothing but its own error."""

from __future__ import annotations

import os
import random

from mux_fuzz import attack

INPUTS = 40_000


def test_nothing_but_the_protocols_own_error_comes_out_of_40000_hostile_inputs() -> None:
    seed = random.randrange(1 << 32) if "FARLAB_SOAK" in os.environ else 20261123
    print(f"seed {seed}")  # noqa: T201  pytest shows it where it fails
    seen = attack(seed, INPUTS)
    assert seen["refused"] > INPUTS / 4
    assert seen["taken"] > INPUTS / 20
