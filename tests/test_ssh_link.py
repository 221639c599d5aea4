"""The argument lists of `transport/ssh/options.py` against a real `ssh` and configurations that want otherwise."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from farlab.model import Target
from farlab.transport.noise import telling
from farlab.transport.ssh.explain import explain, has_logged_in
from farlab.transport.ssh.options import attach_argv, link_argv, parse_resolved, query_argv
from farlab.transport.ssh.transport import agent_socket
from local_sshd import MISSING, Sshd, free_port, no_terminal, run_ssh

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

BYTES = bytes(range(256)) * 4096 + b"\n~.\n~&\r\n\x03\x04\x1a\x00"
"""Everything a terminal or an escape character would act on."""


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as sshd:
        yield sshd


def hostile(sshd: Sshd, port: int) -> Path:
    """A configuration in which everything is set that breaks a plain command."""
    return sshd.write_config(
        f"ControlMaster auto\nControlPath {sshd.root}/cp-%C\nControlPersist 60\nRemoteCommand echo mine\n"
        f"RequestTTY force\nLocalForward {port} 127.0.0.1:1\nDynamicForward {free_port()}\nPermitLocalCommand yes\n"
        f"LocalCommand touch {sshd.root}/local-command\nForwardX11 yes\nForwardAgent yes\nTunnel yes\n"
        "LogLevel QUIET\nStdinNull yes\nForkAfterAuthentication yes\nSessionType none\nIgnoreUnknown UseKeychain\n"
        "UseKeychain yes\n",
        name="hostile",
    )


def test_the_files_that_a_login_reads_are_known(sshd: Sshd) -> None:
    more = sshd.root / "more.conf"
    more.write_text("Host far\n  IdentityFile ~/.ssh/other\n  CertificateFile /c-cert.pub\n  LogLevel QUIET\n")
    main = sshd.root / "main.conf"
    keys = "UserKnownHostsFile /a /b\nGlobalKnownHostsFile /g\nRevokedHostKeys /r\n"
    main.write_text(f"Include {more}\nHost far\n{keys}")
    argv = query_argv(Target(host="far", ssh_config=str(main)))
    said = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    files = parse_resolved(said.stdout, said.stderr).files
    assert sorted(files) == sorted([str(main), str(more), "~/.ssh/other", "/c-cert.pub", "/a", "/b", "/g", "/r"])


AGENTS = {
    '"${RUN}/agent dir/agent.sock"': "/run/me/agent dir/agent.sock",
    '"%d/my agent/agent.sock"': "~/my agent/agent.sock",
    "~/.1password/agent.sock": "~/.1password/agent.sock",
    "$MINE": "/mine",
    "${MINE}": "/mine",
    "SSH_AUTH_SOCK": "/usual",
    "none": "",
}


@pytest.mark.parametrize("named", AGENTS)
def test_the_agent_is_known_however_the_configuration_names_it(named: str, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(f"Host far\n  IdentityAgent {named}\n")
    environ = {**os.environ, "RUN": "/run/me", "MINE": "/mine", "SSH_AUTH_SOCK": "/usual"}
    argv = query_argv(Target(host="far", ssh_config=str(config)))
    said = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True, env=environ)
    assert agent_socket(parse_resolved(said.stdout).identity_agent, environ) == os.path.expanduser(AGENTS[named])


def link(config: Path, command: str, *, may_ask: bool = False, bypass_master: bool = False) -> list[str]:
    target = Target(host="far", ssh_config=str(config))
    said = subprocess.run(query_argv(target), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    resolved = parse_resolved(said.stdout)
    return link_argv(target, command, resolved=resolved, may_ask=may_ask, bypass_master=bypass_master)


@pytest.mark.parametrize("may_ask", [True, False])
def test_bytes_pass_through_whatever_the_user_configured(sshd: Sshd, may_ask: bool) -> None:
    port = free_port()
    ran = run_ssh(link(hostile(sshd, port), "cat", may_ask=may_ask), given=BYTES)
    assert (ran.returncode, telling(ran.stderr.decode())) == (0, [])
    assert has_logged_in(ran.stderr.decode())
    assert ran.stdout == BYTES
    assert not list(sshd.root.glob("cp-*"))
    assert not (sshd.root / "local-command").exists()


def test_nothing_of_the_users_own_is_forwarded_meanwhile(sshd: Sshd) -> None:
    port = free_port()
    ssh = subprocess.Popen(link(hostile(sshd, port), "echo up; cat"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert ssh.stdin
    assert ssh.stdout
    assert ssh.stdout.readline() == b"up\n"
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    ssh.stdin.close()
    assert ssh.stdout.read() == b""
    ssh.stdout.close()
    assert ssh.wait(10) == 0


def test_our_values_win_over_opposite_ones(sshd: Sshd) -> None:
    words = link(hostile(sshd, free_port()), "true", bypass_master=True)
    at = words.index("--")
    said = subprocess.run([*words[:at], "-G", *words[at:]], capture_output=True, text=True, check=True).stdout
    effective = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    wanted = {
        "clearallforwardings": "yes",
        "permitlocalcommand": "no",
        "requesttty": "false",
        "sessiontype": "default",
        "stdinnull": "no",
        "forkafterauthentication": "no",
        "forwardagent": "no",
        "forwardx11": "no",
        "tunnel": "false",
        "controlmaster": "false",
        "loglevel": "VERBOSE",
        "batchmode": "yes",
        "connecttimeout": "15",
        "serveraliveinterval": "15",
        "stricthostkeychecking": "ask",
    }
    assert {name: effective.get(name) for name in wanted} == wanted
    assert not {"remotecommand", "controlpath", "localforward", "dynamicforward"} & set(effective)


def test_the_reason_is_said_even_where_the_user_wants_silence(sshd: Sshd) -> None:
    config = sshd.write_config(name="quiet", first=f"LogLevel QUIET\nHost far\nPort {free_port()}")
    ran = run_ssh(link(config, "true"))
    error = explain(ran.stderr.decode(), ran.returncode, host="far", may_ask=False)
    assert error.slug == "unreachable"
    assert "Connection refused" in error.detail


def test_a_living_master_is_ridden_on_and_can_be_gone_around(sshd: Sshd) -> None:
    path = sshd.root / "master"
    config = sshd.write_config(f"ControlPath {path}", name="mastered")
    words = ["ssh", "-F", str(config), "-M", "-T", "far", "echo up; cat"]
    master = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert master.stdin
    assert master.stdout
    assert master.stdout.readline() == b"up\n"
    sshd.authorize()
    try:
        assert run_ssh(link(config, "echo in")).stdout == b"in\n"
        around = run_ssh(link(config, "echo in", bypass_master=True))
        assert around.returncode == 255
        assert b"Permission denied" in around.stderr
        assert path.exists()
    finally:
        sshd.authorize("id")
        master.stdin.close()
        master.stdout.close()
        assert master.wait(10) == 0


def test_a_dead_masters_socket_does_not_hinder(sshd: Sshd) -> None:
    path = sshd.root / "dead"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    ran = run_ssh(link(sshd.write_config(f"ControlPath {path}", name="dead-master"), "echo in"))
    assert (ran.returncode, ran.stdout) == (0, b"in\n")


def test_a_host_that_is_an_option_runs_nothing(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    words = link_argv(
        Target(host="far"), "true", resolved=parse_resolved("hostname h\nuser u\nport 22\n"), may_ask=False
    )
    words[words.index("far")] = f"-oProxyCommand=touch${{IFS}}{mark}"  # past check_host: `--` holds alone
    assert run_ssh(words).returncode == 255
    assert not mark.exists()


@pytest.mark.skipif(bool(no_terminal()), reason=no_terminal())
def test_attach_gives_a_terminal_in_spite_of_the_configuration(sshd: Sshd) -> None:
    config = hostile(sshd, free_port())
    target = Target(host="far", ssh_config=str(config))
    said = subprocess.run(query_argv(target), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    words = attach_argv(target, "tty; read line; echo got $line", resolved=parse_resolved(said.stdout))
    child = pexpect.spawn(words[0], words[1:], timeout=20, encoding="utf-8", env=dict(os.environ))
    child.expect("/dev/pts/")
    child.sendline("this")
    child.expect("got this")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0
    assert not list(sshd.root.glob("cp-*"))
