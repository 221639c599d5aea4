"""The bed itself works: hosts, people, wires, crashes, and the check that nothing is left."""

from __future__ import annotations

import pytest

from bed import PEOPLE, Bed, Host, Laptop, wait_for

BY_KEY = sorted(PEOPLE.keys() - {"nolan", "otto", "hal", "pia", "kim"})


@pytest.mark.parametrize("person", BY_KEY)
def test_everybody_with_a_key_logs_in(laptop: Laptop, person: str) -> None:
    ran = laptop.ssh(person, "id -un; hostname")
    assert ran.code == 0, ran
    assert ran.out.endswith(f"{person}\nlogin\n"), ran
