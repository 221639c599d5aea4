"""Fixtures for every test: the bed, its hosts, laptops, and the check that nothing is left behind. See README.md."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

import steps
from address import Address, session
from bed import Bed, Host, Laptop, leftovers

for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)
"""Under `nohup` or in the background we are told to ignore these. What is ignored stays so in all that is started,
so what a test ends by a hangup would live on; what is handled does not (execve(2))."""
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")
PURE = Path(__file__).parent / "pure"
GRACE = 3.0
"""Seconds that a program has to go away after its test."""
_standing: list[Bed] = []
_report = pytest.StashKey[pytest.TestReport]()
_left_out = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """Four hosts, `bed.login`, `bed.bastion`, `bed.node1`, `bed.node2`, and the wires to the laptop. One per worker."""
    with Bed() as bed:
        _standing.append(bed)
        yield bed
        _standing.remove(bed)


@pytest.fixture
def host(bed: Bed) -> Host:
    """The host most tests need one of: `login`."""
    return bed.login


@pytest.fixture
def small_jupyter(request: pytest.FixtureRequest, host: Host, bed: Bed) -> Iterator[None]:
    """For tests that are not about Jupyter: what `login` has in its place starts at once, and runs no kernels.

    Where a whole file asks for it, `@pytest.mark.jupyter` gives one test the real one.
    """
    if request.node.get_closest_marker("jupyter"):
        yield
        return
    with host.small_jupyter():
        yield
        bed.restore()


@pytest.fixture
def new_laptop(bed: Bed) -> Callable[..., Laptop]:
    """Makes laptops, as many as a test needs; each is a fresh home with keys, `ssh_config` and `known_hosts`."""
    return bed.add_laptop


@pytest.fixture
def laptop(new_laptop: Callable[..., Laptop]) -> Laptop:
    """A fresh laptop of an ordinary user."""
    return new_laptop()


@pytest.fixture(scope="module")
def existing(bed: Bed) -> Iterator[Any]:
    """A session of alice's that no laptop of the tests knows yet, and that none ends; its connect's document."""
    laptop = bed.add_laptop()
    connected = steps.connect(laptop, "alice")
    steps.done(laptop, "disconnect", "alice")
    yield connected
    steps.terminate(laptop, "alice")
    bed.remove(laptop)


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest, bed: Bed) -> Iterator[Address]:
    """A session that the tests of a file share, and none of them ends: alice's, or its whom the file calls `OWNER`."""
    laptop = bed.add_laptop()
    with session(laptop, getattr(request.module, "OWNER", "alice")) as address:
        yield address
    bed.remove(laptop)


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """After each test no process, listening socket or file of it is left, on the laptops or on any host.

    What was there before the test (a session that a wider fixture keeps) is not the test's. Pure tests start
    nothing, and there are more than a thousand of them: looking costs more than they do.
    """
    if PURE in request.path.parents:
        yield
        return
    name = uuid.uuid4().hex
    monkeypatch.setenv("FARLAB_TEST", name)
    bed: Bed | None = request.getfixturevalue("bed") if "bed" in request.fixturenames else None
    laptops = list(bed.laptops) if bed else []
    before = leftovers.take(bed)
    yield
    left = _wait_until_clean(f"FARLAB_TEST={name}", bed, before)
    if left:
        leftovers.reap(left)
    for laptop in [laptop for laptop in bed.laptops if laptop not in laptops] if bed else []:
        bed.remove(laptop)
    report = request.node.stash.get(_report, None)
    if left and (report is None or report.passed):
        pytest.fail(f"left behind, {GRACE:g} s after the test:\n{left}", pytrace=False)


def _wait_until_clean(marker: str, bed: Bed | None, before: leftovers.Snapshot) -> leftovers.Left:
    """Mend the bed, then look until nothing is left or the grace is over; returns what is left."""
    if bed:
        bed.restore()
    deadline = time.monotonic() + GRACE
    while (left := leftovers.since(before, marker, bed)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.when == "call":
        item.stash[_report] = report
    return report


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, and count, what needs root where we are an ordinary user."""
    if os.geteuid() == 0:
        return
    bedded = [item for item in items if "bed" in getattr(item, "fixturenames", ())]
    config.stash[_left_out] = len(bedded)
    config.hook.pytest_deselected(items=bedded)
    items[:] = [item for item in items if item not in bedded]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More workers than cores: half of a test's time is spent on waiting for clocks, networks and hosts."""
    return len(os.sched_getaffinity(0)) * 5 // 2


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended: remember what it left out. All workers collect the same."""
    node.config.stash[_left_out] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    skipped = Counter(
        report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())
    )
    if count := config.stash.get(_left_out, 0):
        skipped["they need root: they make network namespaces and mounts"] += count
    if skipped:
        words = "; ".join(f"{count} ({reason})" for reason, count in skipped.most_common())
        terminalreporter.write_line(f"tests left out: {words}")
    if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error"):
        load = os.getloadavg()[0] / len(os.sched_getaffinity(0))
        terminalreporter.write_line(
            f"to run what failed once more, alone: scripts/test -n 1 --last-failed (load: {load:.1f} a core)"
        )


def pytest_sessionfinish(session: pytest.Session) -> None:
    """With `--no-skips`, a run that skipped anything has failed."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_out"] = session.config.stash.get(_left_out, 0)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if session.config.getoption("--no-skips") and skipped and session.exitstatus == 0:
        session.exitstatus = 1
        reporter.write_line(f"\n{len(skipped)} skipped: {', '.join(report.nodeid for report in skipped)}")
