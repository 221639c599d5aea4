"""Gives memory back to the system that was needed once: after an outage in which much was held, glibc's heap stays as
large as it was. Both ends run this very file. Python 3.6.
"""

from contextlib import suppress

MUCH = 8 << 20
"""Bytes held at one time that are worth a look afterwards."""


class Heap(object):
    """`look` is to be called every few seconds."""

    def __init__(self) -> None:
        self._most = 0

    def look(self, held: int) -> None:
        """`held`: bytes that wait now. Gives back once, when most of what waited has gone."""
        self._most = max(self._most, held)
        if self._most > MUCH and held < self._most // 8:
            self._most = held
            give_back()


def give_back() -> None:
    """malloc_trim(3), where there is one."""
    with suppress(ImportError, OSError, AttributeError, MemoryError):
        import ctypes  # 1 MiB, and only after such an outage

        ctypes.CDLL(None).malloc_trim(0)
