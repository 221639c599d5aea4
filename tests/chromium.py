"""A real browser on a laptop of the bed: Debian's Chromium, run as the laptop's user, driven by playwright."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator

from playwright.sync_api import BrowserContext, Locator, Page, WebSocket, sync_playwright

from bed import Laptop

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
PATIENCE_MS = 100_000


@contextlib.contextmanager
def chromium(laptop: Laptop) -> Iterator[BrowserContext]:
    """A browser with a profile of its own, in the laptop's network, until the block ends."""
    profile = laptop.home / "profile"
    command = laptop.command(["/usr/bin/chromium"], {"XDG_RUNTIME_DIR": str(profile)})  # it leaves files there
    wrapper = laptop.directory / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    wrapper.chmod(0o755)
    assert laptop.run("mkdir", str(profile)).code == 0  # by the user, whose it must be
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=wrapper,
            headless=True,
            args=list(FLAGS),
            viewport={"width": 1280, "height": 800},
        )
        context.set_default_timeout(PATIENCE_MS)
        yield context
        context.close()


class Lab:
    """One tab with JupyterLab, and what happened in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.opened: list[str] = []
        """Addresses of the WebSockets to kernels, in order."""
        self.closed: list[str] = []
        page.on("websocket", self._socket)

    def _socket(self, socket: WebSocket) -> None:
        if "/api/kernels/" in socket.url:
            self.opened.append(socket.url)
            socket.on("close", lambda _: self.closed.append(socket.url))

    def start(self, address: str) -> None:
        """Follow `address` to JupyterLab, and open a notebook from its launcher."""
        self.page.goto(address, wait_until="domcontentloaded")
        self.page.click('.jp-LauncherCard[data-category="Notebook"]')
        self.page.wait_for_selector(".jp-Notebook .jp-Cell")
        # the indicator at the notebook says idle before there is a kernel
        self.page.wait_for_function("document.querySelector('#jp-main-statusbar').innerText.match(/\\| Idle/)")
        self.page.click(".jp-Notebook .jp-Cell .cm-content")

    def begin(self, code: str) -> None:
        """Type a cell and run it."""
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")

    def wait_for(self, text: str) -> str:
        """All outputs, once `text` is in one of them."""
        self.page.wait_for_function(
            "text => [...document.querySelectorAll('.jp-OutputArea-output')].some(e => e.innerText.includes(text))",
            arg=text,
        )
        return "\n".join(self.page.locator(".jp-OutputArea-output").all_inner_texts())

    @property
    def dialogs(self) -> Locator:
        return self.page.locator(".jp-Dialog")

    def numbers(self, word: str) -> list[int]:
        """The numbers behind `word` in the outputs."""
        text = "\n".join(self.page.locator(".jp-OutputArea-output").all_inner_texts())
        return [int(number) for number in re.findall(rf"{word} (\d+)", text)]
