"""`farlab demo` for real: as whoever runs the tests and, on the bed, as an ordinary user. Nothing is left."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pexpect
import pytest

from bed import Laptop, processes, wait_for

FARLAB = [sys.executable, "-m", "farlab"]
PLACE = r"in `(/tmp/farlab-demo-\w+)`"
ADDRESS = r"http://demo-main-\w+\.localhost:(\d+)/lab\?token=(\w+)"
PROGRAMS = Path("/usr/bin")


@dataclass(slots=True)
class Demo:
    """A demo on a terminal that has come to its address."""

    terminal: pexpect.spawn
    base: str
    port: str
    token: str
    said: str

    def ask(self, path: str, method: str = "GET") -> Any:
        """What the notebook server answers at the address that was printed."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}", headers={"Authorization": f"token {self.token}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def end(self) -> int:
        """Its exit status, when it has ended by itself."""
        self.said += self.terminal.read()
        self.terminal.close()
        return -self.terminal.signalstatus if self.terminal.signalstatus else int(self.terminal.exitstatus)


@dataclass(slots=True)
class User:
    """Whoever runs the tests, with an empty home and no browser."""

    home: Path
    path: str = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    spawned: list[pexpect.spawn] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        words = {"PATH": self.path, "HOME": str(self.home), "TERM": "xterm", "FARLAB_TEST": os.environ["FARLAB_TEST"]}
        return {**words, "XDG_STATE_HOME": f"{self.home}/state", "XDG_RUNTIME_DIR": str(self.home)}

    def spawn(self, *words: str) -> pexpect.spawn:
        argv = [*FARLAB[1:], "demo", *words]
        self.spawned.append(pexpect.spawn(FARLAB[0], argv, env=self.env, timeout=90, encoding="utf-8"))
        return self.spawned[-1]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*FARLAB, "demo", *words], env=self.env, capture_output=True, text=True, timeout=90)


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    tmp_path.chmod(0o700)
    user = User(tmp_path)
    try:
        yield user
    finally:  # where the test has failed
        for terminal in user.spawned:
            if not terminal.closed and terminal.isalive():
                terminal.kill(signal.SIGTERM)
                terminal.expect(pexpect.EOF)
    assert list(tmp_path.iterdir()) == []  # the demo keeps to its own directory


def standing(terminal: pexpect.spawn) -> Demo:
    """A demo that has been started on `terminal`, when its address is there."""
    terminal.expect(PLACE)
    said, base = terminal.before + terminal.after, terminal.match[1]
    terminal.expect(ADDRESS)
    port, token = terminal.match.groups()
    return Demo(terminal, base, port, token, said + terminal.before + terminal.after)


def rest_of(base: str) -> list[str]:
    """What is there of a demo: its directory and its processes."""
    running = [str(each) for each in processes.every() if processes.carries(each, f"FARLAB_DEMO={base}")]
    return running + [base] * os.path.exists(base)


def without(tmp_path_factory: pytest.TempPathFactory, program: str) -> str:
    """A PATH that has everything of this machine but one program."""
    directory = tmp_path_factory.mktemp("programs")
    for file in PROGRAMS.iterdir():
        if file.name != program:
            (directory / file.name).symlink_to(file)
    return f"{Path(sys.executable).parent}:{directory}"


def test_a_notebook_answers_at_the_printed_address_until_the_seconds_are_over(user: User) -> None:
    demo = standing(user.spawn("--no-browser", "--seconds", "4"))
    assert "farlab-main" in tmux_of(demo.base)
    assert demo.ask("api/kernels", "POST")["execution_state"] in ("starting", "idle")
    assert any("ipykernel" in line for line in rest_of(demo.base))
    assert demo.end() == 0
    assert "terminated (1 kernel)\r\n" in demo.said
    assert "the demo has ended and removed everything" in demo.said
    assert rest_of(demo.base) == []


def test_two_demos_at_once_have_nothing_to_do_with_each_other(user: User) -> None:
    """Their sessions have one name and one account, and a home each."""
    first, second = (standing(user.spawn("--no-browser")) for _ in range(2))
    assert second.token != first.token
    second.terminal.sendcontrol("c")
    assert second.end() == 0
    assert "version" in first.ask("api")
    first.terminal.sendcontrol("c")
    assert first.end() == 0


def tmux_of(base: str) -> str:
    words = ["tmux", "list-sessions", "-F", "#{session_name}"]
    env = {"PATH": os.environ["PATH"], "TMUX_TMPDIR": f"{base}/r"}
    return subprocess.run(words, env=env, capture_output=True, text=True).stdout


def test_a_demo_without_tmux_says_so_and_ends_by_sigterm(user: User, tmp_path_factory: pytest.TempPathFactory) -> None:
    user.path = without(tmp_path_factory, "tmux")
    demo = standing(user.spawn("--no-browser"))
    assert "the host has no usable tmux" in demo.said
    assert demo.ask("api/kernels") == []
    demo.terminal.kill(signal.SIGTERM)
    assert demo.end() == 0
    assert rest_of(demo.base) == []


def test_a_demo_survives_the_end_of_its_ssh_and_ends_with_its_terminal(user: User) -> None:
    demo = standing(user.spawn("--no-browser"))
    (ssh,) = [each for each in processes.every() if each.name == "ssh" and is_link(each.argv, demo)]
    assert processes.end(ssh.pid, ssh.started)
    assert demo.ask("api/kernels") == []  # held until another link stands
    with open(os.devnull, "r+b", buffering=0) as nothing:  # closed: pexpect goes on to own a descriptor of that number
        os.dup2(nothing.fileno(), demo.terminal.child_fd, inheritable=False)
    demo.terminal.wait()
    assert rest_of(demo.base) == []


def is_link(argv: Sequence[str], demo: Demo) -> bool:
    return f"{demo.base}/ssh_config" in argv and "-G" not in argv


def test_a_demo_ends_when_jupyter_is_shut_down(user: User) -> None:
    demo = standing(user.spawn("--no-browser"))
    demo.ask("api/shutdown", "POST")
    assert demo.end() == 0
    assert "the session had already ended" in demo.said
    assert rest_of(demo.base) == []


def test_ctrl_c_while_it_connects_leaves_nothing(user: User) -> None:
    terminal = user.spawn("--no-browser")
    terminal.expect(PLACE)
    base = terminal.match[1]
    terminal.expect("starting the session")
    terminal.sendcontrol("c")
    said = terminal.read()
    terminal.close()
    assert terminal.exitstatus == 130
    assert "interrupted; everything was removed" in said
    assert "localhost:" not in said
    assert rest_of(base) == []


def test_a_host_whose_demo_was_killed_removes_everything_by_itself(user: User) -> None:
    demo = standing(user.spawn("--no-browser"))
    demo.terminal.kill(signal.SIGKILL)
    assert demo.end() == -signal.SIGKILL
    wait_for("nothing to be left", lambda: rest_of(demo.base) == [], timeout=30)


def test_an_ordinary_user_gets_the_browser_and_keeps_the_tmux_of_their_own(laptop: Laptop) -> None:
    assert laptop.run("tmux", "new-session", "-d", "-s", "mine", "sleep", "600").code == 0
    demo = standing(laptop.spawn_farlab("demo", timeout=90))
    wait_for("the browser", lambda: laptop.opened, timeout=10)
    (opened,) = laptop.opened
    assert demo.token not in opened
    assert re.fullmatch(rf"http://\w+\.demo-main-\w+\.localhost:{demo.port}/farlab/open/\S+", opened)
    landing = laptop.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", opened).out
    assert landing.startswith("302 ")
    assert demo.token not in landing
    assert laptop.run("tmux", "list-sessions", "-F", "#{session_name}").out == "mine\n"
    assert laptop.farlab("list", "--json").json["sessions"] == []
    demo.terminal.sendcontrol("c")
    assert demo.end() == 0
    assert laptop.run("tmux", "kill-server").code == 0  # it lived on
    next(laptop.tmp.glob("tmux-*/default")).unlink()


def test_a_demo_without_asyncssh_says_what_to_install(tmp_path: Path) -> None:
    import asyncssh

    installed, library = Path(asyncssh.__file__).parents[1], tmp_path / "library"
    library.mkdir()
    for file in installed.iterdir():
        if not file.name.startswith("asyncssh"):
            (library / file.name).symlink_to(file)
    paths = f"{library}:{Path(__file__).parents[1] / 'src'}"
    words = [sys.executable, "-S", "-m", "farlab", "demo", "--json"]
    ran = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, timeout=60)
    error = json.loads(ran.stdout)["error"]
    assert (ran.returncode, error["code"]) == (6, "host-lacks")
    assert "asyncssh" in error["message"]
    assert "pip install 'farlab[demo]'" in error["hint"]


def test_a_demo_without_an_ssh_client_says_so(user: User, tmp_path_factory: pytest.TempPathFactory) -> None:
    user.path = without(tmp_path_factory, "ssh")
    ran = user.run()
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: there is no `ssh` on this machine\n")
    assert "openssh-client" in ran.stderr


def test_json_is_one_document_and_the_story_goes_to_stderr(user: User) -> None:
    ran = user.run("--json", "--no-browser", "--seconds", "0.1")
    assert ran.returncode == 0, ran
    assert json.loads(ran.stdout) == {"farlab": 1, "ok": True}
    assert re.search(ADDRESS, ran.stderr)
