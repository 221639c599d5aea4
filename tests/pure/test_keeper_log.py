"""The keeper's log keeps within its bounds, whatever writes there and however often something goes wrong."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from farlab.keeper.log import MAX_BYTES, MAX_TRACEBACKS, TRACEBACK_PERIOD, KeeperLog, RateLimitedHandler


def test_a_log_that_others_made_long_is_cut_and_keeps_its_end(tmp_path: Path) -> None:
    """The keeper's stderr goes there too."""
    path = tmp_path / "log"
    log = KeeperLog(path)
    log.trim()
    with path.open("a") as stderr:
        stderr.write("x" * MAX_BYTES)
        stderr.flush()
        log.trim()
        assert path.stat().st_size == MAX_BYTES
        stderr.write("the end\n")
        stderr.flush()
        log.trim()
        assert path.stat().st_size == MAX_BYTES // 4
        stderr.write("and more\n")
    assert path.read_text().endswith("xthe end\nand more\n")


def test_an_exception_in_a_callback_is_told_a_few_times_an_hour_and_counted() -> None:
    now, written = 0.0, list[str]()
    log, faults = logging.getLogger("asyncio"), RateLimitedHandler(written.append, lambda: now)
    log.addHandler(faults)
    log.propagate = False

    async def fail(times: int) -> None:
        for number in range(times):
            asyncio.get_running_loop().call_soon(lambda number=number: [][number])
        await asyncio.sleep(0)

    try:
        asyncio.run(fail(1000))
        assert len(written) == MAX_TRACEBACKS
        assert all("IndexError" in each and "call_soon" in each for each in written)
        now += TRACEBACK_PERIOD
        asyncio.run(fail(1))
    finally:
        log.removeHandler(faults)
        log.propagate = True
    assert written[MAX_TRACEBACKS] == f"{1000 - MAX_TRACEBACKS} more of these were not logged\n"
    assert "IndexError" in written[MAX_TRACEBACKS + 1]


def test_a_fault_with_a_long_message_is_cut() -> None:
    written = list[str]()
    RateLimitedHandler(written.append).emit(logging.makeLogRecord({"msg": "x" * 1_000_000, "levelno": logging.ERROR}))
    assert len(written[0]) < 10_000
