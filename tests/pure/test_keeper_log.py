"""The keeper's log keeps within its bounds, whatever writes there and however often something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from farlab.keeper.log import FAULTS_TIME, MOST_BYTES, MOST_FAULTS, Faults, KeeperLog


def test_a_log_that_others_made_long_is_cut_and_keeps_its_end(tmp_path: Path) -> None:
    """The keeper's stderr goes there too."""
    path = tmp_path / "log"
    story = KeeperLog(path)
    story.trim()
    with path.open("a") as stderr:
        stderr.write("x" * MOST_BYTES)
        stderr.flush()
        story.trim()
        assert path.stat().st_size == MOST_BYTES
        stderr.write("the end\n")
        stderr.flush()
        story.trim()
        assert path.stat().st_size == MOST_BYTES // 4
        stderr.write("and more\n")
    assert path.read_text().endswith("xthe end\nand more\n")


def test_an_exception_in_a_callback_is_told_a_few_times_an_hour_and_counted() -> None:
    now, written = 0.0, list[str]()
    log, faults = logging.getLogger("asyncio"), Faults(written.append, lambda: now)
    log.addHandler(faults)
    log.propagate = False

    async def fail(times: int) -> None:
        for number in range(times):
            asyncio.get_running_loop().call_soon(lambda number=number: [][number])
        await asyncio.sleep(0)

    try:
        asyncio.run(fail(1000))
        assert len(written) == MOST_FAULTS
        assert all("IndexError" in each and "call_soon" in each for each in written)
        now += FAULTS_TIME
        asyncio.run(fail(1))
    finally:
        log.removeHandler(faults)
        log.propagate = True
    assert written[MOST_FAULTS] == f"{1000 - MOST_FAULTS} more of these were not logged\n"
    assert "IndexError" in written[MOST_FAULTS + 1]


def test_a_fault_with_a_long_message_is_cut() -> None:
    written = list[str]()
    Faults(written.append).emit(logging.makeLogRecord({"msg": "x" * 1_000_000, "levelno": logging.ERROR}))
    assert len(written[0]) < 10_000
