"""JupyterLab in a real browser, at the address that `farlab` opens."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page

from address import PATIENCE, Address, session
from bed import Bed, Host, Laptop, processes, wait_for
from chromium import Lab, chromium


@pytest.fixture
def browser(bed: Bed, laptop: Laptop) -> Iterator[BrowserContext]:
    for user in ("alice", "zoe"):
        bed.fresh_home(user)  # JupyterLab would bring back the tabs of the last test
    with chromium(laptop) as context:
        yield context


def one_time_address(address: Address) -> str:
    """What `farlab open` gives to the browser."""
    laptop, before = address.laptop, len(address.laptop.opened)
    assert laptop.farlab("open", address.host).code == 0
    wait_for("the browser", lambda: len(laptop.opened) > before)
    return laptop.opened[-1]


def test_a_one_time_address_opens_the_notebook_and_another_opens_it_beside(
    bed: Bed, host: Host, laptop: Laptop, browser: BrowserContext
) -> None:
    with session(laptop, "alice") as address:
        lab = Lab(browser.pages[0])
        lab.start(one_time_address(address))
        assert urlsplit(lab.page.url).netloc == f"alice-main.localhost:{address.port}"
        assert address.token not in lab.page.url
        lab.begin("import os; print('ran', 6 * 7, os.uname().nodename)")
        assert "ran 42 login" in lab.wait_for("ran 42")
        lab.page.wait_for_function("document.title.includes('login - JupyterLab')")  # which host the tab is of
        again = browser.new_page()  # in the same browser, with connections of the first tab to spare
        again.goto(one_time_address(address), wait_until="domcontentloaded")
        again.wait_for_selector(".jp-Notebook .jp-Cell, .jp-Launcher, .jp-Dialog")
        assert urlsplit(again.url).netloc == f"alice-main.localhost:{address.port}"


def test_a_page_that_loads_while_the_host_is_away_tells_so_and_then_comes(
    bed: Bed, host: Host, laptop: Laptop, browser: BrowserContext
) -> None:
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(session(laptop, "alice"))
        stack.callback(bed.wan.heal)
        page = browser.pages[0]
        page.goto(one_time_address(address), wait_until="domcontentloaded")
        page.wait_for_selector(".jp-Launcher")
        bed.wan.blackhole("on")
        link = address.link()
        assert link
        assert processes.end(link.pid, link.started)
        wait_for("the loss", lambda: address.status()["state"] == "down", timeout=PATIENCE)
        page.reload(wait_until="domcontentloaded")
        assert "Cannot reach" in page.inner_text("body")
        bed.wan.blackhole("off")
        page.wait_for_selector(".jp-Launcher")  # it came by itself


def test_the_page_of_one_host_gets_no_login_of_another(
    bed: Bed, host: Host, laptop: Laptop, browser: BrowserContext
) -> None:
    with session(laptop, "zoe") as zoe, session(laptop, "node1") as node:
        page = browser.pages[0]
        for address in (zoe, node):
            page.goto(one_time_address(address), wait_until="domcontentloaded")
            page.wait_for_selector(".jp-Launcher")
        cookies = browser.cookies()
        domains = {cookie["domain"] for cookie in cookies if cookie["name"].startswith("username-")}
        assert domains == {"zoe-main.localhost", "node1-main.localhost"}
        sent = cookies_sent(page, f"{zoe.origin}/api/status")
        assert '"kernels"' in page.inner_text("body")
        theirs = [each["value"] for each in cookies if each["domain"] == "node1-main.localhost"]
        assert theirs
        assert not any(value in sent for value in theirs)
        assert reach(page, node.origin) == "refused"
        assert node.ask("GET", "/api/kernels")[2] == b"[]"  # nor was there one started by the way
        # with one name for both, the login of one goes to the other: cookies ignore ports
        for address in (zoe, node):
            page.goto(f"http://127.0.0.1:{address.port}/lab?token={address.token}", wait_until="domcontentloaded")
        theirs = [each["value"] for each in browser.cookies(f"http://127.0.0.1:{node.port}")]
        sent = cookies_sent(page, f"http://127.0.0.1:{zoe.port}/api/status")
        assert any(value in sent for value in theirs)


def cookies_sent(page: Page, url: str) -> str:
    """The cookies that the browser sends when it goes there."""
    answer = page.goto(url, wait_until="domcontentloaded")
    assert answer
    return answer.request.all_headers().get("cookie", "")


def reach(page: Page, origin: str) -> str:
    """What a script of this page gets of another session's API, with every cookie the browser would send."""
    script = """async origin => {
        const got = [];
        for (const [path, method] of [["/api/kernels", "GET"], ["/api/kernels", "POST"], ["/api/shutdown", "POST"]]) {
            try {
                const answer = await fetch(origin + path, {method, credentials: "include"});
                got.push(`${method} ${path} ${answer.status}`);
            } catch (error) { }
            try {
                const blind = await fetch(origin + path, {method, credentials: "include", mode: "no-cors"});
                if (blind.type != "opaque") got.push(`${path} ${blind.type}`);
            } catch (error) { }
        }
        await new Promise(over => {
            const socket = new WebSocket(origin.replace("http", "ws") + "/api/events/subscribe");
            socket.onopen = () => { got.push("websocket"); over(); };
            socket.onerror = over;
        });
        return got.join(", ") || "refused";
    }"""
    return str(page.evaluate(script, origin))
