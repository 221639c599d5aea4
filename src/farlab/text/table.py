"""The table of `farlab list`. Pure: sessions in, text out."""

from __future__ import annotations

from typing import Literal

from ..model import SessionStatus
from .messages import session_cells

HEADINGS = (
    "host",
    "session",
    "state",
    "since",
    "last seen",
    "traffic",
    "outages",
    "address",
    "ssh-config",
    "directory",
)
LEFT_OUT = (
    frozenset[str](),
    frozenset({"traffic", "outages"}),
    frozenset({"since", "last seen", "traffic", "outages"}),
    frozenset({"since", "last seen", "traffic", "outages", "directory"}),
    frozenset({"traffic", "outages", "address", "directory"}),
    frozenset({"last seen", "traffic", "outages", "address", "directory"}),
    frozenset({"since", "last seen", "traffic", "outages", "address", "directory"}),
    frozenset({"since", "last seen", "traffic", "outages", "address", "directory", "ssh-config"}),
)
"""What a terminal leaves out: the first of these with which the rest fits."""
OPTIONAL = frozenset({"ssh-config"})
"""Columns that are left out if they are empty."""
_GAP = 2
_MIN_HOST = 8


def table(sessions: tuple[SessionStatus, ...], *, width: int | None = None, color: bool = False) -> str:
    """The sessions as a table.

    To fit into `width` columns it shortens the directory, then leaves out columns (`LEFT_OUT`), then cuts the host.
    """
    from io import StringIO

    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = [session_cells(session) for session in sessions]
    columns = [(heading, [row[heading] for row in rows]) for heading in HEADINGS]
    columns = [(heading, cells) for heading, cells in columns if heading not in OPTIONAL or set(cells) != {"-"}]
    widest = {heading: max(map(cell_len, (heading, *cells))) for heading, cells in columns}
    widest["directory"] = len("directory")
    choices = ([column for column in columns if column[0] not in left_out] for left_out in LEFT_OUT)
    fitting = (choice for choice in choices if width is None or _least(choice, widest) <= width)
    shown = next(fitting, [column for column in columns if column[0] not in LEFT_OUT[-1]])
    least = _least(shown, widest)
    if width is not None and least > width:
        widest["host"] = max(widest["host"] - (least - width), _MIN_HOST)
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for heading, _ in shown:
        is_flexible = heading == "directory"
        grid.add_column(
            heading,
            min_width=widest[heading],
            max_width=None if is_flexible else widest[heading],
            no_wrap=not is_flexible,
        )
    for cells in zip(*(cells for _, cells in shown), strict=True):
        grid.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    page = StringIO()
    colors: Literal["standard"] | None = "standard" if color else None
    least = _least(shown, widest)
    room = max(width or least + max(cell_len(cell) for cell in shown[-1][1]), least)
    Console(file=page, width=room, force_terminal=color, color_system=colors).print(grid)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())


def _least(columns: list[tuple[str, list[str]]], widest: dict[str, int]) -> int:
    """The columns of a terminal that these need at least."""
    return sum(widest[heading] for heading, _ in columns) + _GAP * (len(columns) - 1)
