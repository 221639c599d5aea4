"""Which browser and which clipboard a machine has: decided from its environment, its system and its programs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import pytest

from farlab.cli.browser import TEXT_BROWSERS, Headless, Which, choose
from farlab.cli.clipboard import commands, sequence

ADDRESS = "http://gpu1-main.localhost:8899/once?a=b&c"
DISPLAY = {"DISPLAY": ":0"}


def has(*programs: str) -> Which:
    """A PATH with these programs."""
    return lambda name: f"/usr/bin/{name}" if name in programs else None


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "expected"),
    [
        (DISPLAY, "linux", ("xdg-open", "firefox"), ["/usr/bin/xdg-open", ADDRESS]),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", ("firefox",), ["/usr/bin/firefox", ADDRESS]),
        ({}, "darwin", (), ["open", ADDRESS]),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", ("explorer.exe",), ["/usr/bin/explorer.exe", ADDRESS]),
        ({"BROWSER": "firefox"}, "linux", ("firefox",), ["/usr/bin/firefox", ADDRESS]),
        (
            {"BROWSER": "firefox --new-window %s &"},
            "linux",
            ("firefox",),
            ["/usr/bin/firefox", "--new-window", ADDRESS],
        ),
        (
            {"BROWSER": "gone:lynx:firefox -P 'a b'"},
            "linux",
            ("firefox", "lynx"),
            ["/usr/bin/firefox", "-P", "a b", ADDRESS],
        ),
        ({"BROWSER": "code", "SSH_CONNECTION": "x"}, "linux", ("code",), ["/usr/bin/code", ADDRESS]),
    ],
)
def test_the_browser_of_the_machine_is_found(
    environ: Mapping[str, str], platform: str, programs: tuple[str, ...], expected: list[str]
) -> None:
    assert choose(ADDRESS, environ, platform, has(*programs)) == expected


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "reason"),
    [
        ({}, "linux", ("xdg-open", "firefox"), "no display"),
        ({**DISPLAY, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}, "linux", ("firefox",), "over `ssh`"),
        ({"SSH_TTY": "/dev/pts/1"}, "darwin", (), "over `ssh`"),
        (DISPLAY, "linux", (), "found neither `xdg-open` nor a browser"),
        (DISPLAY, "linux", tuple(TEXT_BROWSERS), "found neither `xdg-open` nor a browser"),
        ({**DISPLAY, "BROWSER": "lynx"}, "linux", ("lynx", "firefox"), "is not a graphical browser"),
        ({**DISPLAY, "BROWSER": ":"}, "linux", ("firefox",), "is not a graphical browser"),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", (), "`wslview`"),
        ({**DISPLAY, "BROWSER": "firefox 'oops"}, "linux", ("firefox",), "is not a graphical browser"),
    ],
)
def test_a_machine_where_nobody_would_see_it_says_why(
    environ: Mapping[str, str], platform: str, programs: tuple[str, ...], reason: str
) -> None:
    choice = choose(ADDRESS, environ, platform, has(*programs))
    assert isinstance(choice, Headless)
    assert reason in choice.reason


@pytest.mark.parametrize("browser", sorted(TEXT_BROWSERS))
def test_a_text_browser_is_never_started(browser: str) -> None:
    for environ in (DISPLAY, {**DISPLAY, "BROWSER": browser}, {**DISPLAY, "BROWSER": f"/usr/bin/{browser} %s"}):
        every = lambda name: name if name.startswith("/") else has(browser)(name)  # noqa: E731
        assert isinstance(choose(ADDRESS, environ, "linux", every), Headless)


def test_a_text_browser_under_another_name_is_not_started_either(tmp_path: Path) -> None:
    (tmp_path / "w3m").touch()
    (tmp_path / "firefox").symlink_to("w3m")
    which = lambda name: str(tmp_path / name) if name == "firefox" else None  # noqa: E731
    assert isinstance(choose(ADDRESS, DISPLAY, "linux", which), Headless)
    assert isinstance(choose(ADDRESS, {"BROWSER": "firefox"}, "linux", which), Headless)


@pytest.mark.parametrize(
    ("environ", "platform", "programs", "expected"),
    [
        ({}, "darwin", ("pbcopy",), ["pbcopy"]),
        ({"WAYLAND_DISPLAY": "x", "DISPLAY": ":0"}, "linux", ("wl-copy", "xclip"), ["wl-copy", "xclip"]),
        (DISPLAY, "linux", ("wl-copy", "xclip", "xsel"), ["xclip", "xsel"]),
        ({"WSL_DISTRO_NAME": "Debian"}, "linux", ("clip.exe",), ["clip.exe"]),
        ({"TMUX": "/tmp/tmux-1/default,1,0"}, "linux", ("tmux", "xclip"), ["tmux"]),
        ({}, "linux", ("xclip", "xsel", "wl-copy", "tmux"), []),
    ],
)
def test_the_clipboards_that_can_work_are_tried(
    environ: Mapping[str, str], platform: str, programs: tuple[str, ...], expected: list[str]
) -> None:
    assert [command[0] for command in commands(environ, platform, has(*programs))] == expected


def test_a_terminal_is_told_in_osc_52() -> None:
    told = sequence(ADDRESS)
    assert told.startswith(b"\x1b]52;c;")
    assert told.endswith(b"\x07")
    assert base64.b64decode(told[7:-1]).decode() == ADDRESS
