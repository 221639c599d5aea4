"""JupyterLab's first page in a real browser, through farlab and through `ssh -L` to the same server."""

from __future__ import annotations

import shutil
import time
from functools import partial

from host import Host
from measure import Table, interleave, ratio, verdict
from playwright.sync_api import Browser, sync_playwright
from served import Way, served

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def measure(host: Host, rounds: int) -> Table:
    """Seconds from the address to the launcher's cards, nothing in the browser's cache."""
    head = ("round trip", "farlab", "`ssh -L`", "farlab / `ssh -L`", "goal")
    about = "Seconds in headless Chromium from the address to the launcher's cards, empty cache: median (min-max)."
    table = Table("JupyterLab's first page", head, about)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for rtt in (20, 100):
            alias = host.alias(rtt)
            with served(host, alias) as server:
                runs = {name: partial(page, browser, server.ways[name], server.token) for name in ("farlab", "ssh")}
                took = interleave(runs, rounds, label=f"page {rtt} ms")
            ours, ssh = took["farlab"], took["ssh"]
            table.add(f"{rtt} ms", ours.show(), ssh.show(), ratio(ours, ssh), verdict(ours.median / ssh.median, 1.0))
        browser.close()
    return table


def page(browser: Browser, port: Way, token: str) -> float:
    """Seconds until the launcher shows."""
    with browser.new_context() as context:
        tab = context.new_page()
        start = time.perf_counter()
        tab.goto(f"http://127.0.0.1:{port}/lab?token={token}", wait_until="commit")
        tab.wait_for_selector(".jp-LauncherCard", timeout=60_000)
        return time.perf_counter() - start
