"""What a `MuxDriver` needs of its event loop. For type checkers alone: nothing imports it at run time."""

from collections.abc import Callable
from typing import Any, Protocol


class Loop(Protocol):
    """asyncio's loop on the laptop, `Reactor` on the host."""

    def add_reader(self, fd: int, callback: "Callable[..., object]", *args: "Any") -> object:
        """Call back whenever the descriptor can be read."""

    def add_writer(self, fd: int, callback: "Callable[..., object]", *args: "Any") -> object:
        """Call back whenever the descriptor can be written."""

    def remove_reader(self, fd: int) -> object:
        """Take `add_reader` back."""

    def remove_writer(self, fd: int) -> object:
        """Take `add_writer` back."""
