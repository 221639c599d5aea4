"""What can be seen of sessions from a laptop: list, status, logs, and the tmux session itself."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from address import Address
from bed import LAB, Host, Laptop, processes, wait_for
from host_parts import agents_of, wait_for_looks

OWNER = "zoe"
"""Her zsh talks, and has ideas of its own about words like `=name`."""


@pytest.fixture
def by_hand(host: Host) -> Iterator[str]:
    """A plain `jupyter server` that zoe started by hand, as the recipes say; its token."""
    words = [f"{LAB}/bin/jupyter-server", "--no-browser", "--port=7654", "--IdentityProvider.token=handmade"]
    host.popen("zoe", words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def server() -> processes.Process | None:
        return next((each for each in host.processes("zoe") if "--port=7654" in each.argv), None)

    wait_for("a server by hand", lambda: "tcp 127.0.0.1:7654" in host.listening(), timeout=60)
    yield "handmade"
    found = server()
    assert found
    processes.end(found.pid, found.started)
    wait_for("its end", lambda: not server())
    for file in (host.home("zoe") / ".local/share/jupyter/runtime").glob("jpserver-*"):
        file.unlink()


def test_list_of_a_host_shows_its_sessions_and_servers_that_farlab_did_not_start(
    shared: Address, laptop: Laptop, by_hand: str
) -> None:
    ran = laptop.farlab("list", "--host", "zoe", "--json")
    assert ran.code == 0, ran
    sessions = ran.json["sessions"]
    [ours] = [each for each in sessions if not each["foreign"]]
    assert (ours["name"], ours["state"], ours["dir"]) == ("main", "up", "/home/zoe")
    assert ours["launcher"] == "tmux"
    assert ours["server"].startswith("JupyterLab 4")
    [foreign] = [each for each in sessions if each["foreign"]]
    assert (foreign["port"], foreign["dir"]) == (7654, "/home/zoe")
    assert foreign["server"].startswith("Jupyter Server 2")
    shown = laptop.farlab("list", "--host", "zoe")
    assert "not farlab's" in shown.out
    for said in (ran, shown):
        assert by_hand not in said.out + said.err
        assert shared.token not in said.out + said.err


def test_list_of_a_host_leaves_no_trace_here(shared: Address, laptop: Laptop) -> None:
    assert laptop.farlab("list", "--host", "zoe").code == 0
    assert laptop.farlab("list", "--json").json["sessions"] == []
    assert shared.laptop.farlab("list", "--json").json["sessions"][0]["host"] == "zoe"


def test_list_of_a_host_without_sessions_says_so(laptop: Laptop) -> None:
    ran = laptop.farlab("list", "--host", "dan", "--json")
    assert (ran.code, ran.json["sessions"]) == (0, [])


def test_status_names_kernels_and_what_they_do(shared: Address) -> None:
    with shared.kernel() as kernel:
        for message in kernel.messages(kernel.start("import time; print('begun', flush=True); time.sleep(1000)")):
            if message["msg_type"] == "stream":
                break
        found = shared.status()
        assert [(each["id"], each["state"]) for each in found["kernels"]] == [(kernel.id, "busy")]
        assert "python3 (busy)" in shared.laptop.farlab("status", "zoe").out
        shared.ask("POST", f"/api/kernels/{kernel.id}/interrupt")
    assert shared.status()["kernels"] == []
    assert shared.token not in shared.laptop.farlab("status", "zoe").out


def test_logs_are_the_servers_last_lines(shared: Address, laptop: Laptop) -> None:
    whole = laptop.farlab("logs", "zoe")
    assert whole.code == 0, whole
    assert "Serving notebooks from local directory: /home/zoe" in whole.out
    assert laptop.farlab("logs", "zoe", "--lines", "2").out.splitlines() == whole.out.splitlines()[-2:]
    assert laptop.farlab("logs", "zoe", "--json", "--lines", "2").json["lines"] == whole.out.splitlines()[-2:]
    missing = laptop.farlab("logs", "zoe", "--name", "other", "--json")
    assert (missing.code, missing.json["error"]["code"]) == (3, "no-session")


def test_followed_logs_show_what_is_new_and_end_with_ctrl_c(shared: Address, laptop: Laptop, host: Host) -> None:
    following = laptop.spawn_farlab("logs", "zoe", "--follow", timeout=60)
    following.expect_exact("Serving notebooks from local directory: /home/zoe")
    with shared.kernel() as kernel:
        following.expect_exact(f"Kernel started: {kernel.id}")
    following.sendintr()
    following.expect(pexpect.EOF)
    following.close()
    assert following.exitstatus == 130
    wait_for("its agent to end", lambda: not [each for each in host.processes("zoe") if each.name == "sh"])


def test_logs_that_are_followed_show_whole_lines_once_though_the_log_is_shortened_meanwhile(
    shared: Address, laptop: Laptop, host: Host
) -> None:
    log = host.home("zoe") / ".local/state/farlab/main/log"
    following = laptop.popen(*laptop.farlab_argv("logs", "zoe", "--follow", "--lines", "1"), stdout=subprocess.PIPE)
    assert following.stdout
    assert following.stdout.readline()
    append(log, "".join(f"{line:09}{'ä' * 50}\n" for line in range(20_000)))
    shown = [following.stdout.readline() for _ in range(20_000)]
    append(log, "".join(f"{line:09}{'ä' * 50}\n" for line in range(20_000, 80_000)))
    wait_for("it to be shortened", lambda: log.stat().st_size < 2 << 20, timeout=30)
    agent = max(agents_of(host, "zoe"), key=lambda each: each.started)
    for part in ("the en", "d\n"):
        wait_for_looks(agent.pid, 2)
        append(log, part)
    while shown[-1] != b"the end\n":
        assert shown[-1], "it ended"
        shown.append(following.stdout.readline())
    texts = [each.decode() for each in shown[:-1]]
    assert len(set(texts)) == len(texts)
    assert {len(each) for each in texts} == {60}
    following.send_signal(signal.SIGINT)
    assert following.wait(30) == 130
    following.stdout.close()


def append(log: Path, text: str) -> None:
    """As the server does."""
    with log.open("ab") as file:
        file.write(text.encode())


def test_attach_shows_the_tmux_session_and_leaving_it_harms_nothing(shared: Address) -> None:
    attached = shared.laptop.spawn_farlab("attach", "zoe", timeout=60)
    attached.expect_exact("farlab session `main`")
    attached.expect_exact("JupyterLab 4")
    attached.expect_exact("[farlab-ma")  # tmux's own status line
    attached.send("\x02d")
    attached.expect_exact("detached")
    attached.expect(pexpect.EOF)
    attached.close()
    assert attached.exitstatus == 0
    assert shared.ask("GET", "/api/status")[0] == 200


def test_attach_where_nothing_runs_is_tmuxs_own_error(laptop: Laptop) -> None:
    ran = laptop.farlab("attach", "zoe", "--name", "other", tty=True)
    assert ran.code == 1
    assert "farlab-other" in ran.out


def test_attach_tells_a_program_what_it_would_run(laptop: Laptop) -> None:
    command = laptop.farlab("attach", "zoe", "--json").json["command"]
    assert command[0] == "ssh"
    assert command[-2:] == ["zoe", "exec tmux attach-session -t '=farlab-main'"]


def test_a_host_that_was_given_another_name_is_the_same_host(shared: Address, host: Host) -> None:
    name = host.run("root", ["hostname"]).stdout.strip()
    try:
        assert host.run("root", ["hostname", "renamed"]).returncode == 0
        [listed] = shared.laptop.farlab("list", "--host", "zoe", "--json").json["sessions"]
        assert listed["state"] == "up", listed
    finally:
        assert host.run("root", ["hostname", name]).returncode == 0
