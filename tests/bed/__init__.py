"""The project's test bed: several real hosts on one machine. See `bed.py`, and `tests/README.md` for how to use it."""

from .bed import BEDS, LAB, Bed, clear_dead_beds
from .hosts import BedBroken, Host, wait_for
from .laptop import Laptop, Ran
from .people import ONE_TIME_SECRET, PASSPHRASE, PASSWORD, PEOPLE, Person

__all__ = [
    "BEDS", "LAB", "ONE_TIME_SECRET", "PASSPHRASE", "PASSWORD", "PEOPLE", "Bed", "BedBroken", "Host", "Laptop", "Person",
    "Ran", "clear_dead_beds", "wait_for",
]  # fmt: skip
