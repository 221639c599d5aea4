"""`connect --keep-output`: what a cell prints while no tab shows it; what is installed for that, and where."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from playwright.sync_api import BrowserContext, Page

from address import PATIENCE, Address, connect, session
from bed import LAB, USERS, Bed, Host, Laptop, processes, wait_for
from chromium import Lab, chromium
from errors_page import assert_shown
from farlab.host.keep_output import PACKAGES
from steps import end_of, refused

WHEELS = ("--setup", f"export PIP_NO_INDEX=1 PIP_FIND_LINKS={LAB}/wheels")
"""The bed's hosts reach no network: pip finds there what it would download."""
KEEP = ("--keep-output", *WHEELS)
LAYERS = ".local/share/farlab/keep-output"
SITE = next((LAB / "lib").glob("python3.*")) / "site-packages"
LINES = 30
PRINTS = f"import time\nfor i in range({LINES}): print('first', i, flush=True); time.sleep(0.15)"
SECOND = "for i in range(3): print('second', i, flush=True)"


@pytest.fixture
def home(bed: Bed, host: Host) -> Iterator[Path]:
    """Alice's home, as on the first day before and after."""
    bed.fresh_home("alice")
    yield host.home("alice")
    bed.fresh_home("alice")


@pytest.fixture
def browser(laptop: Laptop, home: Path) -> Iterator[BrowserContext]:
    with chromium(laptop) as context:
        yield context


def begin(browser: BrowserContext, address: Address, *cells: str) -> Lab:
    """A new notebook whose cells have been told to run."""
    lab = Lab(browser.pages[0])
    lab.start(f"{address.origin}/lab?token={address.token}")
    for cell in cells:
        lab.begin(cell)
    return lab


def open_again(page: Page, address: Address) -> Lab:
    """The notebook in a tab that has not seen it."""
    page.goto(f"{address.origin}/lab/tree/Untitled.ipynb", wait_until="domcontentloaded")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function("document.querySelector('#jp-main-statusbar').innerText.match(/\\| Idle/)")
    return Lab(page)


def lose_link(address: Address) -> None:
    link = wait_for("a link", address.link, timeout=PATIENCE)
    assert processes.end(link.pid, link.started)


def wait_until_idle(address: Address) -> None:
    """Ask by REST: a WebSocket would be a client of the kernel's."""

    def is_idle() -> bool:
        return b'"execution_state": "idle"' in address.ask("GET", "/api/kernels")[2]

    wait_for("the cells' end", is_idle, timeout=PATIENCE)


def test_what_cells_print_while_the_tab_is_closed_or_reloaded_is_there(
    laptop: Laptop, browser: BrowserContext, home: Path
) -> None:
    (home / ".jupyter").mkdir()  # whose default, a minute, would make this test long
    (home / ".jupyter/jupyter_server_config.py").write_text("c.YDocExtension.document_cleanup_delay = 0.5\n")
    (home / "work").mkdir()
    shutil.chown(home / "work", USERS["alice"].uid)
    with session(laptop, "alice", "--dir", "work", *KEEP) as address:
        lab = begin(browser, address, PRINTS, SECOND)
        lab.wait_for("first 5")
        tab = browser.new_page()
        lab.page.close()
        lose_link(address)
        wait_until_idle(address)
        lab = open_again(tab, address)
        lab.wait_for("second 2")
        assert lab.numbers("first") == list(range(LINES))
        assert lab.numbers("second") == [0, 1, 2]
        lab.page.click(".jp-Notebook .jp-Cell:last-of-type .cm-content")
        lab.begin(PRINTS.replace("first", "third"))
        lab.wait_for("third 5")
        tab.reload(wait_until="domcontentloaded")
        lose_link(address)
        lab.wait_for(f"third {LINES - 1}")
        assert lab.numbers("third") == list(range(LINES))
        lab.page.click(".jp-Notebook .jp-Cell:last-of-type .cm-content")
        lab.begin("print('hello', input('who? '))")
        lab.page.fill(".jp-Stdin-input", "ada")
        lab.page.press(".jp-Stdin-input", "Enter")
        lab.wait_for("hello ada")
        assert lab.dialogs.count() == 0
    assert {path.name for path in (home / "work").iterdir()} == {"Untitled.ipynb", ".ipynb_checkpoints"}
    assert not (home / ".local/state/farlab").exists()


def test_without_the_option_it_is_lost(laptop: Laptop, browser: BrowserContext) -> None:
    with session(laptop, "alice") as address:
        lab = begin(browser, address, PRINTS, SECOND)
        lab.wait_for("first 5")
        tab = browser.new_page()
        lab.page.close()
        wait_until_idle(address)
        lab = open_again(tab, address)
        assert lab.numbers("first") != list(range(LINES))
        assert lab.numbers("second") == []


# what is installed -------------------------------------------------------------------------------------------


def environment_of_alice(host: Host, name: str, *, without: str = "", lab: str = "") -> Path:
    """An environment in alice's home with the lab's packages, but `without` one; `lab`: another version of it."""
    home = host.home("alice")
    made = host.run("alice", ["/usr/bin/python3", "-m", "venv", "--without-pip", name])
    assert made.returncode == 0, made
    shared = f"{name}/share/jupyter"
    linked = host.run("alice", ["sh", "-c", f"mkdir -p {shared} && ln -s {LAB}/share/jupyter/lab {shared}"])
    assert linked.returncode == 0, linked
    inside = next((home / name / "lib").glob("python3.*")) / "site-packages"
    for path in SITE.iterdir():
        if not (without and path.name.partition("-")[0] == without):
            (inside / path.name).symlink_to(path)
    if lab:
        [metadata] = inside.glob("jupyterlab-*.dist-info")
        text = (metadata / "METADATA").read_text()
        version = metadata.name.removeprefix("jupyterlab-").removesuffix(".dist-info")
        metadata.unlink()
        metadata = metadata.with_name(f"jupyterlab-{lab}.dist-info")
        metadata.mkdir()
        (metadata / "METADATA").write_text(text.replace(f"Version: {version}", f"Version: {lab}"))
    return home / name


def files_of(directory: Path) -> set[tuple[str, int]]:
    return {(str(path), path.lstat().st_mtime_ns) for path in directory.rglob("*") if "__pycache__" not in path.parts}


def layers(home: Path) -> list[Path]:
    return sorted((home / LAYERS).iterdir()) if (home / LAYERS).exists() else []


def keeps_output(address: Address) -> bool:
    """Whether the server has both extensions, and the page their halves of it."""
    page = address.ask("GET", "/lab")[2]
    paths = ("/api/collaboration/session/x", "/api/kernels/0-0-0-0-0/execute")
    is_there = [address.ask("GET", path)[0] != 404 for path in paths]
    return all(is_there) and b"jupyter-server-nbmodel" in page and b"docprovider-extension" in page


def test_only_the_server_sees_what_was_installed_and_it_is_installed_once(
    laptop: Laptop, host: Host, home: Path
) -> None:
    mine = environment_of_alice(host, "mine")
    before = files_of(mine)
    words = (*KEEP, "--env", "mine/", "--setup", "export JUPYTER_PATH=/tmp/mine")
    with session(laptop, "alice", *words) as address:
        [layer] = layers(home)
        assert sum(path.stat().st_size for path in layer.rglob("*")) < 12 << 20
        [note] = address.connected["notes"]
        assert "ipywidgets" in note
        assert keeps_output(address)
        with address.kernel() as kernel:
            code = (
                "import importlib.util, os, sys; print(importlib.util.find_spec('pycrdt'), 'farlab' in str(sys.path))"
            )
            assert kernel.run(code) == "None False\n"
            code = "print(*(os.environ.get(n) for n in ('JUPYTER_PATH', 'JUPYTER_CONFIG_PATH', 'PYTHONPATH')))"
            assert kernel.run(code) == "/tmp/mine None None\n"
    assert files_of(mine) == before
    words = ("--keep-output", "--env", "mine/", "--setup", "export PIP_NO_INDEX=1")  # there is nothing to install
    with session(laptop, "alice", *words) as address:
        assert keeps_output(address)
    assert layers(home) == [layer]
    assert not (home / ".local/state/farlab").exists()


def test_an_environment_without_pip_is_served_by_the_one_that_python_brings_along(
    laptop: Laptop, host: Host, home: Path
) -> None:
    environment_of_alice(host, "mine", without="pip")
    with session(laptop, "alice", *KEEP, "--env", "mine/"):
        assert layers(home)


def test_an_environment_that_has_both_is_taken_as_it_is(laptop: Laptop, host: Host, home: Path) -> None:
    python = str(environment_of_alice(host, "mine") / "bin/python").replace(str(home), "/home/alice")
    words = ["install", "--no-index", "--no-deps", "--find-links", f"{LAB}/wheels", *PACKAGES]
    made = host.run("alice", [python, "-m", "pip", *words])
    assert made.returncode == 0, made
    with session(laptop, "alice", "--keep-output", "--env", "mine/") as address:
        assert keeps_output(address)
    assert layers(home) == []


def test_two_sessions_that_begin_at_once_share_one_layer(laptop: Laptop, home: Path) -> None:
    words = ("connect", "alice", "--no-browser", *KEEP, "--name")
    both = [laptop.popen("farlab", *words, name) for name in ("one", "two")]
    assert [each.wait(PATIENCE) for each in both] == [0, 0]
    [_] = layers(home)
    for name in ("one", "two"):
        assert laptop.farlab("terminate", "alice", "--name", name, "--yes", timeout=PATIENCE).code == 0


# what it cannot do ---------------------------------------------------------------------------------------------


def nothing_is_left(laptop: Laptop, host: Host, home: Path) -> bool:
    return not host.processes("alice") and not any(
        (home / ".local" / each / "farlab").exists() for each in ("share", "state")
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--app", "server"), "`--app server` does not support it"),
        (("--setup", "export PIP_NO_INDEX=1"), "pip could not install"),
        (("--env", "old/", *WHEELS), "4.2.5"),
    ],
)
def test_where_it_cannot_be_had_an_error_says_why_and_nothing_is_left(
    laptop: Laptop, host: Host, home: Path, words: tuple[str, ...], reason: str
) -> None:
    if "old/" in words:
        environment_of_alice(host, "old", lab="4.2.5")
    status, error = refused(laptop, "connect", "alice", "--no-browser", "--keep-output", *words, timeout=PATIENCE)
    assert (status, error["code"]) == (6, "no-keep-output")
    assert reason in error["message"]
    if reason == "4.2.5":
        assert_shown(error["message"], "no-keep-output", names={"/opt/lab": "/home/alice/old"})
    assert "`--keep-output`" in error["hint"]
    wait_for("the end of it", lambda: nothing_is_left(laptop, host, home))


def test_ctrl_c_while_it_is_installed_leaves_nothing(laptop: Laptop, host: Host, home: Path) -> None:
    code = "import socket, sys; s = socket.create_server(('127.0.0.1', 8199)); print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    silent = host.popen("root", ["/usr/bin/python3", "-c", code], stdin=pipe, stdout=pipe)  # an index that says nothing
    assert silent.stdin
    assert silent.stdout
    silent.stdout.readline()
    terminal = laptop.spawn_farlab(
        "connect", "alice", "--no-browser", "--keep-output", "--setup", "export PIP_INDEX_URL=http://127.0.0.1:8199/"
    )
    terminal.expect("installing", timeout=PATIENCE)
    assert layers(home)
    terminal.sendintr()
    terminal.expect(pexpect.EOF, timeout=PATIENCE)
    assert end_of(terminal) == 130
    wait_for("the end of it", lambda: nothing_is_left(laptop, host, home))
    silent.stdin.close()
    assert silent.wait(PATIENCE) == 0


def test_a_session_that_runs_without_it_says_so(laptop: Laptop, home: Path) -> None:
    with session(laptop, "alice"):
        [note] = connect(laptop, "alice", "--keep-output").connected["notes"]
        assert "without `--keep-output`" in note
        assert "beside it: `farlab connect alice --name second --keep-output`" in note
