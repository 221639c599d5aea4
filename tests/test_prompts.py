"""Questions of `ssh`, put to a user at a real terminal by the real `farlab` and a real sshd."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

import steps
import stub_ssh
from bed import PASSPHRASE, PASSWORD, Bed, Host, Laptop, wait_for
from keeper_files import age, runtime

pytestmark = pytest.mark.usefixtures("small_jupyter")

YES_NO = r"\(yes/no"
HAL_CODE = r"One-time password \(OATH\) for `hal': "
WRONG = "not-the-secret"


@pytest.fixture
def stranger(new_laptop: Callable[..., Laptop]) -> Laptop:
    """A laptop that has never seen any host."""
    return new_laptop(knows_hosts=False)


def at_terminal(laptop: Laptop, *words: str) -> pexpect.spawn:
    return laptop.spawn_farlab(*words, timeout=steps.PATIENCE)


def connecting(laptop: Laptop, host: str, *words: str) -> pexpect.spawn:
    return at_terminal(laptop, "connect", host, "--no-browser", *words)


def assert_nothing_begun(laptop: Laptop, host: Host, user: str) -> None:
    steps.wait_until_nothing_runs(laptop)
    assert not (laptop.home / ".local/state/farlab").exists()
    assert not host.left_over(user)
    assert not (host.home(user) / ".local/state/farlab").exists()


# host keys ------------------------------------------------------------------------------------------------


def test_an_unknown_host_key_is_shown_and_accepted(stranger: Laptop, host: Host) -> None:
    terminal = connecting(stranger, "alice")
    terminal.expect(YES_NO)
    shown = terminal.before
    assert "ED25519 key fingerprint is" in shown
    public = host.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[1]
    fingerprint = stranger.run("ssh-keygen", "-lf", "-", stdin=f"ssh-ed25519 {public}\n").out.split()[1]
    assert fingerprint in shown
    assert terminal.getecho()
    terminal.sendline("yes")
    assert steps.end_of(terminal) == 0, terminal.before
    assert "alice-main.localhost" in terminal.before
    assert public in (stranger.home / ".ssh/known_hosts").read_text()
    steps.terminate(stranger, "alice")


def test_an_unknown_host_key_can_be_declined(stranger: Laptop, host: Host) -> None:
    terminal = connecting(stranger, "alice")
    terminal.expect(YES_NO)
    terminal.sendline("no")
    assert steps.end_of(terminal) == 5
    assert "host key of `alice` was not accepted" in terminal.before
    assert "Host key verification failed" in terminal.before
    assert_nothing_begun(stranger, host, "alice")


def test_what_is_neither_yes_nor_no_is_asked_again(stranger: Laptop, host: Host) -> None:
    terminal = connecting(stranger, "alice")
    terminal.expect(YES_NO)
    terminal.sendline("perhaps")
    terminal.expect("Please type")
    terminal.sendline("no")
    assert steps.end_of(terminal) == 5


def test_a_changed_host_key_is_refused_with_the_words_of_ssh(laptop: Laptop, host: Host) -> None:
    with host.other_host_key():
        terminal = connecting(laptop, "alice")
        assert steps.end_of(terminal) == 5
        text = terminal.before
        code, error = steps.refused(laptop, "connect", "alice")
    assert "the host key of `alice` has changed" in text
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in text
    assert "ssh-keygen" in text
    assert (code, error["code"]) == (5, "host-key-changed")
    assert "IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY" in error["detail"]
    assert_nothing_begun(laptop, host, "alice")


# secrets --------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_asked_for_again(laptop: Laptop) -> None:
    terminal = connecting(laptop, "pia")
    terminal.expect("pia@login's password: ")
    assert not terminal.getecho()
    terminal.sendline(WRONG)
    terminal.expect("pia@login's password: ")
    assert WRONG not in terminal.before
    terminal.sendline(PASSWORD)
    assert steps.end_of(terminal) == 0, terminal.before
    assert "pia-main.localhost" in terminal.before
    assert PASSWORD not in terminal.before
    assert_unknown_to_all(laptop, PASSWORD, WRONG)
    again = at_terminal(laptop, "terminate", "pia", "--yes")
    assert steps.end_of(again) == 0, again.before  # over the line that stands: nothing is asked


def test_three_wrong_passwords_are_an_error(laptop: Laptop, host: Host) -> None:
    terminal = connecting(laptop, "pia")
    for _ in range(3):
        terminal.expect("pia@login's password: ")
        terminal.sendline(WRONG)
    assert steps.end_of(terminal) == 5
    assert "did not accept the password" in terminal.before
    assert_nothing_begun(laptop, host, "pia")


def test_where_the_users_own_configuration_forbids_questions_no_answer_is_said_to_be_wrong(laptop: Laptop) -> None:
    steps.add_to_config(laptop, "Host pia\n  BatchMode yes\n")
    terminal = connecting(laptop, "pia")
    assert steps.end_of(terminal) == 5
    assert "rejected every authentication method" in terminal.before
    assert "BatchMode" in terminal.before
    steps.wait_until_nothing_runs(laptop)


def test_a_keys_passphrase_is_asked(laptop: Laptop) -> None:
    terminal = connecting(laptop, "kim")
    terminal.expect(r"Enter passphrase for key '\S+kim_ed25519': ")
    assert not terminal.getecho()
    terminal.sendline(PASSPHRASE)
    assert steps.end_of(terminal) == 0, terminal.before
    assert PASSPHRASE not in terminal.before
    assert_unknown_to_all(laptop, PASSPHRASE)
    steps.terminate(laptop, "kim")


def test_a_password_and_a_code_are_asked_in_turn(laptop: Laptop, host: Host) -> None:
    terminal = connecting(laptop, "hal")
    terminal.expect("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect(HAL_CODE)
    assert not terminal.getecho()
    code = steps.next_code(host, "hal")
    terminal.sendline(code)
    assert steps.end_of(terminal) == 0, terminal.before
    assert code not in terminal.before
    assert_unknown_to_all(laptop, PASSWORD, code)
    steps.terminate(laptop, "hal")


def test_a_time_based_code_is_asked_after_a_host_key(stranger: Laptop, host: Host) -> None:
    terminal = connecting(stranger, "otto")
    terminal.expect(YES_NO)
    terminal.sendline("yes")
    terminal.expect("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect(r"One-time password \(OATH\) for `otto': ")
    terminal.sendline(steps.time_code(host, "otto"))
    assert steps.end_of(terminal) == 0, terminal.before
    steps.terminate(stranger, "otto")


def test_no_clock_runs_while_a_user_types(laptop: Laptop, host: Host) -> None:
    terminal = connecting(laptop, "hal", "--timeout", "8")
    terminal.expect("Password: ")
    assert steps.is_left_in_peace(terminal, 5)
    for letter in PASSWORD:
        terminal.send(letter)
    terminal.sendline()
    terminal.expect(HAL_CODE)
    assert steps.is_left_in_peace(terminal, 5)
    terminal.sendline(steps.next_code(host, "hal"))
    assert steps.end_of(terminal) == 0, terminal.before
    steps.terminate(laptop, "hal")


# Ctrl-C ---------------------------------------------------------------------------------------------------


def at_host_key(laptop: Laptop) -> pexpect.spawn:
    (laptop.home / ".ssh/known_hosts").unlink()
    terminal = connecting(laptop, "hal")
    terminal.expect(YES_NO)
    return terminal


def at_password(laptop: Laptop) -> pexpect.spawn:
    terminal = connecting(laptop, "hal")
    terminal.expect("Password: ")
    return terminal


def at_code(laptop: Laptop) -> pexpect.spawn:
    terminal = at_password(laptop)
    terminal.sendline(PASSWORD)
    terminal.expect(HAL_CODE)
    return terminal


def at_passphrase(laptop: Laptop) -> pexpect.spawn:
    terminal = connecting(laptop, "kim")
    terminal.expect("Enter passphrase")
    return terminal


QUESTIONS = {"a host key": at_host_key, "a password": at_password, "a code": at_code, "a passphrase": at_passphrase}


@pytest.mark.parametrize("question", QUESTIONS)
def test_control_c_cancels_at_the_question_for(question: str, laptop: Laptop, host: Host) -> None:
    terminal = QUESTIONS[question](laptop)
    terminal.send("half an ans")
    terminal.sendcontrol("c")
    terminal.expect(pexpect.EOF)
    assert terminal.getecho()
    terminal.close()
    assert terminal.exitstatus == 130
    assert "Traceback" not in terminal.before
    if question != "a host key":
        assert "half an ans" not in terminal.before
    assert_nothing_begun(laptop, host, "hal")


def test_the_end_of_the_terminal_cancels(laptop: Laptop, host: Host) -> None:
    for _ in range(5):  # each time another of several things comes first
        terminal = at_password(laptop)
        terminal.close(force=True)
        assert_nothing_begun(laptop, host, "hal")


# nobody there ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("user", "slug"), [("pia", "cannot-ask"), ("hal", "cannot-ask"), ("kim", "cannot-ask")])
def test_without_a_terminal_a_secret_is_an_error_at_once(user: str, slug: str, laptop: Laptop, host: Host) -> None:
    code, error = steps.refused(laptop, "connect", user)
    assert (code, error["code"]) == (5, slug)
    assert f"`{user}`" in error["message"]
    assert f"farlab connect {user}" in error["hint"]
    assert_nothing_begun(laptop, host, user)


def test_without_a_terminal_an_unknown_host_key_is_an_error_at_once(stranger: Laptop, host: Host) -> None:
    for verb in (("connect", "alice"), ("list", "--host", "alice"), ("logs", "alice"), ("terminate", "alice")):
        code, error = steps.refused(stranger, *verb)
        assert (code, error["code"]) == (5, "host-key-unknown"), verb
        assert "farlab connect alice" in error["hint"]
    assert (
        not (stranger.home / ".ssh/known_hosts").exists()
        or "login" not in (stranger.home / ".ssh/known_hosts").read_text()
    )
    assert_nothing_begun(stranger, host, "alice")


def test_a_question_whose_keeper_has_ended_says_by_what_once_it_is_answered(laptop: Laptop, host: Host) -> None:
    terminal = connecting(laptop, "pia")
    terminal.expect("pia@login's password: ")
    steps.done(laptop, "disconnect", "pia")
    wait_for("the keeper's end", lambda: not steps.keepers(laptop), timeout=steps.PATIENCE)
    terminal.sendline(PASSWORD)
    assert steps.end_of(terminal) == 130, terminal.before
    assert "`farlab disconnect pia` disconnected it while this command was waiting" in terminal.before
    assert_nothing_begun(laptop, host, "pia")


# one-shot errands -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session_of_pia(bed: Bed) -> Iterator[Laptop]:
    """A session of pia's that other laptops do not know."""
    laptop = bed.add_laptop()
    terminal = connecting(laptop, "pia")
    terminal.expect("password: ")
    terminal.sendline(PASSWORD)
    assert steps.end_of(terminal) == 0, terminal.before
    yield laptop
    steps.terminate(laptop, "pia")
    bed.remove(laptop)


@pytest.mark.parametrize("words", [("list", "--host", "pia"), ("logs", "pia")])
def test_an_errand_asks_too(words: tuple[str, ...], laptop: Laptop, session_of_pia: Laptop) -> None:
    terminal = at_terminal(laptop, *words)
    terminal.expect("pia@login's password: ")
    assert not terminal.getecho()
    terminal.sendline(PASSWORD)
    assert steps.end_of(terminal) == 0, terminal.before
    assert {"list": "main", "logs": "Jupyter Server"}[words[0]] in terminal.before
    assert PASSWORD not in terminal.before
    steps.wait_until_nothing_runs(laptop)


@pytest.mark.parametrize("words", [("list", "--host", "pia"), ("logs", "pia"), ("terminate", "pia")])
def test_control_c_cancels_an_errand(words: tuple[str, ...], laptop: Laptop, session_of_pia: Laptop) -> None:
    terminal = at_terminal(laptop, *words)
    terminal.expect("pia@login's password: ")
    terminal.sendcontrol("c")
    terminal.expect(pexpect.EOF)
    assert terminal.getecho()
    terminal.close()
    assert terminal.exitstatus == 130, terminal.before
    assert "Traceback" not in terminal.before
    steps.wait_until_nothing_runs(laptop)


PROBE = "from farlab import paths; paths.tidy_runtime_directory()"
ASK = """import json, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.connect(sys.argv[1])
sock.sendall(json.dumps({"op": "ask", "prompt": "The first question: ", "kind": "secret"}).encode() + b"\\n")
print(json.loads(sock.recv(1000)))
"""


def test_whoever_only_looks_whether_an_errand_listens_asks_its_user_nothing(laptop: Laptop) -> None:
    stub_ssh.write(laptop, "hear(); wait()")
    terminal = at_terminal(laptop, "list", "--host", "alice")
    [sock] = wait_for("the errand", lambda: list(runtime(laptop).glob("errand-*.sock")))
    age(sock)
    python = laptop.farlab_argv()[0]
    assert laptop.run(python, "-c", PROBE).code == 0
    asking = laptop.popen(python, "-c", ASK, str(sock), stdout=subprocess.PIPE)
    terminal.expect("The first question: ", timeout=20)
    terminal.sendline("an answer")
    assert asking.communicate(timeout=20)[0] == b"{'answer': 'an answer'}\n"
    terminal.sendcontrol("c")
    assert steps.end_of(terminal) == 130
    steps.wait_until_nothing_runs(laptop)


def test_a_laptop_that_never_connected_terminates_after_asking(laptop: Laptop, new_laptop: Any, host: Host) -> None:
    first = connecting(laptop, "hal")
    first.expect("Password: ")
    first.sendline(PASSWORD)
    first.expect(HAL_CODE)
    first.sendline(steps.next_code(host, "hal"))
    assert steps.end_of(first) == 0, first.before
    other = new_laptop()
    terminal = at_terminal(other, "terminate", "hal", "--yes")
    terminal.expect("Password: ")
    terminal.sendline(PASSWORD)
    terminal.expect(HAL_CODE)
    terminal.sendline(steps.next_code(host, "hal"))
    assert steps.end_of(terminal) == 0, terminal.before
    wait_for("the end of the session", lambda: not host.processes("hal"))
    wait_for("the first laptop's keeper hears of it", lambda: told_ended(laptop), timeout=30)
    steps.done(laptop, "disconnect", "hal")


def told_ended(laptop: Laptop) -> bool:
    return bool(json.loads(laptop.farlab("status", "hal", "--json").out)["state"] == "ended")


def assert_unknown_to_all(laptop: Laptop, *secrets: str) -> None:
    """No process of the laptop has a secret in argv or environment, and no file there holds one."""
    for process in laptop.processes():
        words = " ".join(process.argv)
        try:
            words += Path(f"/proc/{process.pid}/environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        assert not [secret for secret in secrets if secret in words], process
    for top in (laptop.home, laptop.runtime, laptop.tmp):
        for path in top.rglob("*"):
            if path.is_file():
                assert not [secret for secret in secrets if secret.encode() in path.read_bytes()], path
