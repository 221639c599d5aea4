"""What `README.md` shows of the command line is what it prints."""

from __future__ import annotations

import re
from pathlib import Path

from farlab.model import Connected, SessionStatus, State, Terminated
from farlab.text.messages import text
from farlab.text.table import table

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
SHOWN = re.findall(r"^\$ (farlab .*)\n((?:(?!```|\$ ).*\n)+)", README, re.MULTILINE)
TOKEN = "1e80028e420bb2be36636bf0c2cd583e6838e36beb39985c"
ADDRESS = "http://gpu1-main.localhost:43415/lab"


def connected(seconds: float, *, reused: bool) -> str:
    """What `farlab connect gpu1` prints."""
    return text(
        Connected(
            host="gpu1",
            name="main",
            url=f"{ADDRESS}?token={TOKEN}",
            address="http://127.0.0.1:43415",
            port=43415,
            token=TOKEN,
            reused=reused,
            pid=1,
            directory="/home/alice",
            seconds={"total": seconds},
            node="gpu1",
            app="lab",
            launcher="tmux",
            transport="unix",
            environment="",
            server="",
        )
    )


def test_connect_prints_what_the_readme_shows() -> None:
    first, again = (shown for typed, shown in SHOWN if typed == "farlab connect gpu1")
    assert first == connected(1.2, reused=False) + "\n"
    assert again == connected(0.0, reused=True).partition("\n")[0] + "\n…\n"


def test_list_prints_what_the_readme_shows() -> None:
    session = SessionStatus(
        host="gpu1",
        name="main",
        state=State.UP,
        at=100_000.0,
        since=100_000.0 - 28_920,
        url=ADDRESS,
        keeper_pid=1,
        directory="/home/alice",
        bytes_in=1_400_000_000,
        last_heard=99_999.0,
        round_trip=0.023,
        outages=2,
        longest_outage=304.0,
    )
    assert dict(SHOWN)["farlab list"] == table((session,)) + "\n"


def test_terminate_prints_what_the_readme_shows() -> None:
    assert dict(SHOWN)["farlab terminate gpu1"] == text(Terminated(host="gpu1", name="main")) + "\n"
