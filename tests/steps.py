"""Steps that many tests take: connect, ask the address something, find the keeper and its `ssh`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pexpect

from bed import ONE_TIME_SECRET, Host, Laptop, processes, wait_for
from bed.laptop import Ran

PATIENCE = 60.0
"""Seconds a busy machine may take for one step."""


def connect(laptop: Laptop, host: str, *words: str, env: dict[str, str] | None = None) -> Any:
    """`farlab connect HOST`, which must work; its JSON document."""
    ran = laptop.farlab("connect", host, "--json", "--no-browser", *words, timeout=PATIENCE, env=env)
    assert ran.code == 0, ran
    assert ran.json["ok"] is True, ran
    return ran.json


def done(laptop: Laptop, *words: str) -> Ran:
    """`farlab WORDS…`, which must end with status 0."""
    ran = (laptop.farlab if words[0] in ("open", "connect") else laptop.ask)(*words, timeout=PATIENCE)
    assert ran.code == 0, ran
    return ran


def refused(laptop: Laptop, *words: str, env: dict[str, str] | None = None, timeout: float = PATIENCE) -> Any:
    """`farlab WORDS… --json`, which must fail in good order; `(exit status, error)` of its document."""
    ran = laptop.farlab(*words, "--json", timeout=timeout, env=env)
    assert "Traceback" not in ran.err, ran
    assert ran.json["ok"] is False, ran
    return ran.code, ran.json["error"]


def refused_connect(laptop: Laptop, user: str, *words: str) -> tuple[Ran, dict[str, str]]:
    """A `connect` that must fail: how it ended, and the error it told."""
    ran = laptop.farlab("connect", user, "--json", "--no-browser", *words, timeout=100)
    assert not ran.json["ok"], ran
    error: dict[str, str] = ran.json["error"]
    assert "Traceback" not in ran.err, ran
    assert not list((laptop.home / ".local/state").rglob("*.json")), "the laptop remembers what never was"
    return ran, error


def terminate(laptop: Laptop, host: str, *words: str) -> None:
    """`farlab terminate HOST`, which must work."""
    done(laptop, "terminate", host, "--yes", *words)


def answers(laptop: Laptop, connected: Any) -> bool:
    """Whether the notebook server answers at the local address, with its token."""
    return api(laptop, connected, "/api/status").startswith('{"connections"')


def api(laptop: Laptop, connected: Any, path: str) -> str:
    """What the server says to `GET path`; "" where nobody answers."""
    header = f"Authorization: token {connected['token']}"
    return laptop.run("curl", "-s", "--max-time", "60", "-H", header, connected["address"] + path, timeout=70).out


def status(laptop: Laptop, host: str, *words: str) -> Any:
    """`farlab status HOST --json`, which must work."""
    return done(laptop, "status", host, "--json", *words).json


def keepers(laptop: Laptop) -> list[processes.Process]:
    """The keepers of this very laptop."""
    return [it for it in _own(laptop) if "farlab.keeper" in it.argv]


def links(laptop: Laptop) -> list[processes.Process]:
    """Every `ssh` of this very laptop, those of jump hosts too."""
    return [it for it in _own(laptop) if it.name == "ssh"]


def kill(process: processes.Process) -> None:
    """`kill -9` of that very process."""
    assert processes.end(process.pid, process.started), process


@contextmanager
def frozen(found: list[processes.Process]) -> Iterator[None]:
    """They stand still; what the kernel does for them (it accepts connections) goes on."""
    assert found
    for process in found:
        os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in found:
            if processes.is_alive(process.pid, process.started):
                os.kill(process.pid, signal.SIGCONT)


def is_gone(process: processes.Process) -> bool:
    return not processes.is_alive(process.pid, process.started)


def interrupt(child: subprocess.Popen[bytes]) -> int:
    """Ctrl-C for a program that `laptop.popen` started; its exit status."""
    child.send_signal(signal.SIGINT)
    return child.wait(30)


def arrivals(host: Host) -> int:
    """TCP connections that the host's kernel has accepted so far for anybody."""
    words = host.run("root", ["cat", "/proc/net/snmp"]).stdout.splitlines()
    keys, values = (line.split() for line in words if line.startswith("Tcp:"))
    return int(values[keys.index("PassiveOpens")])


def end_of(terminal: pexpect.spawn) -> int:
    """Wait for the end of a program on a terminal; its exit status, negative for a signal."""
    terminal.expect(pexpect.EOF)
    terminal.close()
    return int(terminal.exitstatus if terminal.signalstatus is None else -terminal.signalstatus)


def is_left_in_peace(terminal: pexpect.spawn, seconds: float) -> bool:
    """Whether a program prints nothing more and does not end for that long."""
    began = time.monotonic()
    came = terminal.expect([pexpect.TIMEOUT, pexpect.EOF, r"[^\s]"], timeout=seconds)
    return came == 0 and time.monotonic() - began >= seconds


def page(laptop: Laptop, port: int, path: str = "/lab") -> str:
    """What a browser that asks for a page is given."""
    words = ("-H", "Accept: text/html", "-H", "Sec-Fetch-Mode: navigate")
    return laptop.run("curl", "-s", "--max-time", "60", *words, f"http://127.0.0.1:{port}{path}", timeout=70).out


def next_code(host: Host, user: str) -> str:
    """The counter-based code that comes next; pam_oath(8) keeps the counter of the last one in its file."""
    for line in host.path("/etc/users.oath").read_text().splitlines():
        fields = line.split()
        if fields[1] == user:
            counter = int(fields[4]) + 1 if len(fields) > 4 else 0
            return host.run("root", ["oathtool", "--hotp", "-c", str(counter), ONE_TIME_SECRET]).stdout.strip()
    raise AssertionError(f"{user} has no codes")


def time_code(host: Host, user: str) -> str:
    """A time-based code that has not been used yet: that of now, else that of the next half minute."""
    used = host.path("/etc/users.oath").read_text()
    for when in ("now", "now + 30 seconds", "now + 60 seconds"):
        code = host.run("root", ["oathtool", "--totp", f"--now={when}", ONE_TIME_SECRET]).stdout.strip()
        if code not in used:
            return code
    raise AssertionError(f"every code of {user} has been used")


def sockets_and_locks(laptop: Laptop) -> list[str]:
    """The files of what runs on this laptop."""
    return [
        os.path.join(at, name)
        for top in (laptop.runtime, laptop.tmp)
        for at, _, names in os.walk(top)
        for name in names
    ]


def add_to_config(laptop: Laptop, text: str) -> None:
    """Put `text` before everything else in the user's `ssh_config`, where it wins."""
    path = laptop.home / ".ssh/config"
    path.write_text(text.rstrip("\n") + "\n" + path.read_text())


def wait_until_nothing_runs(laptop: Laptop) -> None:
    """Until neither a keeper nor an `ssh` of this laptop is left, nor a socket or lock of theirs."""
    wait_for("the keeper's end", lambda: not keepers(laptop) and not links(laptop), timeout=PATIENCE)
    wait_for("the end of its files", lambda: not sockets_and_locks(laptop))


def _own(laptop: Laptop) -> list[processes.Process]:
    return [it for it in laptop.processes() if processes.carries(it, f"HOME={laptop.home}")]
