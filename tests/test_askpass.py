"""`farlab-askpass` as a real program, asked by a real `ssh` of a real sshd, answered by a user in this process."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from askpass_user import CANCEL, User, environment, meeting, write_program
from farlab.model import Target
from farlab.transport.ssh import askpass
from farlab.transport.ssh.explain import explain
from farlab.transport.ssh.options import link_argv, parse_resolved, query_argv
from local_sshd import MISSING, Sshd, run_ssh

PASSPHRASE = "correct horse é 'quoted' \"twice\""

needs_sshd = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Callable[..., User]]:
    with meeting(tmp_path) as one:
        yield one


@pytest.fixture
def program(tmp_path: Path) -> str:
    return write_program(tmp_path)


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as sshd:
        sshd.make_key("locked", PASSPHRASE)
        sshd.authorize("id", "locked")
        yield sshd


def connect(config: Path, environment: dict[str, str], command: str = "echo in") -> subprocess.CompletedProcess[bytes]:
    return run_ssh(argv(config, command), environment=environment)


def argv(config: Path, command: str = "echo in", *, may_ask: bool = True) -> list[str]:
    target = Target(host="far", ssh_config=str(config))
    said = subprocess.run(query_argv(target), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    return link_argv(target, command, resolved=parse_resolved(said.stdout), may_ask=may_ask)


@needs_sshd
def test_an_unknown_host_key_is_shown_and_accepted(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    user = meet("yes")
    config = sshd.write_config(name="unknown", known=False)
    ran = connect(config, environment(user, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    [question] = user.questions
    assert question["op"] == "ask"
    assert question["kind"] == "yes-no"
    assert "SHA256:" in question["prompt"]
    assert "authenticity of host" in question["prompt"]
    assert (sshd.root / "known_hosts-unknown").read_text()


@needs_sshd
def test_a_passphrase_reaches_ssh_byte_for_byte(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    user = meet(PASSPHRASE)
    ran = connect(locked(sshd), environment(user, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    [question] = user.questions
    assert question["kind"] == "secret"
    assert "Enter passphrase for key" in question["prompt"]


@needs_sshd
def test_a_cancelled_passphrase_ends_the_login(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    user = meet(CANCEL)
    ran = connect(locked(sshd), environment(user, program))
    assert ran.returncode == 255, ran
    assert len(user.questions) == 1
    assert explain(ran.stderr.decode(), 255, host="far", may_ask=True).slug == "authentication"


@needs_sshd
def test_a_user_may_take_longer_than_any_time_limit(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    never = threading.Event()
    user = meet(lambda question: ("yes", PASSPHRASE)[never.wait(3) or question["kind"] == "secret"])
    config = locked(
        sshd, name="slow", known=False, more="ConnectTimeout 1\nServerAliveInterval 1\nServerAliveCountMax 1"
    )
    ran = connect(config, environment(user, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    assert [question["kind"] for question in user.questions] == ["yes-no", "secret"]


@needs_sshd
def test_without_anybody_nothing_is_asked(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    user = meet("yes")
    config = sshd.write_config(name="batch", known=False)
    ran = run_ssh(argv(config, may_ask=False), environment=environment(user, program))
    assert ran.returncode == 255, ran
    assert not user.questions
    assert "{farlab connect HOST}" in explain(ran.stderr.decode(), 255, host="far", may_ask=False).hint


@needs_sshd
def test_a_jump_host_cannot_ask_on_a_terminal_behind_our_back(sshd: Sshd) -> None:
    config = jumping(sshd)
    words = argv(config, may_ask=False)
    child = pexpect.spawn(words[0], words[1:], env=askpass.silent_environment(os.environ), timeout=20, encoding="utf-8")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 255
    assert "yes/no" not in child.before
    assert "Host key verification failed" in child.before


@needs_sshd
def test_a_jump_host_asks_through_us_too(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    user = meet("yes")
    ran = connect(jumping(sshd), environment(user, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    assert [question["kind"] for question in user.questions] == ["yes-no"]


@needs_sshd
def test_askpass_ends_with_the_ssh_that_started_it(sshd: Sshd, meet: Callable[..., User], program: str) -> None:
    user = meet(None)
    ssh = subprocess.Popen(
        argv(locked(sshd)),
        env=environment(user, program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert user.asked.wait(20)
    ssh.kill()
    ssh.wait(10)
    assert user.left.wait(5)


def locked(sshd: Sshd, name: str = "locked-config", *, known: bool = True, more: str = "") -> Path:
    """A configuration whose only key has a passphrase."""
    config = sshd.write_config(more, name=name, known=known)
    config.write_text(config.read_text().replace(f"{sshd.root}/id\n", f"{sshd.root}/locked\n"))
    return config


def jumping(sshd: Sshd) -> Path:
    """A configuration that goes by way of a jump host whose key is not known."""
    more = (
        f"ProxyJump jump\nHost jump\nHostname 127.0.0.1\nPort {sshd.port}\nUser {sshd.user}\n"
        f"IdentityFile {sshd.root}/id\nIdentitiesOnly yes\nIdentityAgent none\nUserKnownHostsFile /dev/null\n"
        "GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking ask\n"
    )
    return sshd.write_config(more, name="jumping")
