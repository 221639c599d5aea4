"""A JupyterLab tab in which a cell counts, and the moment at which each line came up in it: `outage`."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from measure import say
from playwright.sync_api import BrowserContext
from playwright.sync_api import Error as BrowserError
from ways import PATIENCE, Way, wait_for

from chromium import Lab

CELL = """
import pathlib, time
def count(pause):
    began, number = time.time(), 0
    with open({log!r}, "w", buffering=1) as log:
        while not pathlib.Path({stop!r}).exists():
            line = f"tick {{number}} {{time.time():.3f}}"
            print(line, flush=True)
            print(line, file=log)
            number += 1
            time.sleep(max(0, began + number * pause - time.time()))
    print("that was all")
count({pause})
"""
WATCH = """() => {
    const seen = window.farlabSeen = {ticks: [], dialogs: [], last: ""};
    const look = () => {
        const outputs = document.querySelectorAll(".jp-OutputArea-output");
        if (!outputs.length) return;
        const text = outputs[outputs.length - 1].textContent.slice(-200);
        const lines = [...text.matchAll(/tick (\\d+) (\\d+\\.\\d+)\\n/g)];
        if (!lines.length || lines[lines.length - 1][0] == seen.last) return;
        const [line, number, stamp] = lines[lines.length - 1];
        seen.last = line;
        seen.ticks.push([Date.now() / 1000, Number(number), Number(stamp)]);
    };
    new MutationObserver(changes => {
        for (const change of changes)
            for (const node of change.addedNodes)
                if (node.classList && node.classList.contains("jp-Dialog")) seen.dialogs.push(node.innerText);
        look();
    }).observe(document.body, {childList: true, subtree: true, characterData: true});
}"""
TEXT = """() => {
    const outputs = document.querySelectorAll(".jp-OutputArea-output");
    return outputs.length ? outputs[outputs.length - 1].textContent : "";
}"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one outage in one tab. Seconds since the network was back; None: not within the patience."""

    live: float | None
    caught_up: float | None
    dialogs: int
    sockets: int
    lost: int
    doubled: int
    printed: int


class Tab:
    """One tab of one way, for one outage."""

    def __init__(self, context: BrowserContext, way: Way, pause: float) -> None:
        self.way = way
        self._log, self._stop = way.home / "ticks", way.home / "ticks-stop"
        self.lab = Lab(context.new_page())
        self.page = self.lab.page
        self.lab.start(way.page)
        self.page.evaluate(WATCH)
        self._stop.unlink(missing_ok=True)
        on_host = Path("/home") / way.person
        self.lab.begin(CELL.format(log=str(on_host / "ticks"), stop=str(on_host / "ticks-stop"), pause=pause))
        self.page.wait_for_function("window.farlabSeen.ticks.length > 3")

    def finish(self, back: float, patience: float = PATIENCE) -> Seen:
        """Wait until it is live again, let the cell end, count; the network was back at `back`."""
        self._wait(f"window.farlabSeen.ticks.some(tick => tick[2] > {back + 1})", patience)
        self._stop.touch()
        self._wait(f"({TEXT})().includes('that was all')", 30)
        ticks = self.page.evaluate("window.farlabSeen.ticks")
        shown = [int(number) for number in re.findall(r"tick (\d+) ", self.page.evaluate(TEXT))]
        dialogs = self.page.evaluate("window.farlabSeen.dialogs")
        for text in dialogs:
            say(f"  {self.way.name}: {' '.join(text.split())}")
        printed = {int(line.split()[1]): float(line.split()[2]) for line in self._log.read_text().splitlines()}
        live = next((at - back for at, _, stamp in ticks if stamp >= back), None)
        before = max((number for number, stamp in printed.items() if stamp < back), default=0)
        caught_up = next((at - back for at, number, _ in ticks if at >= back and number >= before), None)
        lost, doubled = len(printed.keys() - set(shown)), len(shown) - len(set(shown))
        return Seen(live, caught_up, len(dialogs), len(self.lab.opened), lost, doubled, len(printed))

    def close(self) -> None:
        """End its kernel, and the tab."""
        script = """async token => {
            const headers = {Authorization: `token ${token}`};
            for (const kernel of await (await fetch("/api/kernels", {headers})).json())
                await fetch(`/api/kernels/${kernel.id}`, {method: "DELETE", headers});
        }"""
        with contextlib.suppress(BrowserError):
            self.page.evaluate(script, self.way.token)
        self.page.close(run_before_unload=False)

    def _wait(self, condition: str, seconds: float) -> None:
        with contextlib.suppress(BrowserError):
            self.page.wait_for_function(condition, timeout=seconds * 1000)


__all__ = ["Seen", "Tab", "wait_for"]
