"""`farlab-askpass` run as `ssh` runs it: what it tells to whom, what it prints, when it ends, where it lies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from askpass_user import CANCEL, User, ask, environment, meeting, write_program
from farlab.model import QuestionKind
from farlab.transport.ssh import askpass
from local_sshd import NOT_ROOT

needs_root = pytest.mark.skipif(bool(NOT_ROOT), reason=NOT_ROOT)


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Callable[..., User]]:
    with meeting(tmp_path) as one:
        yield one


@pytest.fixture
def program(tmp_path: Path) -> str:
    return write_program(tmp_path)


@pytest.mark.parametrize("answer", ["", "secret", "pässwörd ☂", "a b  c ", "'\"$(id)`\\", "x" * 1023])
def test_an_answer_is_printed_as_it_is(meet: Callable[..., User], program: str, answer: str) -> None:
    ran = ask(program, meet(answer))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, answer.encode() + b"\n", b"")


@pytest.mark.parametrize(
    "answer",
    [CANCEL, {"answer": None}, {"answer": 7}, {}, {"cancel": True, "answer": None}, "x" * 1024, False],
    ids=["cancel", "null", "number", "empty", "both", "too-long", "hangs-up"],
)
def test_without_an_answer_nothing_is_printed(meet: Callable[..., User], program: str, answer: object) -> None:
    ran = ask(program, meet(answer))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("Yes", 0), ("", 1), ("no", 1), ("y", 1)])
def test_a_confirmation_needs_the_word_yes(meet: Callable[..., User], program: str, answer: str, status: int) -> None:
    user = meet(answer)
    ran = ask(program, user, "Allow use of key id?", SSH_ASKPASS_PROMPT="confirm")
    assert ran.returncode == status
    assert user.questions[0]["kind"] == "yes-no"


def test_a_notice_stays_until_ssh_ends_it(meet: Callable[..., User], program: str) -> None:
    user = meet(None)
    settings = environment(user, program, SSH_ASKPASS_PROMPT="none")
    notice = subprocess.Popen([program, "Confirm user presence for key"], env=settings, stdout=subprocess.DEVNULL)
    assert user.asked.wait(20)
    assert notice.poll() is None
    assert user.questions[0]["kind"] == "notice"
    notice.send_signal(signal.SIGTERM)
    assert notice.wait(10) == 0
    assert user.left.wait(5)


def test_a_prompt_of_several_lines_and_odd_bytes_arrives(meet: Callable[..., User], program: str) -> None:
    user = meet("1")
    settings = environment(user, program)
    prompt = "(duane@login) Duo\n 1. Push\n\nPasscode or option (1-2): é".encode() + b"\xff"
    assert subprocess.run([program.encode(), prompt], env=settings, capture_output=True, timeout=30).returncode == 0
    assert user.questions[0]["prompt"] == prompt.decode("utf-8", "replace")


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o620, 0o601])
def test_a_socket_that_others_can_open_is_told_nothing(meet: Callable[..., User], program: str, mode: int) -> None:
    user = meet("secret")
    user.path.chmod(mode)
    ran = ask(program, user)
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"not a private socket of ours" in ran.stderr
    assert not user.bytes_seen


@needs_root
def test_a_socket_of_somebody_else_is_told_nothing(meet: Callable[..., User], program: str) -> None:
    user = meet("secret")
    os.chown(user.path, 65534, 65534)
    assert ask(program, user).returncode == 1
    assert not user.bytes_seen


@needs_root
def test_a_socket_of_ours_where_somebody_else_listens_is_told_nothing(program: str, tmp_path: Path) -> None:
    path = tmp_path / "ask"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o600)
        os.seteuid(65534)
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        ran = ask(program, path)
        assert ran.returncode == 1
        assert b"another user listens" in ran.stderr


def test_what_is_no_socket_is_told_nothing(meet: Callable[..., User], program: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    link = tmp_path / "link"
    link.symlink_to(meet("secret").path)
    for path in (file, link, tmp_path / "missing", tmp_path):
        assert ask(program, path).returncode == 1


def test_the_written_program_is_private_and_ours_alone(program: str) -> None:
    assert Path(program).stat().st_mode & 0o777 == 0o700
    assert askpass.write_program(str(Path(program).parent)) == program
    assert os.listdir(Path(program).parent) == ["farlab-askpass"]


def test_the_written_program_starts_a_python_wherever_it_lies(
    meet: Callable[..., User], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / 'it\'s "mine" $(id) `id` \\ é'
    place.mkdir()
    (place / "python").symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    ran = ask(askpass.write_program(str(place)), meet("secret"))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"secret\n", b"")


@needs_root
def test_a_place_where_nothing_may_run_is_refused(tmp_path: Path) -> None:
    code = f"from farlab.transport.ssh import askpass; askpass.write_program({str(tmp_path)!r})"
    script = 'mount -t tmpfs -o noexec none "$1" && exec "$2" -c "$3"'
    words = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert "PermissionError" in ran.stderr
    assert "noexec" in ran.stderr


def test_the_installed_program_is_found_beside_the_one_that_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "farlab-askpass"
    installed.touch(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path / "elsewhere"))
    assert askpass.find_program() == str(installed)
    installed.chmod(0o600)
    assert askpass.find_program() is None


def test_a_program_in_the_current_directory_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "farlab-askpass").touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert askpass.find_program() != str(tmp_path / "farlab-askpass")


def test_askpass_loads_little() -> None:
    code = "import sys, farlab.transport.ssh.askpass; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert not {"click", "rich", "asyncio", "subprocess", "dataclasses", "inspect", "farlab.model"} & set(
        said.stdout.split()
    )


def test_the_environment_speaks_to_old_and_new_clients() -> None:
    made = askpass.environment({"PATH": "/bin", "SSH_ASKPASS": "/usr/bin/other"}, "/s", "/p")
    assert made["SSH_ASKPASS"] == "/p"
    assert made["SSH_ASKPASS_REQUIRE"] == "force"
    assert "DISPLAY" not in made, "programs that ssh runs choose by it"
    assert askpass.environment({}, "/s", "/p", needs_display=True)["DISPLAY"]
    assert made["PATH"] == "/bin"
    assert askpass.environment({"DISPLAY": ":1"}, "/s", "/p")["DISPLAY"] == ":1"


@pytest.mark.parametrize(
    ("prompt", "hint", "kind"),
    [
        ("ada@gpu1's password: ", "", QuestionKind.SECRET),
        ("Enter passphrase for key '/home/ada/.ssh/id_ed25519': ", "", QuestionKind.SECRET),
        ("(otto@login) One-time password (OATH) for `otto': ", "", QuestionKind.SECRET),
        ("Enter PIN for ED25519-SK key /home/ada/.ssh/id_sk: ", "", QuestionKind.SECRET),
        ("…\nAre you sure you want to continue connecting (yes/no/[fingerprint])? ", "", QuestionKind.YES_NO),
        ("…\nAre you sure you want to continue connecting (yes/no)? ", "", QuestionKind.YES_NO),
        ("Please type 'yes', 'no' or the fingerprint: ", "", QuestionKind.YES_NO),
        ("Please type 'yes' or 'no': ", "", QuestionKind.YES_NO),
        ("Accept updated hostkeys? (yes/no): ", "", QuestionKind.YES_NO),
        ("Add key /home/ada/.ssh/id (ada@laptop) to agent?", "confirm", QuestionKind.YES_NO),
        ("Add key /home/ada/.ssh/id (ada@laptop) to agent?", "", QuestionKind.YES_NO),
        ("Confirm user presence for key ED25519-SK SHA256:x", "none", QuestionKind.NOTICE),
        ("", "", QuestionKind.SECRET),
    ],
)
def test_a_question_is_known_by_its_words(prompt: str, hint: str, kind: QuestionKind) -> None:
    assert askpass.classify(prompt, hint) == kind
