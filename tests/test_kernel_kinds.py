"""Kernels of every kind start, and nobody else on the host hears those that are called private."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import steps
from address import Address, Kernel, session
from bed import LAB, Bed, Host, Laptop, wait_for
from farlab.host import kernels

SOURCE = Path(kernels.__file__).parents[1]
PYTHON, FOLDER = f"{LAB}/bin/python", f"{LAB}/kernels"
MODULE = {"PYTHONPATH": FOLDER}
FILE = ["-f", "{connection_file}"]
IPYKERNEL = [PYTHON, "-m", "ipykernel_launcher", *FILE]
NO_IPC = ["/bin/sh", "-c", """grep -q '"ipc"' "$0" && exit 3; exec "$@" """, "{connection_file}"]
"""As a container that does not see our directory, or another machine."""
KINDS: dict[str, tuple[list[str], dict[str, str], str]] = {
    "deno": ([f"{FOLDER}/bin/deno", "jupyter", "--kernel", "--conn", "{connection_file}"], {}, "6 * 7"),
    "xpython": ([PYTHON, "-m", "xpython_launcher", *FILE], MODULE, "6 * 7"),
    "bash": ([PYTHON, "-m", "bash_kernel", *FILE], MODULE, "echo $((6 * 7))"),
    "wrapped": (["/usr/bin/env", "A=b c", *IPYKERNEL], {}, "print(6 * 7)"),
    "away": ([*NO_IPC, *IPYKERNEL], {}, "print(6 * 7)"),
}
"""By name: the command, its variables, and a cell that shows 42."""
PRIVATE = {"bash", "wrapped"}
SPY = """
import sys, zmq
context, poller = zmq.Context(), zmq.Poller()
for port in sys.argv[1:]:
    sock = context.socket(zmq.SUB)
    sock.linger = 0
    sock.subscribe(b"")
    sock.connect("tcp://127.0.0.1:" + port)
    poller.register(sock, zmq.POLLIN)
print("listening", flush=True)
heard, sys.stdin = b"", None
while b"the end" not in heard:
    for sock, _ in poller.poll(20_000) or sys.exit("nothing was heard"):
        heard += b"".join(sock.recv_multipart())
print(heard.decode("utf-8", "replace"))
context.destroy(0)
"""
"""Listens at every port until it hears somebody say the end."""


@pytest.fixture(scope="module")
def kinds(bed: Bed) -> Iterator[list[Path]]:
    """Kernelspecs in alice's home."""
    made = []
    for name, (argv, env, _) in KINDS.items():
        place = f".local/share/jupyter/kernels/{name}"
        assert bed.login.run("alice", ["sh", "-c", f'mkdir -p "$HOME/{place}"']).returncode == 0
        made.append(bed.login.home("alice") / place / "kernel.json")
        made[-1].write_text(json.dumps({"argv": argv, "env": env, "display_name": name, "language": "x"}))
    yield made
    bed.fresh_home("alice")


@pytest.fixture(scope="module")
def shared(kinds: list[Path], shared: Address) -> Address:
    """A session that finds them."""
    return shared


@contextlib.contextmanager
def kernel_of(address: Address, name: str) -> Iterator[Kernel]:
    """A kernel of that kind, until the block ends."""
    status, _, content = address.ask("POST", "/api/kernels", json.dumps({"name": name}))
    assert status == 201, content
    kernel = Kernel(address, json.loads(content)["id"])
    try:
        yield kernel
    finally:
        kernel.close()
        address.ask("DELETE", f"/api/kernels/{kernel.id}")


def show(kernel: Kernel, code: str, text: str) -> None:
    """Run a cell until it shows `text`; Deno's output may come when it is idle again."""
    kernel.start(code)
    shown = ""
    while text not in shown:
        message = json.loads(kernel.websocket.recv())
        if message["msg_type"] in ("stream", "execute_result", "display_data"):
            shown += json.dumps(message["content"])


def ports(host: Host) -> set[str]:
    """Every TCP port of the host that somebody listens at."""
    return {each.rpartition(":")[2] for each in host.listening() if each.startswith("tcp")}


@pytest.mark.parametrize("name", KINDS)
def test_a_kernel_of_any_kind_runs_a_cell_also_after_a_restart(shared: Address, name: str) -> None:
    with kernel_of(shared, name) as kernel:
        show(kernel, KINDS[name][2], "42")
        told = json.loads(shared.ask("GET", f"/api/kernels/{kernel.id}")[2])
        assert told["farlab_private"] is (name in PRIVATE)
        assert shared.ask("POST", f"/api/kernels/{kernel.id}/restart")[0] == 200
        kernel.close()
        with contextlib.closing(Kernel(shared, kernel.id)) as again:
            show(again, KINDS[name][2], "42")


def test_a_spy_at_every_port_hears_open_kernels_and_nothing_of_private_ones(shared: Address, host: Host) -> None:
    quiet = ports(host)
    with shared.kernel() as secret, kernel_of(shared, "bash") as shell:
        assert ports(host) == quiet  # not even the inbox that ipykernel has for forked children
        with kernel_of(shared, "xpython") as loud:
            show(loud, "6 * 7", "42")
            listening = {each for each in host.listening() if each.startswith("tcp")}
            assert {each.rpartition(":")[0] for each in listening if each.rpartition(":")[2] not in quiet} == {
                "tcp 127.0.0.1"
            }
            spy = host.popen("mallory", [PYTHON, "-c", SPY, *ports(host)], stdout=subprocess.PIPE)
            assert spy.stdout is not None
            assert spy.stdout.readline() == b"listening\n"
            assert secret.run("print('my secret' * 2)") == "my secretmy secret\n"
            show(shell, "echo my secret", "my secret")
            show(loud, "'the ' + 'end'", "the end")
            heard = spy.communicate(timeout=60)[0]
    assert b"the end" in heard
    assert b"secret" not in heard


def test_who_connects_hears_once_which_kernels_others_can_read_and_status_shows_them(shared: Address) -> None:
    laptop = shared.laptop
    with kernel_of(shared, "deno"), shared.kernel():
        notes = laptop.farlab("connect", "alice", "--json", "--no-browser").json["notes"]
        assert any("other users of the host can read" in note and "`deno`" in note for note in notes)
        again = laptop.farlab("connect", "alice", "--json", "--no-browser").json["notes"]
        assert not any("other users of the host" in note for note in again)
        shown = laptop.farlab("status", "alice", "--json").json["kernels"]
        assert {each["name"]: each["private"] for each in shown} == {"deno": False, "python3": True}
        text = laptop.farlab("status", "alice").out
        assert text.count("readable by other users of the host") == 1


def test_a_session_of_private_kernels_starts_no_other(laptop: Laptop, host: Host, kinds: list[Path]) -> None:
    before = ports(host)
    with session(laptop, "alice", "--name", "closed", "--kernels", "private") as address:
        for name in ("deno", "xpython", "away"):
            status, _, content = address.ask("POST", "/api/kernels", json.dumps({"name": name}))
            assert (status, "--kernels any" in json.loads(content)["message"]) == (403, True), content
        assert ports(host) == before
        with kernel_of(address, "bash") as kernel:
            show(kernel, KINDS["bash"][2], "42")
        words = ("--name", "closed", "--kernels", "any")
        notes = laptop.farlab("connect", "alice", "--json", "--no-browser", *words).json["notes"]
        assert any("`--kernels private`" in note and "--kernels any`" in note for note in notes)


@pytest.mark.parametrize("options", [[], ["-P"], ["-u", "-X", "dev"]])
def test_a_module_is_started_as_python_starts_it(tmp_path: Path, options: list[str]) -> None:
    code = (SOURCE / "host/kernel_start.py").read_text()
    (tmp_path / "facts.py").write_text("import sys; print(sys.path, sys.argv, sys.orig_argv, __name__, __spec__.name)")
    (tmp_path / "runtime").mkdir()
    start = kernels.StartFile(str(tmp_path / "runtime"), code).path()
    python, env = [sys.executable, *options], {"PYTHONPATH": str(tmp_path)}
    by_hand, ours = (
        subprocess.run([*python, *words, "-f", "x"], cwd="/", env=env, capture_output=True, text=True, check=True)
        for words in (["-m", "facts"], [start, "facts"])
    )
    assert by_hand.stdout == ours.stdout != ""


CHILD = """
import os
if os.fork() == 0:
    print('from a child', flush=True)
    os._exit(0)
os.wait()
"""


def test_what_starts_a_kernel_is_not_seen_in_it(shared: Address) -> None:
    with shared.kernel() as kernel:
        first = kernel.start("import sys; len(In), sys.argv[0].rpartition('/')[2], sys.orig_argv[1:3], len(sys.argv)")
        shown = [each["content"] for each in kernel.messages(first) if each["msg_type"] == "execute_result"]
        wanted = "(2, 'ipykernel_launcher.py', ['-m', 'ipykernel_launcher'], 3)"
        assert [(each["execution_count"], each["data"]["text/plain"]) for each in shown] == [(1, wanted)]
        assert kernel.run("%history") == (
            "import sys; len(In), sys.argv[0].rpartition('/')[2], sys.orig_argv[1:3], len(sys.argv)\n%history\n"
        )
        assert kernel.run("print([name for name in vars(sys.modules['__main__']) if 'farlab' in name])") == "[]\n"
        show(kernel, CHILD, "from a child")


def test_a_kernel_that_does_not_answer_is_told(bed: Bed, laptop: Laptop) -> None:
    place = ".local/share/jupyter/kernels/mute"
    assert bed.login.run("zoe", ["sh", "-c", f'mkdir -p "$HOME/{place}"']).returncode == 0
    argv = ["sh", "-c", "echo 'no module named torch' >&2; exec sleep 1000"]
    spec = {"argv": argv, "display_name": "mute", "language": "x"}
    (bed.login.home("zoe") / place / "kernel.json").write_text(json.dumps(spec))
    timing = {"FARLAB_TIMING": json.dumps({"kernel_interval": 0.2, "kernel_patience": 1.0})}
    address = Address(laptop, steps.connect(laptop, "zoe", env=timing))
    assert address.ask("POST", "/api/kernels", json.dumps({"name": "mute"}))[0] == 201
    said = "the kernel of mute was started but does not answer; `farlab logs zoe` shows what it says"
    wait_for("the word", lambda: said in laptop.ask("logs", "zoe", "--keeper").out, timeout=60)
    assert said in steps.connect(laptop, "zoe")["notes"]
    assert said not in steps.connect(laptop, "zoe")["notes"]
    assert "no module named torch" in laptop.farlab("logs", "zoe").out
    steps.terminate(laptop, "zoe")
    bed.fresh_home("zoe")
