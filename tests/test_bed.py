"""The bed itself works: users, wires, crashes, and the check that nothing is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

import steps
from bed import (
    BEDS,
    PASSPHRASE,
    PASSWORD,
    USERS,
    Bed,
    Host,
    Laptop,
    clear_dead_beds,
    leftovers,
    processes,
    wait_for,
)
from bed.base_image import SMALL_VERSION

BY_KEY = sorted(USERS.keys() - {"nolan", "otto", "hal", "pia", "kim"})
TICK = "i=0; while sleep 0.1; do i=$((i+1)); echo tick $i; done"


def ticking(laptop: Laptop, host: str) -> pexpect.spawn:
    """An ssh that prints all the time and notices within 2 s that nothing comes back."""
    options = ["-o", "ServerAliveInterval=1", "-o", "ServerAliveCountMax=2"]
    ssh = laptop.spawn("ssh", *options, host, TICK, timeout=15)
    ssh.expect("tick 2\r\n")
    return ssh


def reachable(laptop: Laptop, address: str = "10.80.0.11") -> bool:
    return laptop.run("ping", "-c1", "-W1", address).code == 0


@pytest.mark.parametrize("user", BY_KEY)
def test_everybody_with_a_key_logs_in(laptop: Laptop, user: str) -> None:
    ran = laptop.ssh(user, "id -un; hostname")
    assert ran.code == 0, ran
    assert ran.out.endswith(f"{user}\nlogin\n"), ran


@pytest.mark.parametrize("alias", ["bastion", "login", "login6", "login2222", "node1", "node2"])
def test_every_host_answers_by_name(laptop: Laptop, alias: str) -> None:
    ran = laptop.ssh(alias, "hostname; id -un; echo $HOME")
    assert ran.out.split() == [alias.rstrip("62") if "login" in alias else alias, "alice", "/home/alice"], ran


def test_a_home_is_shared_by_the_cluster_but_not_with_the_bastion(laptop: Laptop, bed: Bed) -> None:
    assert laptop.ssh("login", "touch ~/seen").code == 0
    assert bed.node1.run("alice", ["test", "-e", "seen"]).returncode == 0
    assert bed.bastion.run("alice", ["test", "-e", "seen"]).returncode == 1
    bed.fresh_home("alice")
    assert bed.login.run("alice", ["test", "-e", "seen"]).returncode == 1


def test_users_are_what_they_are_said_to_be(laptop: Laptop, host: Host) -> None:
    assert len(USERS["lena"].home_path) == 100
    assert laptop.ssh("alice", "command -v jupyter").out.strip() == "/usr/local/bin/jupyter"
    assert laptop.ssh("alice", "jupyter lab --version").code == 0
    assert laptop.ssh("nojup", "bash -lic 'command -v jupyter'").code != 0
    assert laptop.ssh("cora", "command -v jupyter").code != 0
    assert "/bin/jupyter" in laptop.ssh("cora", "bash -ic 'command -v jupyter'").out
    assert laptop.ssh("rita", "stat -c %U:%a $XDG_RUNTIME_DIR").out.strip() == "rita:700"
    assert laptop.ssh("sam", "true").seconds > 1
    for user in ("bob", "zoe", "finn", "tess"):
        ran = laptop.ssh(user, "true")
        assert "Welcome to the cluster!" in ran.out, ran
        assert "warning" in ran.err, ran


def test_forwarding_and_second_sessions_are_refused_to_max(laptop: Laptop) -> None:
    refused = laptop.ssh("-W", "localhost:22", "max")
    assert "forward" in refused.err or "prohibited" in refused.err, refused
    master = laptop.spawn("ssh", "-o", "ControlMaster=yes", "-o", f"ControlPath={laptop.tmp}/m", "max", TICK)
    master.expect("tick 1")
    second = laptop.ssh("-o", f"ControlPath={laptop.tmp}/m", "-o", "ProxyCommand=false", "max", "true")
    assert second.code == 255, second
    master.close(force=True)


def test_an_interactive_shell_of_tim_becomes_tmux(laptop: Laptop, host: Host) -> None:
    terminal = laptop.spawn("ssh", "tim")
    wait_for("tmux", lambda: any(it.name.startswith("tmux: server") for it in host.processes("tim")))
    host.run("tim", ["tmux", "kill-server"])
    terminal.expect(pexpect.EOF)


def test_a_password_a_passphrase_and_codes_are_asked_for(laptop: Laptop, host: Host) -> None:
    code, totp = steps.next_code(host, "hal"), steps.time_code(host, "otto")
    talks = {
        "pia": [("password:", PASSWORD)],
        "kim": [("passphrase", PASSPHRASE)],
        "hal": [("Password:", PASSWORD), ("One-time password", code)],
        "otto": [("Password:", PASSWORD), ("One-time password", totp)],
    }
    for user, talk in talks.items():
        terminal = laptop.spawn("ssh", "-T", user, "id -un")
        for question, answer in talk:
            terminal.expect(question)
            terminal.sendline(answer)
        terminal.expect(f"\n{user}\r\n")
        terminal.expect(pexpect.EOF)


def test_a_wrong_password_is_refused(laptop: Laptop) -> None:
    terminal = laptop.spawn("ssh", "-o", "NumberOfPasswordPrompts=1", "pia", "true")
    terminal.expect("password:")
    terminal.sendline("wrong")
    terminal.expect("Permission denied")
    terminal.expect(pexpect.EOF)


def test_a_laptop_may_know_no_host_yet(new_laptop: Callable[..., Laptop]) -> None:
    assert "Host key verification failed" in new_laptop(knows_hosts=False).ssh("login", "true").err


def test_another_host_key_is_noticed_and_goes_again(laptop: Laptop, host: Host) -> None:
    with host.other_host_key():
        assert "HAS CHANGED" in laptop.ssh("login", "true").err
    assert laptop.ssh("login", "true").code == 0


def test_laptops_are_an_ordinary_users_and_each_its_own(new_laptop: Callable[..., Laptop]) -> None:
    one, other = new_laptop(), new_laptop()
    for laptop in (one, other):
        assert laptop.run("id", "-un").out == "lap\n"
        assert laptop.run("sh", "-c", "echo $HOME $XDG_RUNTIME_DIR").out.split() == [
            str(laptop.home),
            str(laptop.runtime),
        ]
        assert "mine" not in laptop.run("ls", "/tmp").out
        assert "mine" in laptop.run("sh", "-c", "echo > /tmp/mine; ls /tmp").out
        (laptop.tmp / "mine").unlink()
        assert ".bashrc" not in laptop.run("ls", "-A", "/root").out
    assert one.run("ls", str(other.home), user="eve").code != 0
    imported = one.run(sys.executable, "-c", "import farlab; print(farlab.__file__)")
    assert imported.code == 0, imported


def test_the_laptop_hears_what_programs_give_to_browser_and_clipboard(laptop: Laptop) -> None:
    laptop.run("sh", "-c", "$BROWSER http://one; $BROWSER http://two; echo text | xclip -i")
    assert laptop.opened == ["http://one", "http://two"]
    assert "text" in laptop.written_by("xclip")


def test_the_network_is_slow_when_asked_for(bed: Bed, laptop: Laptop) -> None:
    quick = laptop.ssh("login", "true").seconds
    bed.wan.delay(50)
    slow = laptop.ssh("login", "true").seconds
    assert slow > quick + 0.7, (quick, slow)  # at least eight round trips of 0.1 s


@pytest.mark.parametrize("way", ["on", "up", "down"])
def test_a_black_hole_says_nothing_and_heals(bed: Bed, laptop: Laptop, way: str) -> None:
    ssh = ticking(laptop, "login")
    bed.wan.blackhole(way)
    assert not reachable(laptop)
    ssh.expect("not responding")
    bed.wan.blackhole("off")
    assert reachable(laptop)
    ssh.expect(pexpect.EOF)


def test_a_short_hole_loses_nothing(bed: Bed, laptop: Laptop) -> None:
    ssh = laptop.spawn("ssh", "login", TICK)
    ssh.expect("tick 3\r\n")
    bed.wan.blackhole("on")
    assert not reachable(laptop)
    bed.wan.blackhole("off")
    for number in range(4, 20):
        ssh.expect(f"tick {number}\r\n")
    ssh.close(force=True)


def test_cables_and_wifi_can_be_pulled(bed: Bed, laptop: Laptop) -> None:
    bed.login.plug(connected=False)
    assert not reachable(laptop)
    assert reachable(laptop, "10.80.0.10")
    bed.login.plug(connected=True)
    wait_for("login again", lambda: reachable(laptop))
    bed.wifi(on=False)
    assert not reachable(laptop)
    bed.wifi(on=True)
    wait_for("login again", lambda: reachable(laptop) and reachable(laptop, "fd80::11"))


def test_roaming_kills_connections_without_a_word(bed: Bed, laptop: Laptop) -> None:
    ssh = ticking(laptop, "login")
    bed.roam("10.80.0.77")
    ssh.expect("not responding")
    assert laptop.ssh("login", "echo $SSH_CLIENT").out.startswith("10.80.0.77 ")
    ssh.expect(pexpect.EOF)


def test_a_crash_ends_everything_and_a_boot_begins_anew(laptop: Laptop, host: Host) -> None:
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    before = laptop.ssh("login", f"touch /tmp/gone ~/stays; {boot_id}").out
    host.popen("alice", ["sleep", "1000"])
    wait_for("sleep", lambda: any(it.name == "sleep" for it in host.processes("alice")))
    ssh = ticking(laptop, "login")
    host.crash()
    ssh.expect("closed|Broken pipe|reset by peer")  # whichever of the two ends is seen first
    ssh.expect(pexpect.EOF)
    assert not host.is_up
    assert "refused" in laptop.ssh("login", "true").err
    host.boot()
    after = laptop.ssh("login", f"ls -d /tmp/gone ~/stays; {boot_id}")
    assert after.out.split()[0] == "/home/alice/stays", after
    assert after.out.split()[1] != before.strip(), after
    assert host.processes() == []


def test_a_power_cut_says_nothing(laptop: Laptop, host: Host) -> None:
    ssh = ticking(laptop, "login")
    host.power_cut()
    ssh.expect("not responding")
    ssh.expect(pexpect.EOF)


def test_programs_can_be_missing_for_a_while(laptop: Laptop, host: Host) -> None:
    with host.hide("tmux", "python3*"):
        assert laptop.ssh("login", "command -v tmux || command -v python3").out == ""
    assert laptop.ssh("login", "tmux -V && python3 -V").code == 0


def test_a_small_program_can_be_the_hosts_jupyter_for_a_while(laptop: Laptop, host: Host) -> None:
    with host.small_jupyter():
        connected = steps.connect(laptop, "alice")
        assert connected["server"] == f"JupyterLab {SMALL_VERSION}"
        assert steps.answers(laptop, connected)
        for path, code in (("/api/kernels", "403"), ("/lab", "302"), ("/lab?token=other", "302")):
            asked = ("curl", "-so", "/dev/null", "-w", "%{http_code}", connected["address"] + path)
            assert laptop.run(*asked).out == code
        assert "the small server listens" in steps.done(laptop, "logs", "alice").out
        steps.terminate(laptop, "alice")
        assert not host.left_over("alice")
    connected = steps.connect(laptop, "alice")
    assert connected["server"] != f"JupyterLab {SMALL_VERSION}"
    steps.terminate(laptop, "alice")


def test_a_home_can_be_full_for_a_while(laptop: Laptop, host: Host) -> None:
    with host.full_home("alice", free_kib=8):
        assert laptop.ssh("login", "echo small > small && cat small").out == "small\n"
        assert "No space" in laptop.ssh("login", "head -c 100000 /dev/zero > big").err
    assert laptop.ssh("login", "head -c 100000 /dev/zero > big && rm big").code == 0


def test_what_a_test_leaves_behind_is_seen_and_reaped(bed: Bed, laptop: Laptop, host: Host) -> None:
    marker = "FARLAB_TEST=" + os.environ["FARLAB_TEST"]
    before = leftovers.take(bed)
    server = "import socket,time; s=socket.create_server(('127.0.0.1', 8123)); time.sleep(1000)"
    started = [laptop.popen("/usr/bin/python3", "-c", server), subprocess.Popen(["sleep", "1001"])]
    host.popen("bob", ["/usr/bin/python3", "-c", server])
    host.run("bob", ["sh", "-c", "mkdir /tmp/farlab-2002; echo > /tmp/farlab-2002/token"])
    (laptop.runtime / "keeper.sock").write_text("")
    wait_for("both servers", lambda: len([1 for it in leftovers.take(bed).sockets if "8123" in it]) == 2)
    left = leftovers.since(before, marker, bed)
    words = str(left)
    for expected in ("sleep 1001", "login: process", "laptop: process", "login: tcp 127.0.0.1:8123",
                     "laptop: tcp 127.0.0.1:8123", "/tmp/farlab-2002/token", "keeper.sock"):  # fmt: skip
        assert expected in words, words
    leftovers.reap(left)
    assert [process.wait(5) for process in started] == [-signal.SIGKILL] * 2
    wait_for("a clean bed", lambda: not leftovers.since(before, marker, bed))


def test_what_a_test_starts_dies_of_a_hangup_under_nohup_too() -> None:
    ask = "import conftest, subprocess; subprocess.run(['grep', 'SigIgn', '/proc/self/status'])"
    shell = f'trap "" HUP INT QUIT TERM; exec "{sys.executable}" -c "{ask}"'
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    shown = subprocess.run(["sh", "-c", shell], env=env, capture_output=True, text=True, check=True).stdout
    ignored = int(shown.split()[1], 16)
    assert not [
        each for each in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM) if ignored >> (each - 1) & 1
    ]


def test_a_later_process_with_the_same_number_is_never_ended() -> None:
    child = subprocess.Popen(["sleep", "1002"])
    seen = processes.find(child.pid)
    assert seen
    assert not processes.end(seen.pid, seen.started - 1)
    assert child.poll() is None
    assert processes.end(seen.pid, seen.started)
    assert child.wait(5) == -signal.SIGKILL
    assert not processes.end(seen.pid, seen.started)


def test_a_bed_whose_maker_was_killed_is_cleared(bed: Bed) -> None:
    script = """
from bed import Bed
bed = Bed()
laptop = bed.add_laptop()
laptop.popen("sleep", "1003")
print(bed.name, flush=True)
import signal; signal.pause()
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    env.pop("FARLAB_TEST", None)
    maker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env)
    assert maker.stdout
    name = maker.stdout.readline().strip()
    maker.kill()
    maker.wait()
    maker.stdout.close()
    deadline = time.monotonic() + 10
    while name not in clear_dead_beds():
        # another worker that starts its bed just now may have cleared it first
        if not (BEDS / name).exists():
            break
        assert time.monotonic() < deadline, name
    assert not (BEDS / name).exists()
    assert not list(Path("/run/netns").glob(f"{name}-*"))
    assert not [it for it in processes.every() if "1003" in it.argv and it.name == "sleep"]
    assert (BEDS / bed.name).exists()


@pytest.fixture(scope="module")
def other_bed(bed: Bed) -> Iterator[Bed]:
    """A second bed beside the first: login boots systemd, homes are as over NFS."""
    with Bed(systemd=("login",), nfs_like=True) as other:
        assert other.name != bed.name
        yield other


def test_a_real_systemd_ends_what_users_run_unless_they_linger(other_bed: Bed) -> None:
    laptop, login = other_bed.add_laptop(), other_bed.login
    assert laptop.ssh("login", "systemctl is-system-running; echo $XDG_RUNTIME_DIR").out.split() == [
        "running",
        "/run/user/2001",
    ]
    start = "tmux new -d 'sleep 1004'; systemd-run --user sleep 1005"

    def left() -> set[str]:
        return {it.argv[-1] for it in login.processes("alice") if it.name == "sleep" and it.argv}  # else it is dying

    assert laptop.ssh("login", start).code == 0
    wait_for("the end of all", lambda: not left(), timeout=20)
    assert laptop.ssh("login", f"loginctl enable-linger; {start}; sleep 0.5").code == 0
    wait_for("the end of what is in the login session", lambda: left() == {"1005"}, timeout=20)
    login.crash()
    login.boot()
    assert laptop.ssh("login", "true").code == 0


@pytest.mark.usefixtures("bed")
def test_a_process_that_is_about_to_be_a_zombie_does_not_live() -> None:
    """The first process of a PID namespace ends only when all others have been waited for, pid_namespaces(7)."""
    outer = subprocess.Popen(["unshare", "--pid", "--fork", "sleep", "60"])
    [first] = wait_for("the first", lambda: [it for it in children(outer.pid) if it.name == "sleep"])
    other = subprocess.Popen(["nsenter", f"--target={first.pid}", "--pid", "sleep", "60"])
    wait_for("the other", lambda: [it for it in children(other.pid) if it.name == "sleep"])
    other.send_signal(signal.SIGSTOP)  # it does not wait for its child
    wait_for("its standing still", lambda: ") T " in Path(f"/proc/{other.pid}/stat").read_text())
    os.kill(first.pid, signal.SIGKILL)
    wait_for("the end", lambda: processes.find(first.pid) is None)
    assert " (sleep) S " in Path(f"/proc/{first.pid}/stat").read_text()
    other.send_signal(signal.SIGCONT)
    assert [outer.wait(10), other.wait(10)] != [0, 0]


def children(pid: int) -> list[processes.Process]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [process for it in found if (process := processes.find(int(it)))]


def test_over_nfs_a_socket_of_another_host_refuses(other_bed: Bed) -> None:
    listen = (
        "import socket,time; s=socket.socket(1); s.bind('x.sock'); s.listen(); print(1, flush=True); time.sleep(60)"
    )
    connect = "import socket; socket.socket(1).connect('x.sock')"
    server = other_bed.node1.popen("bob", ["/usr/bin/python3", "-c", listen], stdout=subprocess.PIPE)
    assert server.stdout
    assert server.stdout.readline() == b"1\n"
    assert other_bed.node1.run("bob", ["/usr/bin/python3", "-c", connect]).returncode == 0
    refused = other_bed.node2.run("bob", ["/usr/bin/python3", "-c", connect])
    assert "ConnectionRefusedError" in refused.stderr, refused
    for process in other_bed.node1.processes("bob"):
        processes.end(process.pid, process.started)
    server.wait(5)
    server.stdout.close()
