"""`farlab-askpass` as a real program, asked by a real `ssh` of a real sshd, answered by a person in this process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from farlab.model import QuestionKind, Target
from farlab.ssh import askpass
from farlab.ssh.explain import explain
from farlab.ssh.options import link_argv, parse_resolved, query_argv
from ssh_fixtures import MISSING, NOT_ROOT, PASSWORD, Sshd, run_ssh

PASSPHRASE = "correct horse é 'quoted' \"twice\""
CANCEL: dict[str, object] = {"cancel": True}

needs_sshd = pytest.mark.skipif(bool(MISSING), reason=MISSING)
needs_root = pytest.mark.skipif(bool(MISSING or NOT_ROOT), reason=MISSING or NOT_ROOT)


class Person:
    """Listens where askpass asks, and answers with what `answer` returns for each question; None: says nothing."""

    def __init__(self, path: Path, answer: Callable[[dict[str, Any]], object]) -> None:
        self.path = path
        self.answer = answer
        self.questions: list[dict[str, Any]] = []
        self.asked = threading.Event()
        self.left = threading.Event()
        self.bytes_seen = b""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._hear(connection)

    def _hear(self, connection: socket.socket) -> None:
        line = connection.makefile("rb").readline()
        self.bytes_seen += line
        if not line:
            return
        self.questions.append(json.loads(line))
        self.asked.set()
        answer = self.answer(self.questions[-1])
        if isinstance(answer, str):
            answer = {"answer": answer}
        if isinstance(answer, dict):
            connection.sendall(json.dumps(answer).encode() + b"\n")
        elif answer is None:
            connection.settimeout(30)
            assert connection.recv(1) == b""
            self.left.set()


@pytest.fixture
def meet(tmp_path: Path) -> Iterator[Callable[..., Person]]:
    met: list[Person] = []

    def one(answer: object = None) -> Person:
        met.append(Person(tmp_path / f"ask{len(met)}", answer if callable(answer) else lambda _: answer))
        return met[-1]

    yield one
    for person in met:
        person.close()


@pytest.fixture
def program(tmp_path: Path) -> str:
    directory = tmp_path / 'it\'s "a" $(place)'
    directory.mkdir(mode=0o700)
    return askpass.write_program(str(directory))


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    with Sshd() as sshd:
        sshd.make_key("locked", PASSPHRASE)
        sshd.authorize("id", "locked")
        yield sshd


def environment(person: Person | Path, program: str, **more: str) -> dict[str, str]:
    path = person if isinstance(person, Path) else person.path
    return {**askpass.environment(os.environ, str(path), "link 7", program), **more}


def ask(
    program: str, person: Person | Path, prompt: str = "Password: ", **more: str
) -> subprocess.CompletedProcess[bytes]:
    """Run askpass as `ssh` does."""
    settings = environment(person, program, **more)
    return subprocess.run([program, prompt], env=settings, capture_output=True, timeout=30, check=False)


def connect(config: Path, environment: dict[str, str], command: str = "echo in") -> subprocess.CompletedProcess[bytes]:
    return run_ssh(argv(config, command), environment=environment)


def argv(config: Path, command: str = "echo in", *, may_ask: bool = True) -> list[str]:
    target = Target(host="far", ssh_config=str(config))
    said = subprocess.run(query_argv(target), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    return link_argv(target, command, resolved=parse_resolved(said.stdout), may_ask=may_ask)


# asked by ssh


@needs_sshd
def test_an_unknown_host_key_is_shown_and_accepted(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    person = meet("yes")
    config = sshd.write_config(name="unknown", known=False)
    ran = connect(config, environment(person, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    [question] = person.questions
    assert question["op"] == "ask"
    assert question["kind"] == "yes-no"
    assert question["link"] == "link 7"
    assert "SHA256:" in question["prompt"]
    assert "authenticity of host" in question["prompt"]
    assert (sshd.root / "known_hosts-unknown").read_text()


@needs_sshd
@pytest.mark.parametrize("answer", ["no", CANCEL], ids=["no", "cancel"])
def test_an_unknown_host_key_is_declined(sshd: Sshd, meet: Callable[..., Person], program: str, answer: object) -> None:
    person = meet(answer)
    config = sshd.write_config(name="declined", known=False)
    ran = connect(config, environment(person, program))
    assert ran.returncode == 255, ran
    assert len(person.questions) == 1
    assert explain(ran.stderr.decode(), 255, host="far", may_ask=True).slug == "host-key-unknown"
    assert not (sshd.root / "known_hosts-declined").read_text()


@needs_sshd
def test_an_answer_that_is_neither_yes_nor_no_is_asked_again(
    sshd: Sshd, meet: Callable[..., Person], program: str
) -> None:
    answers = iter(["what?", "yes"])
    person = meet(lambda _: next(answers))
    ran = connect(sshd.write_config(name="again", known=False), environment(person, program))
    assert ran.returncode == 0, ran
    assert [question["kind"] for question in person.questions] == ["yes-no", "yes-no"]


@needs_sshd
def test_a_passphrase_reaches_ssh_byte_for_byte(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    person = meet(PASSPHRASE)
    ran = connect(locked(sshd), environment(person, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    [question] = person.questions
    assert question["kind"] == "secret"
    assert "Enter passphrase for key" in question["prompt"]


@needs_sshd
def test_a_cancelled_passphrase_ends_the_login(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    person = meet(CANCEL)
    ran = connect(locked(sshd), environment(person, program))
    assert ran.returncode == 255, ran
    assert len(person.questions) == 1
    assert explain(ran.stderr.decode(), 255, host="far", may_ask=True).slug == "authentication"


@needs_sshd
def test_a_person_may_take_longer_than_any_time_limit(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    never = threading.Event()
    person = meet(lambda question: ("yes", PASSPHRASE)[never.wait(3) or question["kind"] == "secret"])
    config = locked(
        sshd, name="slow", known=False, more="ConnectTimeout 1\nServerAliveInterval 1\nServerAliveCountMax 1"
    )
    ran = connect(config, environment(person, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    assert [question["kind"] for question in person.questions] == ["yes-no", "secret"]


@needs_sshd
def test_without_anybody_nothing_is_asked(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    person = meet("yes")
    config = sshd.write_config(name="batch", known=False)
    ran = run_ssh(argv(config, may_ask=False), environment=environment(person, program))
    assert ran.returncode == 255, ran
    assert not person.questions
    assert "farlab connect far" in explain(ran.stderr.decode(), 255, host="far", may_ask=False).hint


@needs_sshd
def test_a_jump_host_cannot_ask_on_a_terminal_behind_our_back(sshd: Sshd) -> None:
    config = jumping(sshd)
    words = argv(config, may_ask=False)
    child = pexpect.spawn(words[0], words[1:], env=askpass.silent_environment(os.environ), timeout=20, encoding="utf-8")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 255
    assert "yes/no" not in child.before
    assert "Host key verification failed" in child.before


@needs_sshd
def test_a_jump_host_asks_through_us_too(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    person = meet("yes")
    ran = connect(jumping(sshd), environment(person, program))
    assert (ran.returncode, ran.stdout) == (0, b"in\n"), ran
    assert [question["kind"] for question in person.questions] == ["yes-no"]


@needs_sshd
def test_askpass_ends_with_the_ssh_that_started_it(sshd: Sshd, meet: Callable[..., Person], program: str) -> None:
    person = meet(None)
    ssh = subprocess.Popen(
        argv(locked(sshd)),
        env=environment(person, program),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert person.asked.wait(20)
    ssh.kill()
    ssh.wait(10)
    assert person.left.wait(5)


@needs_root
def test_a_password_is_asked_and_given(meet: Callable[..., Person], program: str) -> None:
    answers = iter(["wrong", PASSWORD])
    person = meet(lambda _: next(answers))
    with Sshd(server="PasswordAuthentication yes\n") as sshd:
        sshd.authorize()
        ran = connect(sshd.config, environment(person, program), "id -un")
    assert (ran.returncode, ran.stdout) == (0, b"ada\n"), ran
    assert ["ada@127.0.0.1's password" in question["prompt"] for question in person.questions] == [True, True]


@needs_root
def test_several_questions_of_several_kinds_are_asked_in_turn(meet: Callable[..., Person], program: str) -> None:
    answers = iter([PASSWORD, "wrong", PASSWORD])
    person = meet(lambda _: next(answers))
    pam = "auth required pam_unix.so nodelay\naccount required pam_permit.so\nsession required pam_permit.so\n"
    both = "AuthenticationMethods password,keyboard-interactive\nPasswordAuthentication yes\n"
    with Sshd(server=both + "KbdInteractiveAuthentication yes\n", pam=pam) as sshd:
        ran = connect(sshd.config, environment(person, program), "id -un")
    assert (ran.returncode, ran.stdout) == (0, b"ada\n"), ran
    prompts = [question["prompt"] for question in person.questions]
    assert prompts == ["ada@127.0.0.1's password: ", "(ada@127.0.0.1) Password: ", "(ada@127.0.0.1) Password: "]
    assert {question["kind"] for question in person.questions} == {"secret"}


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


# asked as ssh asks


@pytest.mark.parametrize("answer", ["", "secret", "pässwörd ☂", "a b  c ", "'\"$(id)`\\", "x" * 1023])
def test_an_answer_is_printed_as_it_is(meet: Callable[..., Person], program: str, answer: str) -> None:
    ran = ask(program, meet(answer))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, answer.encode() + b"\n", b"")


@pytest.mark.parametrize(
    "answer",
    [CANCEL, {"answer": None}, {"answer": 7}, {}, {"cancel": True, "answer": None}, "x" * 1024, False],
    ids=["cancel", "null", "number", "empty", "both", "too-long", "hangs-up"],
)
def test_without_an_answer_nothing_is_printed(meet: Callable[..., Person], program: str, answer: object) -> None:
    ran = ask(program, meet(answer))
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"Traceback" not in ran.stderr


@pytest.mark.parametrize(("answer", "status"), [("yes", 0), ("Yes", 0), ("", 1), ("no", 1), ("y", 1)])
def test_a_confirmation_needs_the_word_yes(meet: Callable[..., Person], program: str, answer: str, status: int) -> None:
    person = meet(answer)
    ran = ask(program, person, "Allow use of key id?", SSH_ASKPASS_PROMPT="confirm")
    assert ran.returncode == status
    assert person.questions[0]["kind"] == "yes-no"


def test_a_notice_stays_until_ssh_ends_it(meet: Callable[..., Person], program: str) -> None:
    person = meet(None)
    settings = environment(person, program, SSH_ASKPASS_PROMPT="none")
    notice = subprocess.Popen([program, "Confirm user presence for key"], env=settings, stdout=subprocess.DEVNULL)
    assert person.asked.wait(20)
    assert notice.poll() is None
    assert person.questions[0]["kind"] == "notice"
    notice.send_signal(signal.SIGTERM)
    assert notice.wait(10) == 0
    assert person.left.wait(5)


def test_a_prompt_of_several_lines_and_odd_bytes_arrives(meet: Callable[..., Person], program: str) -> None:
    person = meet("1")
    settings = environment(person, program)
    prompt = "(duane@login) Duo\n 1. Push\n\nPasscode or option (1-2): é".encode() + b"\xff"
    assert subprocess.run([program.encode(), prompt], env=settings, capture_output=True, timeout=30).returncode == 0
    assert person.questions[0]["prompt"] == prompt.decode("utf-8", "replace")


@pytest.mark.parametrize("mode", [0o666, 0o660, 0o620, 0o601])
def test_a_socket_that_others_can_open_is_told_nothing(meet: Callable[..., Person], program: str, mode: int) -> None:
    person = meet("secret")
    person.path.chmod(mode)
    ran = ask(program, person)
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert b"not a private socket of ours" in ran.stderr
    assert not person.bytes_seen


@needs_root
def test_a_socket_of_somebody_else_is_told_nothing(meet: Callable[..., Person], program: str) -> None:
    person = meet("secret")
    os.chown(person.path, 65534, 65534)
    assert ask(program, person).returncode == 1
    assert not person.bytes_seen


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
        assert b"somebody else listens" in ran.stderr


def test_what_is_no_socket_is_told_nothing(meet: Callable[..., Person], program: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch(0o600)
    link = tmp_path / "link"
    link.symlink_to(meet("secret").path)
    for path in (file, link, tmp_path / "missing", tmp_path):
        assert ask(program, path).returncode == 1


# the program


def test_the_written_program_is_private_and_ours_alone(program: str) -> None:
    assert Path(program).stat().st_mode & 0o777 == 0o700
    assert askpass.write_program(str(Path(program).parent)) == program
    assert os.listdir(Path(program).parent) == ["farlab-askpass"]


@needs_root
def test_a_place_where_nothing_may_run_is_refused(tmp_path: Path) -> None:
    code = f"from farlab.ssh import askpass; askpass.write_program({str(tmp_path)!r})"
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
    code = "import sys, farlab.ssh.askpass; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert not {"click", "rich", "asyncio", "subprocess", "dataclasses", "inspect", "farlab.model"} & set(
        said.stdout.split()
    )


def test_the_environment_speaks_to_old_and_new_clients() -> None:
    made = askpass.environment({"PATH": "/bin", "SSH_ASKPASS": "/usr/bin/other"}, "/s", "l", "/p")
    assert made["SSH_ASKPASS"] == "/p"
    assert made["SSH_ASKPASS_REQUIRE"] == "force"
    assert made["DISPLAY"]
    assert made["PATH"] == "/bin"
    assert askpass.environment({"DISPLAY": ":1"}, "/s", "l", "/p")["DISPLAY"] == ":1"


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
