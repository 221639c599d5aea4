"""Outages as a user sees them: JupyterLab in a real browser, a cell that prints ten lines a second, and a network
that goes away again and again. No dialog, one WebSocket, every line once and in order, and live again each time."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import BrowserContext

from address import PATIENCE, Address, parent, session
from bed import Bed, Host, Laptop, processes, wait_for
from chromium import Lab, chromium

LOG, STOP = "printed", "no-more"
CELL = f"""
import os, time
number = 0
with open("/home/alice/{LOG}", "w", buffering=1) as log:
    while not os.path.exists("/home/alice/{STOP}"):
        print("tick", number, flush=True)
        print(number, file=log)
        number += 1
        time.sleep(0.1)
print("that was all")
"""
LOOK = 1.0
"""Seconds between two looks of the keeper at what it has heard."""
NOTICED = 10.0
"""Seconds after which an outage cannot pass for a slow network."""


@dataclass(frozen=True, slots=True)
class Journey:
    """A notebook with a cell that prints, on its way through outages."""

    bed: Bed
    address: Address
    lab: Lab

    def away_for(self, seconds: float) -> None:
        """Let time pass; what happens in the browser meanwhile is heard."""
        self.lab.page.wait_for_timeout(seconds * 1000)

    @property
    def printed(self) -> int:
        """The number that the cell printed last."""
        lines = (self.bed.login.home("alice") / LOG).read_text().split("\n")
        return int(lines[-2])

    def link(self) -> processes.Process:
        """The one `ssh`, once that of before has ended."""
        keeper = self.address.keeper()

        def links() -> list[processes.Process]:
            return [
                each for each in self.address.laptop.processes() if each.name == "ssh" and parent(each.pid) == keeper
            ]

        wait_for("one link", lambda: len(links()) == 1, timeout=PATIENCE, pause=0.1)
        return links()[0]


@pytest.fixture
def browser(bed: Bed, laptop: Laptop) -> Iterator[BrowserContext]:
    bed.fresh_home("alice")
    with chromium(laptop) as context:
        yield context


def silence(journey: Journey, seconds: float) -> None:
    """Every packet is lost, both ways, and nobody is told."""
    journey.bed.wan.blackhole("on")
    journey.away_for(seconds)
    journey.bed.wan.blackhole("off")


def wifi_off(journey: Journey, seconds: float) -> None:
    journey.bed.wifi(on=False)
    journey.away_for(seconds)
    journey.bed.wifi(on=True)


def killed(journey: Journey, seconds: float) -> None:
    link = journey.link()
    assert processes.end(link.pid, link.started)


def another_address(journey: Journey, seconds: float) -> None:
    journey.bed.roam("10.80.0.77")


def asleep(journey: Journey, seconds: float) -> None:
    """The laptop's programs stand still; when they go on, the network is another one."""
    pids = (journey.address.keeper(), journey.link().pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        journey.bed.wan.blackhole("on")
        journey.away_for(seconds)
        journey.bed.roam("10.80.0.78")
        journey.bed.wan.blackhole("off")
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


Outage = Callable[[Journey, float], None]
JOURNEYS: dict[str, list[tuple[Outage, float]]] = {
    "at a desk": [(silence, 5), (killed, 0), (silence, 20)],
    "on the way": [(wifi_off, 6), (another_address, 0), (asleep, 12)],
}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("outages", JOURNEYS.values(), ids=JOURNEYS)
def test_a_running_cell_lives_through_outages_without_a_word(
    bed: Bed, host: Host, laptop: Laptop, browser: BrowserContext, outages: list[tuple[Outage, float]]
) -> None:
    with session(laptop, "alice") as address:
        lab, keeper = Lab(browser.pages[0]), address.keeper()
        journey = Journey(bed, address, lab)
        lab.start(f"{address.origin}/lab?token={address.token}")
        lab.begin(CELL)
        lab.wait_for("tick 5\n")
        for befalls, seconds in outages:
            wait_for("the link", lambda: address.status()["state"] == "up", timeout=PATIENCE, pause=0.2)
            before = address.status()["outages"]
            befalls(journey, seconds)
            lab.wait_for(f"tick {journey.printed + 1}\n")  # live again
            told = address.status()
            is_noticed = seconds == 0 or seconds >= NOTICED
            assert told["outages"] - before in ((1,) if is_noticed else (0, 1)), laptop.farlab(
                "logs", "alice", "--keeper"
            ).out
            if befalls is silence and is_noticed:
                assert told["longest_outage"] >= seconds - LOOK, told
        (host.home("alice") / STOP).touch()
        lab.wait_for("that was all")
        assert lab.numbers("tick") == list(range(journey.printed + 1))
        assert lab.dialogs.count() == 0
        assert len(lab.opened) == 1  # one WebSocket, from the first line to the last
        assert lab.closed == []
        assert address.keeper() == keeper
