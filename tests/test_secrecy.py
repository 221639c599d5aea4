"""While a session runs, nobody else gets its token or anything from its kernels, on the host or on the laptop."""

from __future__ import annotations

import json
import os
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from address import PATIENCE, Address, connect, session
from bed import Bed, Host, Laptop, processes, wait_for
from bed.laptop import UID
from host_parts import field

INTRUDER = Path(__file__).with_name("intruder.py").read_text()
WITH_TOKEN = ("record.json", "jpserver-", "nbserver-")
"""The only files that may hold the token: ours, and what Jupyter writes into our private directory."""
TOKEN_TALK = "import os; print([name for name in os.environ if 'TOKEN' in name], os.environ.get('JUPYTER_TOKEN'))"


class Watch:
    """Every command line and environment that processes on the bed have meanwhile, however short they live."""

    def __init__(self, bed: Bed, laptop: Laptop) -> None:
        self.seen: set[bytes] = set()
        self.on_hosts: set[bytes] = set()
        """Command lines there, which all can read."""
        self._spaces = {processes.namespace(host.pid, "pid") for host in bed.hosts.values()}
        self._net = processes.namespace(laptop.holder, "net")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def has_seen(self, word: bytes) -> bool:
        """Whether a command line on a host had that word."""
        return any(word in each for each in self.on_hosts.copy())

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                number = int(pid)
                is_on_host = processes.namespace(number, "pid") in self._spaces
                if is_on_host or processes.namespace(number, "net") == self._net:
                    command = read(f"/proc/{pid}/cmdline")
                    self.seen |= {command, read(f"/proc/{pid}/environ")}
                    self.on_hosts |= {command} if is_on_host else set()


def read(path: str | Path) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def test_no_command_line_and_no_environment_ever_holds_the_token(bed: Bed, host: Host, laptop: Laptop) -> None:
    with Watch(bed, laptop) as watch:
        address = connect(laptop, "zoe")
        assert laptop.farlab("open", "zoe").code == 0
        assert laptop.farlab("url", "zoe").out.strip() == address.connected["url"]
        assert address.ask("POST", "/api/terminals")[0] == 200
        with address.kernel() as kernel:
            assert kernel.run(TOKEN_TALK) == "[] None\n"
            assert address.ask("GET", "/api/status")[0] == 200
        wait_for("the browser", lambda: laptop.opened)
        assert laptop.farlab("terminate", "zoe", "--yes", timeout=PATIENCE).code == 0
    assert any(b"farlab-agent" in each for each in watch.seen)  # it lives for a moment where it is renamed
    assert any(b"ipykernel_launcher" in each for each in watch.seen)
    assert any(b"farlab.keeper" in each for each in watch.seen)
    assert [each for each in watch.seen if address.token.encode() in each] == []
    assert address.token not in laptop.opened[-1]


@pytest.mark.parametrize("user", ["alice", "tess", "finn"])
def test_no_command_line_on_the_host_ever_holds_a_setup_line(bed: Bed, host: Host, laptop: Laptop, user: str) -> None:
    word = "hush" + uuid.uuid4().hex
    line = {"tess": f"setenv SECRET {word}", "finn": f"set -gx SECRET {word}"}.get(user, f"export SECRET={word}")
    seen = host.home(user) / "seen"
    setup = ("--setup", line, "--setup", "sh -c 'until test -e ~/seen; do sleep 0.05; done'")
    with Watch(bed, laptop) as watch, ThreadPoolExecutor() as aside:
        looking = aside.submit(wait_for, "a look at the shell", lambda: watch.has_seen(b"eval"), timeout=PATIENCE)
        looking.add_done_callback(lambda _: seen.touch())
        with session(laptop, user, *setup) as address, address.kernel() as kernel:
            assert kernel.run("import os; print(os.environ['SECRET'])") == word + "\n"
    seen.unlink()
    assert looking.result()
    assert [each for each in watch.on_hosts if word.encode() in each] == []


def test_only_private_files_hold_the_token_and_no_log_does(bed: Bed, shared: Address) -> None:
    host, laptop, token = bed.login, shared.laptop, shared.token
    use_every_way_in(shared)
    with shared.kernel() as kernel:
        kernel.run("pass")
        found = [path for top in tops(host, laptop) for path in files_with(top, token.encode())]
        assert any(path.name == "record.json" for path in found)
        for path in found:
            assert path.name.startswith(WITH_TOKEN), path
            assert path.stat().st_mode & 0o077 == 0, path
            assert path.parent.stat().st_mode & 0o077 == 0, path
    log = read(host.home("alice") / ".local/state/farlab/main/log")
    assert b"/no-such-page" in log  # the server does write down what it was asked
    shown = host.run("alice", ["tmux", "capture-pane", "-p", "-t", "=farlab-main:"])
    assert shown.returncode == 0, shown
    assert token not in shown.stdout


def use_every_way_in(address: Address) -> None:
    """Make the server log requests that carry the token, well or badly."""
    for path in ("/lab", "/", "/no-such-page", "/api/no-such", "/api/kernels/x/channels", "/login", "/files/none"):
        address.say(
            f"GET {path}?token={address.token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
        )
    assert address.laptop.farlab("open", "alice").code == 0


def tops(host: Host, laptop: Laptop) -> list[Path]:
    """Where users's files are, on either side."""
    return [*map(host.path, ("/home", "/tmp", "/run", "/var/log", "/var/tmp", "/dev/shm")), laptop.directory]


def files_with(top: Path, text: bytes) -> Iterator[Path]:
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            if path.is_file() and not path.is_symlink() and text in read(path):
                yield path


def test_every_file_and_directory_of_ours_is_private(bed: Bed, shared: Address) -> None:
    host, laptop = bed.login, shared.laptop
    with shared.kernel():
        own = [
            host.home("alice") / ".local/state/farlab",
            host.path("/tmp/farlab-2001"),
            laptop.home / ".local/state/farlab",
            laptop.runtime / "farlab",
        ]
        for top in own:
            assert top.is_dir()
            for path in (top, *top.rglob("*")):
                assert path.lstat().st_mode & 0o077 == 0 or path.is_socket(), path
                assert path.parent == top.parent or path.parent.stat().st_mode & 0o077 == 0, path


# another user on the host -------------------------------------------------------------------------------


def intrude(host: Host, user: str, wanted: dict[str, Any]) -> list[list[Any]]:
    python = str(host.site.lab / "bin/python")
    ran = host.run(user, [python, "-c", INTRUDER], stdin=json.dumps(wanted), timeout=60)
    assert ran.returncode == 0, ran.stderr
    got: list[list[Any]] = json.loads(ran.stdout)
    return got


def targets(host: Host) -> dict[str, Any]:
    """Everything of alice's session that somebody could want, as the host names it."""
    runtime, state = Path("/tmp/farlab-2001/main"), Path("/home/alice/.local/state/farlab/main")
    everything = [Path("/") / path.relative_to(host.path("/")) for path in host.path(str(runtime)).iterdir()]
    sockets = [str(path) for path in everything if host.path(str(path)).is_socket()]
    private = [str(path) for path in everything if host.path(str(path)).is_file()]
    ports = [each.rpartition(":")[2] for each in host.listening() if each.startswith("tcp")]
    return {
        "sockets": sockets,
        "files": [*private, *(str(state / name) for name in ("record.json", "log"))],
        "directories": [str(runtime), str(runtime.parent), str(state)],
        "pids": [int(field(each.pid, "NSpid").split()[-1]) for each in host.processes("alice")],
        "kernels": [f"ipc://{path}" for path in sockets] + [f"tcp://127.0.0.1:{port}" for port in ports],
    }


def test_another_user_on_the_host_gets_nothing(bed: Bed, shared: Address) -> None:
    """Neither sockets, files and processes, nor a word of what kernels print: with a ZMQ subscriber on every port."""
    with shared.kernel() as kernel:
        kernel.run("pass")
        cell = kernel.start("import time\nwhile True:\n    print('MY SECRET', flush=True)\n    time.sleep(0.05)")
        wanted = targets(bed.login)
        assert len([each for each in wanted["sockets"] if "kernel" in each]) >= 5, wanted
        assert {Path(each).name for each in wanted["sockets"]} >= {"server.sock", "anchor.sock"}
        assert intrude(bed.login, "mallory", wanted) == []
        mine = {what for what, _ in intrude(bed.login, "alice", {**wanted, "directories": []})}
        assert mine >= {"connect", "read", "write", "signal", "overhear"}  # the same program, where it may
        shared.ask("POST", f"/api/kernels/{kernel.id}/interrupt")
        assert list(kernel.messages(cell))


def test_a_trap_for_tmux_only_costs_the_tmux(bed: Bed, host: Host, laptop: Laptop) -> None:
    host.run("root", ["rm", "-rf", "/tmp/tmux-2003"])  # of a server that has ended
    assert host.run("mallory", ["mkdir", "-m", "777", "/tmp/tmux-2003"]).returncode == 0
    with session(laptop, "zoe") as address:
        assert address.connected["launcher"] == "detached"
        assert host.run("mallory", ["find", "/tmp/tmux-2003", "-mindepth", "1"]).stdout == ""
    assert host.run("mallory", ["rmdir", "/tmp/tmux-2003"]).returncode == 0


# another user on the laptop -----------------------------------------------------------------------------


def test_another_user_on_the_laptop_gets_nothing(bed: Bed, shared: Address) -> None:
    laptop = shared.laptop
    ours = [path for top in (laptop.runtime, laptop.home / ".local/state/farlab") for path in top.rglob("*")]
    pids = [each.pid for each in laptop.processes() if each.uid == UID]
    wanted = {
        "sockets": [str(path) for path in ours if path.is_socket()],
        "files": [str(path) for path in ours if path.is_file()],
        "directories": [str(path) for path in ours if path.is_dir()],
        "pids": pids,
        "kernels": [],
    }
    assert wanted["sockets"]
    assert wanted["files"]
    assert len(pids) >= 2  # the keeper and its ssh
    stolen = laptop.run(sys.executable, "-c", INTRUDER, stdin=json.dumps(wanted), user="eve")
    assert (stolen.code, stolen.json) == (0, []), stolen
    mine = laptop.run(sys.executable, "-c", INTRUDER, stdin=json.dumps({**wanted, "directories": []}))
    assert {what for what, _ in mine.json} >= {"connect", "read", "write", "signal"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["/api/kernels"], "403"),
        (["/api/contents"], "403"),
        (["-X", "POST", "/api/kernels"], "403"),
        (["-X", "POST", "/api/shutdown"], "403"),
        (["/lab"], "302"),
        (["/files/.bashrc"], "302"),
        (["-H", "Authorization: token wrong", "/api/kernels"], "403"),
        (["-H", "Upgrade: websocket", "-H", "Connection: Upgrade", f"/api/kernels/{uuid.UUID(int=0)}/channels"], "403"),
    ],
)
def test_whoever_has_no_token_is_sent_to_the_login(bed: Bed, shared: Address, words: list[str], code: str) -> None:
    shown = ["-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}"]
    ran = shared.laptop.run("curl", *shown, *words[:-1], f"http://127.0.0.1:{shared.port}{words[-1]}")
    assert ran.out.split()[0] == code, ran
    assert code != "302" or "/login" in ran.out
    assert shared.token not in ran.out
