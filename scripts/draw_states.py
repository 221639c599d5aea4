#!/usr/bin/env python3
"""Draw the keeper's states from their table, `src/farlab/keeper/states.py`, into `docs/architecture.md`.

    .venv/bin/python scripts/draw_states.py

A test holds that the page is in step.
"""

from __future__ import annotations

from pathlib import Path

from farlab.keeper.states import TABLE, Trigger
from farlab.model import State

PAGE = Path(__file__).resolve().parent.parent / "docs/architecture.md"
BEGIN, END = "<!-- states: drawn by scripts/draw_states.py -->\n", "<!-- end of states -->\n"


def diagram() -> str:
    """The ways from one state to another."""
    ways: dict[tuple[State, State], list[str]] = {}
    for (state, trigger), then in TABLE.items():
        ways.setdefault((state, then), []).append(str(trigger))
    lines = [f"    {state.name} --> {then.name}: {', '.join(events)}" for (state, then), events in ways.items()]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> CONNECTING", *lines, "```", ""])


def table() -> str:
    """Every state and what leads out of it."""
    states = list(dict.fromkeys(state for state, _ in TABLE))
    lines = ["| happens in | " + " | ".join(state.name for state in states) + " |", "|---" * (len(states) + 1) + "|"]
    for trigger in Trigger:
        cells = [TABLE[state, trigger].name if (state, trigger) in TABLE else " " for state in states]
        lines.append(f"| {trigger} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def drawn(page: str) -> str:
    """`page` with what stands between the two marks replaced."""
    before, _, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{PAGE} has not the two lines that say where the states belong")
    return f"{before}{BEGIN}\n{diagram()}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text("utf-8")), "utf-8")
