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
WIDE_ONLY = frozenset({"since", "last seen", "traffic", "outages"})
"""Columns that a narrow terminal leaves out."""
OPTIONAL = frozenset({"ssh-config"})
"""Columns that are left out if they are empty."""
_GAP = 2


def table(sessions: tuple[SessionStatus, ...], *, width: int | None = None, color: bool = False) -> str:
    """The sessions as a table.

    To fit into `width` columns it first shortens the directory, then leaves out the columns of `WIDE_ONLY`.
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
    is_wide = width is None or sum(widest.values()) + _GAP * (len(columns) - 1) <= width
    shown = [(heading, cells) for heading, cells in columns if is_wide or heading not in WIDE_ONLY]
    grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, _GAP, 0, 0))
    for heading, _ in shown:
        grid.add_column(heading, min_width=widest[heading], no_wrap=heading != "directory")
    for cells in zip(*(cells for _, cells in shown), strict=True):
        grid.add_row(*(Text(cell, no_wrap=True, overflow="ellipsis") for cell in cells))
    page = StringIO()
    colors: Literal["standard"] | None = "standard" if color else None
    least = sum(widest[heading] for heading, _ in shown) + _GAP * (len(shown) - 1)
    whole = least + max(cell_len(cell) for cell in shown[-1][1])
    room = max(width or whole, least)
    Console(file=page, width=room, force_terminal=color, color_system=colors).print(grid)
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines())
