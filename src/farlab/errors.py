"""Every failure that can be expected: one class each, with a slug, an exit status and a hint.

    FarlabError
    ├── Internal            1   internal           a bug of ours, or a local program that broke
    ├── PortBusy            1   port-busy          farlab cannot listen on `--port`
    ├── KeeperSilent        1   keeper-silent      the keeper is stopped or stuck
    ├── Usage               2   usage              invalid command line or configuration
    ├── NoSession           3   no-session         no such session is running
    ├── Unreachable         4   unreachable        the host does not answer, or `ssh` broke on the way
    ├── LinkLost            4   link-lost          the connection ended during a request
    ├── Authentication      5   authentication     the host refused every key, password or code
    ├── CannotAsk           5   cannot-ask         `ssh` asks a question and there is no terminal to answer on
    ├── HostKeyUnknown      5   host-key-unknown   the host key is new and was not accepted
    ├── HostKeyChanged      5   host-key-changed   the host key differs from `known_hosts`
    ├── NoPython            6   no-python          no Python ≥ 3.6 on the host
    ├── NoJupyter           6   no-jupyter         the chosen environment has no Jupyter
    ├── NoEnvironment       6   no-environment     `--env` names nothing on the host
    ├── NoKeepOutput        6   no-keep-output     the host or environment lacks what `--keep-output` needs
    ├── NoDirectory         6   no-directory       `--dir` is not a directory on the host
    ├── DiskFull            6   disk-full          a disk or quota is full, on the host or here
    ├── HostLacks           6   host-lacks         the host lacks something else
    ├── ShellFailed         7   shell-failed       the login shell or a `--setup` line ended early
    ├── ShellStuck          7   shell-stuck        the login shell or a `--setup` line did not finish
    ├── ServerFailed        7   server-failed      the server ended before it answered
    ├── NotAnswering        7   not-answering      the session is running but does not answer
    ├── Elsewhere           7   elsewhere          the session runs on another node of this host
    ├── TimedOut            9   timed-out          it took longer than `--timeout`
    └── Interrupted       130   interrupted        Ctrl-C, or `disconnect` from another terminal

A class is named after its slug. Slugs and exit statuses are a contract: additions only (8: for batch systems).
Each slug has its section in `docs/errors.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class FarlabError(Exception):
    """An expected failure.

    `message` says what was tried, on which host; `detail` holds the other program's own words, verbatim
    (control characters are removed before they are shown); `hint` says what to type next: `advice` fills its commands
    in for the session that the error is about.
    """

    slug: ClassVar[str] = "internal"
    exit_status: ClassVar[int] = 1
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, detail: str = "", hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = self.default_hint if hint is None else hint
        self.is_unanswered = False
        """Whether nothing came back from the host or the way to it: then another attempt harms nobody."""

    def rephrase(self, *, hint: str | None = None, detail: str | None = None) -> None:
        """Replace the hint or the detail: on its way up, an error learns which session it is about."""
        self.hint = self.hint if hint is None else hint
        self.detail = self.detail if detail is None else detail

    def as_json(self) -> dict[str, str]:
        """The `error` object of a `--json` document."""
        return {"code": self.slug, "message": self.message, "detail": self.detail, "hint": self.hint}


class Internal(FarlabError):
    slug = "internal"
    default_hint = "`{farlab logs HOST --keeper}` may show why"


class PortBusy(FarlabError):
    slug = "port-busy"
    default_hint = "omit `--port` to get a free one"


class KeeperSilent(FarlabError):
    slug = "keeper-silent"
    default_hint = (
        'nothing was done. `pgrep -u "$USER" -fl farlab.keeper` lists the keepers; '
        "`kill -CONT PID` resumes one that was stopped"
    )

    def __init__(self, message: str, *, detail: str = "", hint: str | None = None, pid: int | None = None) -> None:
        super().__init__(message, detail=detail, hint=hint)
        self.pid = pid
        """Of the process, where the system tells."""


class Usage(FarlabError):
    slug = "usage"
    exit_status = 2
    default_hint = "`farlab --help`"


class NoSession(FarlabError):
    slug = "no-session"
    exit_status = 3
    default_hint = "`farlab list` shows the sessions known here, `{farlab list --host HOST}` those on the host"


class Unreachable(FarlabError):
    slug = "unreachable"
    exit_status = 4
    default_hint = "`{ssh -v HOST}` shows every step"


class LinkLost(FarlabError):
    slug = "link-lost"
    exit_status = 4
    default_hint = (
        "`{farlab list --host HOST}` shows whether the session is running, `{farlab connect HOST}` reconnects"
    )


class Authentication(FarlabError):
    slug = "authentication"
    exit_status = 5
    default_hint = "`ssh-add -l` lists the keys in your agent; `{ssh -v HOST}` shows which are tried"


class CannotAsk(FarlabError):
    slug = "cannot-ask"
    exit_status = 5
    default_hint = "run `{farlab connect HOST}` in a terminal"


class HostKeyUnknown(FarlabError):
    slug = "host-key-unknown"
    exit_status = 5
    default_hint = "run `{farlab connect HOST}` in a terminal, compare the fingerprint and answer yes"


class HostKeyChanged(FarlabError):
    slug = "host-key-changed"
    exit_status = 5
    default_hint = "ask the administrators of the host before you continue"


class NoPython(FarlabError):
    slug = "no-python"
    exit_status = 6
    default_hint = "`{ssh HOST 'command -v python3'}` shows what a login finds there"


class NoJupyter(FarlabError):
    slug = "no-jupyter"
    exit_status = 6
    default_hint = (
        "choose an environment that has it with `--env`, load it with `--setup`, or install it: "
        "`{ssh HOST 'python3 -m venv lab && lab/bin/pip install jupyterlab'}`, then `{farlab connect HOST --env ./lab}`"
    )


class NoEnvironment(FarlabError):
    slug = "no-environment"
    exit_status = 6
    default_hint = (
        "`{ssh -t HOST 'bash -ic \"conda env list\"'}` lists conda environments. A virtual environment is given "
        "by its directory: `--env ./NAME` is relative to your home there"
    )


class NoKeepOutput(FarlabError):
    slug = "no-keep-output"
    exit_status = 6
    default_hint = (
        "choose an environment that has what it needs with `--env`, or omit `--keep-output`. "
        "If the host has a network, install it there: `pip install jupyter-collaboration jupyter_server_nbmodel`"
    )


class NoDirectory(FarlabError):
    slug = "no-directory"
    exit_status = 6
    default_hint = (
        "`{ssh HOST 'ls -l | grep ^d'}` lists the directories in your home there; `--dir` is relative to it "
        "unless it begins with `/`"
    )


class DiskFull(FarlabError):
    slug = "disk-full"
    exit_status = 6
    default_hint = "`{ssh HOST 'df -h ~ /tmp; quota -s'}` shows which"


class HostLacks(FarlabError):
    slug = "host-lacks"
    exit_status = 6
    default_hint = (
        "`{ssh HOST 'ls -ld ~ ~/.local ~/.local/state /tmp; df -h ~ /tmp'}` shows their owners and free space; "
        "only its owner or an administrator can change what is not yours"
    )


class ShellFailed(FarlabError):
    slug = "shell-failed"
    exit_status = 7
    default_hint = (
        "`{ssh HOST '$SHELL -lic true && echo it works'}` should print `it works`; else a start-up file there "
        "ends the shell (`.profile`, `.bashrc`, `.zshrc` …)"
    )


class ShellStuck(FarlabError):
    slug = "shell-stuck"
    exit_status = 7
    default_hint = (
        "`{ssh HOST '$SHELL -lic true'}` should end by itself; a start-up file there may be waiting for input "
        "or for a file system"
    )


class ServerFailed(FarlabError):
    slug = "server-failed"
    exit_status = 7
    default_hint = "try `jupyter lab --no-browser` after `{ssh -t HOST}`: its log should show the same problem"


class NotAnswering(FarlabError):
    slug = "not-answering"
    exit_status = 7
    default_hint = (
        "wait a little: it may recover, and its kernels keep their state; `{farlab logs HOST}` shows what it does. "
        "`{farlab terminate HOST}` ends it, and unsaved work is lost"
    )


class Elsewhere(FarlabError):
    slug = "elsewhere"
    exit_status = 7
    default_hint = (
        "connect to that node by its own name, or start another session here: `{farlab connect HOST --name OTHER}`"
    )


class TimedOut(FarlabError):
    slug = "timed-out"
    exit_status = 9
    default_hint = "try a longer `--timeout`; `{farlab status HOST}` shows how far it got"


class Interrupted(FarlabError):
    slug = "interrupted"
    exit_status = 130


class Declined(Interrupted):
    """The user answered no: what was asked about did not happen, as wished."""


def every_error() -> tuple[type[FarlabError], ...]:
    """Every expected failure, in the order of the table above."""
    return tuple(FarlabError.__subclasses__())


def from_json(error: Mapping[str, object]) -> FarlabError:
    """The error that `as_json` wrote, of the right class; an unknown code becomes `Internal`."""
    by_slug = {cls.slug: cls for cls in every_error()}
    cls = by_slug.get(str(error.get("code")), Internal)
    hint = error.get("hint")  # "" where there is nothing to type, which does not mean the default hint
    message, detail = str(error.get("message") or "failed"), str(error.get("detail") or "")
    return cls(message, detail=detail, hint=hint if isinstance(hint, str) else None)
