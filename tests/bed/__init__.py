"""The project's test bed: several real hosts on one machine. See `bed.py`, and `tests/README.md` for its use."""

from . import leftovers, processes
from .bed import BEDS, LAB, Bed, clear_dead_beds
from .hosts import BedError, Host, wait_for
from .laptop import Laptop, Ran
from .users import ONE_TIME_SECRET, PASSPHRASE, PASSWORD, USERS, User

__all__ = [
    "BEDS",
    "LAB",
    "ONE_TIME_SECRET",
    "PASSPHRASE",
    "PASSWORD",
    "USERS",
    "Bed",
    "BedError",
    "Host",
    "Laptop",
    "Ran",
    "User",
    "clear_dead_beds",
    "leftovers",
    "processes",
    "wait_for",
]  # fmt: skip
