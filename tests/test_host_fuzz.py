"""Whatever the anchor, the agent and the files of sessions are told, one bad thing ends one thing.

Everything here runs in this process, on sockets and files of its own.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bed import wait_for
from farlab.host import agent, anchor, commands, ensure, requests
from farlab.host.reactor import MAX_FAULT, MAX_FAULTS, Faults, Reactor
from farlab.mux import frames

TALKS = 20_000
WORDS = ["main", "wish", "status", "join", "in_shell", "in_python", "serving", "fail", "setting_up", "open_kernel", ""]
KEYS = ["op", "pid", "home", "app", "server", "python", "directory", "base_url", "setting", "doorkeeper", "code", "mux"]
KEYS += ["message", "detail", "hint", "name", "error", "stage", "lines", "follow", "yes", "early", "wish", "serial"]
RECORD = ["node", "boot", "runtime", "token", "launcher", "anchor", "server", "told", "ended", "created", "start"]
DEEP = "[" * 100_000


def value(chance: random.Random, depth: int = 0) -> Any:
    """Anything that JSON has, near to what is meant or far from it."""
    kind = chance.randrange(10 if depth < 3 else 7)
    if kind < 3:
        return chance.choice(WORDS)
    if kind < 5:
        return chance.choice([0, -1, 1, 2**31, 10**30, -(10**20), 1e308, float("inf"), float("nan"), 0.5])
    if kind < 7:
        return chance.choice([None, True, False, "x" * chance.randrange(300), "é\0\n", "\ud800"])
    if kind == 7:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {chance.choice(KEYS + RECORD): value(chance, depth + 1) for _ in range(chance.randrange(6))}


def request(chance: random.Random, ops: list[str]) -> dict[str, Any]:
    words = {chance.choice(KEYS): value(chance) for _ in range(chance.randrange(8))}
    return words if chance.random() < 0.1 else {**words, "op": chance.choice(ops)}


def line(chance: random.Random) -> bytes:
    kind = chance.randrange(12)
    if kind == 0:
        return chance.randbytes(chance.randrange(200)) + chance.choice([b"", b"\n"])
    if kind == 1:
        return (
            chance.choice([DEEP.encode(), b'{"op":' + DEEP.encode(), b"null\n", b"[]\n", b"[[1,2]]\n", b"7\n"]) + b"\n"
        )
    words = request(chance, [*requests.STEPS, "wish", "status", "join", "nothing"])
    if words.get("op") == "fail":  # which would end it, as it should
        words.pop("code", None)
    return json.dumps(words).encode() + chance.choice([b"\n"] * 9 + [b""])


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home, with a short private directory in it."""
    folder = Path(tempfile.mkdtemp(prefix="f", dir="/tmp"))
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("TMUX", raising=False)
    yield folder
    signal.alarm(0)
    shutil.rmtree(folder)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def make_anchor(place: Path) -> anchor.Anchor:
    """A session's anchor that listens on its socket and has not started a server."""
    runtime, directory = place / "farlab" / "main", place / "state"
    runtime.mkdir(parents=True)
    directory.mkdir()
    spec = {"name": "main", "runtime": str(runtime), "directory": str(directory), "adopt": None, "wish": {}, "env": {}}
    (runtime / "spec.json").write_text(json.dumps({**spec, "umask": 0o22}))
    made = anchor.Anchor(str(runtime))
    made.listen()
    return made


def hand_over(path: Path, said: bytes, count: int) -> None:
    """Say that to the anchor with so many descriptors beside it, of pipes that then end."""
    (hears, theirs), (ours, says) = os.pipe(), os.pipe()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        socket.send_fds(sock, [said[:60_000]], [hears, says, ours][:count])
    for fd in (hears, theirs, ours, says):
        os.close(fd)


def ask(path: Path, said: bytes) -> bytes:
    """Say that to the anchor; all that it answers until it closes, or the first line."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(str(path))
        heard = b""
        try:
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
            while not heard.endswith(b"\n"):
                part = sock.recv(65536)
                if not part:
                    break
                heard += part
        except ConnectionError:
            pass
        return heard


def test_whatever_the_anchor_is_told_it_answers_or_closes_and_goes_on(place: Path) -> None:
    chance = random.Random(8)
    made = make_anchor(place)
    path = place / "farlab" / "main" / "anchor.sock"
    thread = threading.Thread(target=made.loop.run)
    thread.start()
    try:
        ask(path, b'{"op": "join"}\n')
        before, answered = descriptors(), 0
        for number in range(TALKS):
            if number % 40 == 0:
                hand_over(path, line(chance), chance.randrange(1, 4))
            else:
                answered += bool(ask(path, line(chance)))
        assert TALKS * 0.1 < answered < TALKS
        assert json.loads(ask(path, b'{"op": "join"}\n'))["mux"] == frames.VERSION
        assert thread.is_alive()
        wait_for("all to be closed", lambda: descriptors() <= before, timeout=10)
        assert (place / "state" / "log").stat().st_size < MAX_FAULTS * (MAX_FAULT + 200)
    finally:
        made.loop.call_later(0, made.loop.stop)
        with socket.socket(socket.AF_UNIX) as waking:
            waking.connect(str(path))
        thread.join(10)


class Link:
    """A laptop that says what a generator says; the link ends where the agent waits for it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.said = chance, []  # type: random.Random, list[dict[str, Any]]

    def send(self, message: Any) -> None:
        self.said.append(json.loads(json.dumps(message, default=vars)))

    def receive(self, silence: float | None = None) -> dict[str, Any]:
        return {**request(self.chance, ["list"]), "brought": self.chance.randbytes(20)}

    def more(self, silence: float) -> bool:
        raise SystemExit(0)


def record(chance: random.Random, place: Path) -> str:
    """A session's record, or something like one."""
    node = os.uname().nodename
    words = {
        "node": node, "boot": "b", "runtime": str(place / "nowhere"), "launcher": "detached", "token": "t",
        "anchor": {"pid": 99999999, "start": "1"}, "server": {"pid": 99999998, "start": "1"}, "told": {"app": "lab"},
    }  # fmt: skip
    if chance.random() < 0.2:
        words = {"node": node, "ended": {"message": "m", "detail": "d"}}
    for _ in range(chance.randrange(3)):
        where: Any = words
        if chance.random() < 0.5:
            where = next((each for each in words.values() if isinstance(each, dict)), words)
        key = chance.choice([*where, *RECORD])
        if key != "runtime":
            where[key] = value(chance)
    return chance.choice(["", DEEP, "null"]) if chance.random() < 0.1 else json.dumps(words)


def answer(link: Any, message: dict[str, Any]) -> None:
    """What the agent does that comes with such a request."""
    agent.answer(ensure.run if message.get("op") == "ensure" else commands.run, link, message)


def test_whatever_the_agent_is_asked_and_finds_it_answers(place: Path) -> None:
    """With three sessions' records that a generator writes, and a Jupyter of others."""
    chance = random.Random(8)
    state, theirs = place / ".local/state/farlab", place / ".local/share/jupyter/runtime"
    theirs.mkdir(parents=True)
    before = descriptors()
    for number in range(TALKS):
        if number % 50 == 0:
            for name in ("main", "second", "third"):
                (state / name).mkdir(parents=True, exist_ok=True)
                (state / name / "record.json").write_text(record(chance, place), "utf-8", "surrogatepass")
                (state / name / "log").write_text("a line\n")
            file = theirs / f"jpserver-{chance.randrange(3)}.json"
            file.write_text(chance.choice([record(chance, place), json.dumps({"pid": os.getpid(), "port": 8888})]))
        link = Link(chance)
        op = chance.choice(["list", "stop", "logs", "ensure"] if number % 50 == 0 else ["logs", "stop", "ensure"])
        words = {**request(chance, [op]), "umask": 0o22, "brought": b""}
        try:
            answer(link, words)
        except SystemExit:
            continue
        [last] = link.said[-1:]
        assert {"error", "stopped", "sessions", "done"} & set(last), (words, link.said)
        if words.get("op") == "list":
            assert [each for each in last["foreign"] if each["pid"] != os.getpid()] == []
            known = (
                {each.name for each in state.iterdir() if not each.name.startswith(".")} if state.exists() else set()
            )
            assert {each["name"] for each in last["sessions"]} <= known
    assert descriptors() <= before


def test_one_odd_record_hides_no_other_session_and_none_is_in_the_way_of_its_end(place: Path) -> None:
    state = place / ".local/state/farlab"
    good = {"node": os.uname().nodename, "ended": {"message": "it was over", "detail": ""}}
    alive = {"node": os.uname().nodename, "boot": "b", "runtime": "/x", "anchor": {"pid": 1, "start": "1"}}
    odd = [
        {**alive, "anchor": {"pid": "x", "start": "1"}},
        {**alive, "runtime": 7},
        {**alive, "told": []},
        {**good, "ended": 7},
        {**good, "node": 7},
    ]
    for number, text in enumerate([*map(json.dumps, odd), DEEP]):
        for name, content in (("good", json.dumps(good)), (f"odd{number}", text)):
            (state / name).mkdir(parents=True, exist_ok=True)
            (state / name / "record.json").write_text(content)
        link = Link(random.Random(8))
        answer(link, {"op": "list"})
        [said] = link.said
        assert [each["name"] for each in said["sessions"]] == ["good"]
        answer(link, {"op": "stop", "name": f"odd{number}"})
        assert link.said[-1]["error"]["code"] == "no-session"
        assert not (state / f"odd{number}").exists()


def test_a_callback_that_fails_costs_its_own_connection_and_a_bounded_log(tmp_path: Path) -> None:
    class End:
        def __init__(self, loop: Reactor, sock: socket.socket, *, is_bad: bool) -> None:
            self.loop, self.sock, self.is_bad, self.heard = loop, sock, is_bad, b""
            loop.add_reader(sock.fileno(), self.read, "here")

        def read(self, word: str) -> None:
            self.heard += self.sock.recv(1)
            if self.is_bad:
                raise KeyError(word)
            if self.heard == b"xx":
                self.loop.stop()

        def abandon(self, word: str) -> None:
            assert word == "here"
            self.loop.remove_reader(self.sock.fileno())
            self.sock.close()

    log = tmp_path / "log"
    loop = Reactor(Faults(str(log)).report)
    for _ in range(1000):
        loop.call_later(0, lambda: 1 / 0)
    pairs = [socket.socketpair() for _ in range(2)]
    ends = [End(loop, pairs[0][0], is_bad=True), End(loop, pairs[1][0], is_bad=False)]
    pairs[0][1].send(b"x")
    pairs[1][1].send(b"xx")
    loop.run()
    assert ends[1].heard == b"xx"
    assert pairs[0][1].recv(1) == b""
    assert log.read_text().count("ZeroDivisionError") + log.read_text().count("KeyError: 'here'") == MAX_FAULTS
    for pair in pairs:
        for sock in pair:
            sock.close()
