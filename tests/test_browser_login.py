"""Whom a real browser logs in, and what it learns and keeps: Chromium at a session's address."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from address import Address, session
from bed import Bed, Laptop, wait_for
from chromium import chromium

EVIL = """
import http.server
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>evil</title><body>")
    def log_message(self, *words): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
print(server.server_address[1], flush=True)
server.serve_forever()
"""


@pytest.fixture
def browser(bed: Bed, laptop: Laptop) -> Iterator[BrowserContext]:
    for user in ("alice", "zoe"):
        bed.fresh_home(user)
    with chromium(laptop) as context:
        yield context


def history(laptop: Laptop) -> dict[str, bool]:
    """Every address in the browser's history on the disk, and whether the browser ever shows it."""
    with contextlib.closing(sqlite3.connect(f"file:{laptop.home}/profile/Default/History?immutable=1", uri=True)) as db:
        return {url: not hidden for url, hidden in db.execute("SELECT url, hidden FROM urls")}


def log_of(bed: Bed, user: str) -> str:
    return (bed.login.home(user) / ".local/state/farlab/main/log").read_text(errors="replace")


def test_a_page_needs_no_token_and_no_history_has_it(bed: Bed, laptop: Laptop) -> None:
    bed.fresh_home("alice")
    with session(laptop, "alice") as address:
        bare = address.connected["url"].partition("?")[0]
        with chromium(laptop) as browser:
            page = browser.pages[0]
            page.goto(bare, wait_until="domcontentloaded")  # as typed, or a bookmark: nobody has logged in before
            page.wait_for_selector(".jp-Launcher")
            assert page.url.startswith(address.origin)
            for _ in range(2):
                browser.clear_cookies()  # and on a connection that is kept
                page.goto(f"{bare}?reset", wait_until="domcontentloaded")
                page.wait_for_selector(".jp-Launcher")
            browser.clear_cookies()
            before = len(laptop.opened)
            assert laptop.farlab("open", "alice").code == 0
            wait_for("the browser", lambda: len(laptop.opened) > before)
            page.goto(laptop.opened[-1], wait_until="domcontentloaded")
            page.wait_for_selector(".jp-Launcher")
            assert page.url.startswith(address.origin)
        visited = history(laptop)
        assert visited[bare]
        assert not any(address.token in url for url in visited)


def test_an_address_with_the_token_leads_to_one_without(bed: Bed, laptop: Laptop, browser: BrowserContext) -> None:
    """Also with one of an earlier session, in a bookmark. Whoever types it has it in their history: they typed it."""
    with session(laptop, "alice") as address:
        page = browser.pages[0]
        for token in (address.token, "0123456789abcdef"):
            browser.clear_cookies()
            page.goto(address.connected["url"].replace(address.token, token), wait_until="domcontentloaded")
            page.wait_for_selector(".jp-Launcher")
            assert "token" not in page.url
            assert logins(browser, address)


def test_no_other_sites_page_is_logged_in(bed: Bed, laptop: Laptop, browser: BrowserContext) -> None:
    """No link, form, frame, script or socket: the login is only for where its user goes."""
    with session(laptop, "alice") as address, other_site(laptop) as evil:
        page = browser.pages[0]
        page.goto(evil)
        lab = f"{address.origin}/lab"
        for code in (f"location = '{lab}'", f"open('{lab}', '_self', 'noopener')", form(lab, "get"), form(lab, "post")):
            page.goto(evil)
            with page.expect_navigation(url=f"{address.origin}/**"):
                page.evaluate(code)
            assert not logins(browser, address)
        page.goto(evil)
        page.evaluate(FRAME_AND_SCRIPTS, address.origin)
        assert not logins(browser, address)
        assert address.ask("GET", "/api/kernels")[2] == b"[]"
        page.goto(lab, wait_until="domcontentloaded")
        page.wait_for_selector(".jp-Launcher")
        assert logins(browser, address)


def form(where: str, method: str) -> str:
    return (
        f"const form = document.createElement('form'); form.action = '{where}'; form.method = '{method}';"
        "document.body.append(form); form.submit()"
    )


FRAME_AND_SCRIPTS = """async origin => {
    const frame = document.createElement("iframe");
    const loaded = new Promise(over => frame.onload = over);
    frame.src = origin + "/lab";
    document.body.append(frame);
    await loaded;
    for (const mode of ["cors", "no-cors"])
        for (const path of ["/lab", "/api/kernels", "/login?next=/lab"])
            try { await fetch(origin + path, {mode, credentials: "include"}); } catch (error) { }
    await new Promise(over => {
        const socket = new WebSocket(origin.replace("http", "ws") + "/api/events/subscribe");
        socket.onopen = socket.onerror = over;
    });
}"""


def logins(browser: BrowserContext, address: Address) -> list[str]:
    cookies = browser.cookies([address.origin, f"http://127.0.0.1:{address.port}"])
    return [each["value"] for each in cookies if each["name"].startswith("username-")]


@contextlib.contextmanager
def other_site(laptop: Laptop) -> Iterator[str]:
    """The address of a page that another user of the laptop serves."""
    argv = laptop.command([sys.executable, "-c", EVIL], user="eve")
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout as out:
        yield f"http://evil.localhost:{int(out.readline())}/"
        process.terminate()
        process.wait(timeout=20)


def test_a_page_of_one_host_cannot_have_the_login_of_another_sent_to_it(
    bed: Bed, laptop: Laptop, browser: BrowserContext
) -> None:
    """Cookies ignore ports: a hostile server sends the browser to another session's name at its own port."""
    with session(laptop, "zoe") as zoe, session(laptop, "node1") as node:
        page = browser.pages[0]
        for address in (zoe, node):
            page.goto(f"{address.origin}/lab", wait_until="domcontentloaded")
            page.wait_for_selector(".jp-Launcher")
        theirs = logins(browser, node)
        assert theirs
        for name in ("node1-main.localhost", "sub.node1-main.localhost", "sub.zoe-main.localhost", "x.localhost"):
            answer = page.goto(f"http://{name}:{zoe.port}/steal-x", wait_until="domcontentloaded")
            assert answer
            assert answer.status == 403
        assert zoe.ask("GET", "/friend-x")[0] == 404
        wait_for("the friend in the log", lambda: "/friend-x" in log_of(bed, "zoe"))
        assert "/steal-x" not in log_of(bed, "zoe")
