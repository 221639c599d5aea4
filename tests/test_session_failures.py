"""A session that cannot be had: a clear error within seconds, and nothing half-made on either side.

That nothing is left is looked at after every test (`conftest.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from address import session
from bed import USERS, Bed, Host, Laptop
from host_parts import write_home
from steps import refused_connect as refused

pytestmark = pytest.mark.usefixtures("small_jupyter")


@contextmanager
def as_root(host: Host, make: str, undo: str) -> Iterator[None]:
    """Do something to the host for a while."""
    made = host.run("root", ["sh", "-c", make])
    assert made.returncode == 0, made
    try:
        yield
    finally:
        host.run("root", ["sh", "-c", undo])


@pytest.fixture
def alice(bed: Bed, host: Host) -> Iterator[Path]:
    """Alice's home, to fill; it is as on the first day before and after."""
    bed.fresh_home("alice")
    yield host.home("alice")
    bed.fresh_home("alice")


# what the host lacks -------------------------------------------------------------------------------------


@pytest.mark.jupyter
def test_a_host_without_jupyter_is_an_error_that_says_how_to_get_one(laptop: Laptop) -> None:
    ran, error = refused(laptop, "nojup")
    assert (ran.code, error["code"]) == (6, "no-jupyter")
    assert "JupyterLab" in error["message"]
    assert "--env" in error["hint"]


def test_a_host_without_python_is_an_error(laptop: Laptop, host: Host) -> None:
    with host.hide("python3*", "python"):
        ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (6, "no-python")
    assert "no Python" in error["message"]


def test_a_host_with_an_old_python_only_is_an_error_that_says_so(laptop: Laptop, host: Host) -> None:
    stub = "/usr/local/bin/python3"
    with (
        host.hide("python3*", "python"),
        as_root(host, f"printf '#!/bin/sh\\nexit 1\\n' >{stub}; chmod 755 {stub}", f"rm {stub}"),
    ):
        ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (6, "no-python")
    assert "3.6" in error["message"]


@pytest.mark.jupyter
@pytest.mark.parametrize("free_kib", [0, 8])
def test_a_full_disk_is_an_error(laptop: Laptop, host: Host, free_kib: int) -> None:
    with host.full_home("alice", free_kib=free_kib):
        ran, error = refused(laptop, "alice")
        assert (ran.code, error["code"]) == (6, "disk-full")
        assert not [path for path in host.path("/home/alice/.local").rglob("*") if path.is_file()]
    assert "/home/alice" in error["message"]
    assert "df" in error["hint"]


def test_a_full_tmp_costs_another_place_for_the_sockets(laptop: Laptop, host: Host) -> None:
    full = "mount -t tmpfs -o size=4k,mode=1777 full /tmp && ! dd if=/dev/zero of=/tmp/filler 2>/dev/null"
    with as_root(host, full, "umount -l /tmp"), session(laptop, "alice"):
        assert list(host.path("/var/tmp").glob("farlab-2001/main/anchor.sock"))


@pytest.mark.jupyter
@pytest.mark.parametrize(
    "make",
    [
        "mkdir -m 777 /tmp/farlab-2001; chown mallory /tmp/farlab-2001",
        "mkdir -m 777 /tmp/theirs; ln -s /tmp/theirs /tmp/farlab-2001; chown -h mallory /tmp/farlab-2001",
        "mkdir -m 755 /home/alice/.mine; chown alice /home/alice/.mine; ln -s /home/alice/.mine /tmp/farlab-2001",
        "touch /tmp/farlab-2001; chown alice /tmp/farlab-2001",
    ],
)
def test_what_somebody_else_made_where_our_sockets_go_is_not_used(laptop: Laptop, host: Host, make: str) -> None:
    with as_root(host, make, "rm -rf /tmp/farlab-2001 /tmp/theirs /home/alice/.mine"):
        with session(laptop, "alice") as address:
            [place] = host.path("/var/tmp").glob("farlab-2001*")
            assert (place.stat().st_uid, place.stat().st_mode & 0o777) == (2001, 0o700)
            with address.kernel() as kernel:
                assert kernel.run("print(1)") == "1\n"
            assert not list(host.path("/tmp/farlab-2001/").glob("*"))
            assert laptop.farlab("disconnect", "alice").code == 0
            again = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=100)
            assert again.json["pid"] == address.connected["pid"], again
            with session(laptop, "alice", "--name", "second"):
                assert {path.name for path in place.iterdir()} == {"main", "second"}
        assert not place.exists()


def test_a_directory_of_somebody_else_that_looks_like_ours_is_not_used(laptop: Laptop, host: Host) -> None:
    make = "mkdir -m 777 /tmp/farlab-2001 /tmp/farlab-2001-abcdefgh; chown mallory /tmp/farlab-2001*"
    with as_root(host, make, "rm -rf /tmp/farlab-2001 /tmp/farlab-2001-abcdefgh"), session(laptop, "alice"):
        assert not list(host.path("/tmp/farlab-2001-abcdefgh").glob("*"))


# the login shell -----------------------------------------------------------------------------------------


def test_a_shell_that_never_comes_to_our_command_is_an_error(laptop: Laptop) -> None:
    ran, error = refused(laptop, "hank", "--timeout", "8")
    assert (ran.code, error["code"]) == (7, "shell-stuck")
    assert "within 5 s" in error["message"]


def test_an_account_that_may_not_log_in_is_an_error_in_its_shells_own_words(laptop: Laptop) -> None:
    ran, error = refused(laptop, "nolan")
    assert (ran.code, error["code"]) == (6, "host-lacks")
    assert "This account is currently not available." in error["detail"]


def test_an_rc_file_that_ends_an_interactive_shell_is_gone_around(laptop: Laptop, host: Host, alice: Path) -> None:
    write_home(host, "alice", ".bash_profile", "case $- in *i*) exit 3 ;; esac\n")
    with session(laptop, "alice") as address:
        assert address.connected["launcher"] == "tmux"


def test_an_rc_file_that_ends_every_shell_is_an_error(laptop: Laptop, host: Host, alice: Path) -> None:
    write_home(host, "alice", ".bash_profile", "echo out of order >&2; exit 3\n")
    ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (7, "shell-failed")
    assert "exit status 3" in error["message"]
    assert "out of order" in error["detail"]


# the server ----------------------------------------------------------------------------------------------


@pytest.mark.jupyter
def test_a_server_that_dies_at_its_start_is_an_error_with_the_end_of_its_log(
    laptop: Laptop, host: Host, alice: Path
) -> None:
    write_home(host, "alice", ".jupyter/jupyter_server_config.py", "c.ServerApp.root_dir = '/no-such-place'\n")
    ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (7, "server-failed")
    assert "exit status 1" in error["message"]
    assert "/no-such-place" in error["detail"]
    shown = laptop.farlab("connect", "alice", timeout=100)
    assert shown.code == 7
    assert "| " in shown.err
    assert "hint:" in shown.err


@pytest.mark.jupyter
def test_a_server_killed_at_its_start_is_an_error_that_names_the_signal(
    laptop: Laptop, host: Host, alice: Path
) -> None:
    write_home(host, "alice", ".jupyter/jupyter_server_config.py", "import os; os.kill(os.getpid(), 9)\n")
    ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (7, "server-failed")
    assert "SIGKILL" in error["message"]


@pytest.mark.jupyter
def test_a_configuration_that_cannot_be_read_is_jupyters_affair(laptop: Laptop, host: Host, alice: Path) -> None:
    """Jupyter says so in its log and goes on; so do we."""
    write_home(host, "alice", ".jupyter/jupyter_server_config.py", "c = = 1\n")
    with session(laptop, "alice"):
        assert "SyntaxError" in laptop.farlab("logs", "alice").out


# what was left behind ------------------------------------------------------------------------------------


def test_after_a_crash_of_the_host_connect_starts_anew_and_terminate_finds_nothing(
    laptop: Laptop, new_laptop: type[Laptop], host: Host
) -> None:
    with session(laptop, "alice") as before:
        assert laptop.farlab("disconnect", "alice").code == 0
        host.crash()
        host.boot()
        with session(laptop, "alice") as address:
            assert not address.connected["reused"]
            assert address.connected["port"] == before.connected["port"]
            assert laptop.farlab("disconnect", "alice").code == 0
            host.crash()
            host.boot()
            gone = laptop.farlab("terminate", "alice", "--json")
            assert (gone.code, gone.json["was_running"]) == (0, False)
            assert not list((host.home("alice") / ".local/state/farlab").glob("*"))
            assert laptop.farlab("connect", "alice", "--no-browser", timeout=100).code == 0
        assert laptop.farlab("connect", "alice", "--no-browser", timeout=100).code == 0


GARBAGE = ["", "{", "[]", "null", '"x"', "{}", '{"node": "login"}', '{"ended": true}', "\0\xff" * 100]


def test_a_record_that_makes_no_sense_is_no_session(laptop: Laptop, host: Host, alice: Path) -> None:
    for text in GARBAGE:
        write_home(host, "alice", ".local/state/farlab/main/record.json", text)
        listed = laptop.farlab("list", "--host", "alice", "--json")
        assert listed.code == 0, (text, listed)
        gone = laptop.farlab("terminate", "alice")
        assert gone.code == 3, (text, gone)
        assert not (host.home("alice") / ".local/state/farlab").exists()


@pytest.mark.parametrize("text", ["{", None])
def test_a_session_whose_record_was_lost_is_found_by_its_process(
    laptop: Laptop, new_laptop: type[Laptop], host: Host, text: str | None
) -> None:
    with session(laptop, "alice") as address:
        record = host.home("alice") / ".local/state/farlab/main/record.json"
        if text is None:
            record.unlink()
        else:
            record.write_text(text)
        other = new_laptop()
        again = other.farlab("connect", "alice", "--json", "--no-browser", timeout=100)
        assert again.code == 0, again
        assert again.json["pid"] == address.connected["pid"]
        assert again.json["token"] == address.token
        assert other.farlab("disconnect", "alice").code == 0
        assert other.farlab("terminate", "alice", "--yes", timeout=100).code == 0
        assert not host.left_over("alice")
        assert laptop.farlab("connect", "alice", "--no-browser", timeout=100).code == 0


def test_a_lock_that_a_dead_agent_left_holds_nobody_up(laptop: Laptop, host: Host, alice: Path) -> None:
    boot = host.path("/proc/sys/kernel/random/boot_id").read_text().strip()
    locks = [
        {"node": "login", "boot": boot, "pid": 99999, "start": "1"},
        {"node": "login", "boot": boot, "pid": 1, "start": "1"},
        {"node": "login", "boot": "another", "pid": 1, "start": "1"},
    ]
    for lock in locks:
        write_home(host, "alice", ".local/state/farlab/.main.lock", json.dumps(lock))
        with session(laptop, "alice"):
            pass
    write_home(host, "alice", ".local/state/farlab/.main.lock", "")
    assert host.run("alice", ["touch", "-d", "1 hour ago", ".local/state/farlab/.main.lock"]).returncode == 0
    with session(laptop, "alice"):
        pass
    assert not (host.home("alice") / ".local/state/farlab").exists()


# a place for sockets -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "undo"),
    [
        ("chmod 755 /run/user/2021", "chmod 700 /run/user/2021"),
        ("chown mallory /run/user/2021", "chown rita /run/user/2021"),
        ("rmdir /run/user/2021", "install -d -m 700 -o rita -g rita /run/user/2021"),
        (
            "mv /run/user/2021 /run/user/real; ln -s /run/user/real /run/user/2021",
            "rm /run/user/2021; mv /run/user/real /run/user/2021",
        ),
    ],
)
def test_a_runtime_directory_that_is_not_ours_alone_is_not_used(
    laptop: Laptop, host: Host, make: str, undo: str
) -> None:
    with as_root(host, make, undo):
        with session(laptop, "rita"):
            assert host.path("/tmp/farlab-2021/main/anchor.sock").is_socket()
        assert not host.path("/tmp/farlab-2021").exists()


def test_a_session_is_ended_whole_also_when_the_runtime_directory_is_another_by_then(
    laptop: Laptop, host: Host
) -> None:
    with as_root(host, "touch /tmp/farlab-2021", "rm /tmp/farlab-2021"), session(laptop, "rita"):
        assert host.path("/run/user/2021/farlab/main/anchor.sock").is_socket()
        assert laptop.farlab("disconnect", "rita").code == 0
        with as_root(host, "chmod 755 /run/user/2021", "chmod 700 /run/user/2021"):
            assert laptop.farlab("terminate", "rita", "--yes", timeout=100).code == 0
            assert not host.path("/run/user/2021/farlab").exists()
        assert laptop.farlab("connect", "rita", "--no-browser", timeout=100).code == 0


# without tmux --------------------------------------------------------------------------------------------


@pytest.mark.jupyter
def test_without_tmux_the_session_is_a_detached_process_and_everything_works(laptop: Laptop, host: Host) -> None:
    with host.hide("tmux"), session(laptop, "tim") as address:
        assert address.connected["launcher"] == "detached"
        assert any("tmux" in note for note in address.connected["notes"])
        assert address.connected["dir"] == USERS["tim"].home_path
        with address.kernel() as kernel:
            assert kernel.run("import os; print(os.environ.get('TMUX'))") == "None\n"
        assert address.status()["launcher"] == "detached"
        assert "ServerApp" in laptop.farlab("logs", "tim").out
        attached = laptop.farlab("attach", "tim", tty=True)
        assert attached.code == 2, attached
        assert "without tmux" in attached.out
        assert "farlab logs tim -f" in attached.out
        assert laptop.farlab("disconnect", "tim").code == 0
        again = laptop.farlab("connect", "tim", "--json", "--no-browser", timeout=100).json
        assert (again["pid"], again["launcher"]) == (address.connected["pid"], "detached")
    assert not host.left_over("tim")
