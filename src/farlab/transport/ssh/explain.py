"""What `ssh` printed → the error that it means, with a hint to type. Pure: text in, a value out.

Rules: the table below is read from the top and the first pattern that is found wins; patterns stand for whole lines
of ssh, so that a banner or an rc file that talks of "permission denied" is not taken for one. Exit status 255 is
`ssh` itself, any other that of the host's shell (ssh(1), EXIT STATUS), whose texts are in `SHELL`.

The texts were provoked with OpenSSH 9.2 or are known from other versions: `tests/cases/ssh/`, each with its version.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Mapping

from ...errors import FarlabError, Internal, LinkLost, NoPython, ShellFailed, Unreachable
from ...sanitize import clean
from ..bootstrap import NO_PYTHON, OLD_PYTHON
from .rules import MULTILINE, SHELL, SSH, Rule

_LONGEST_TEXT = 65536
_LONGEST_LINE = 400
_LONGEST_WHY = 200
_LINES = 20
_SSH_ITSELF = 255

_PROXY_ENDED = re.compile(
    r"^(?:kex_exchange_identification|ssh_exchange_identification): .*\n+"
    r"Connection (?:closed|reset) by UNKNOWN port 65535|^Connection timed out during banner exchange\n+"
    r"Connection to UNKNOWN port 65535 timed out|^stdio forwarding failed",
    MULTILINE,
)
_FORWARD_FAILED = re.compile(r"^channel \d+: open failed: (.*)$", MULTILINE)
_OWN_WORDS = re.compile(
    r"ssh: |ssh_askpass|farlab-askpass: |kex_|ssh_exchange|ssh_dispatch|banner |Connection |Disconnected |Received disc"
    r"|Host key |host key |No \S+ host key|The \S+ host key|\S+ host key for|Bad server host key|@@@|@ .*@$"
    r"|IT IS POSSIBLE|Someone could|It is also possible|This could mean|impersonate|The fingerprint for"
    r"|SHA256:|MD5:|Please contact your|Add correct|Offending | +remove with| +ssh-keygen"
    r"|Permissions 0|It is required that|This private key|Load key |no such identity|sign_and_send|Permission denied"
    r"|\S+: Permission denied|Unable to negotiate|channel \d|stdio forw|mux|Control|client_loop|Timeout, |packet_write"
    r"|.* line \d+:? |.*: terminating, |Bad |Can't open user|Your (?:account|password) |WARNING: Your|Password change"
    r"|You are required to|PTY alloc|exec request|shell request|No user exists|Too many|hostname contains|Access denied"
    r"|This account|System is|.*(?:No space left|quota exceeded|not found|No such file)",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"Warning: Permanently added|Pseudo-terminal will not|\*\* |Warning: No xauth|X11 forwarding|\+[-\[|]"
)

SAFE = {
    "file": re.compile(r"(?!.*\.\.)/[A-Za-z0-9@.,:/+_-]*/\.ssh/[A-Za-z0-9@.,:/+_-]{1,200}"),
    "known_hosts": re.compile(r"(?!.*\.\.)/[A-Za-z0-9@.,:/+_-]*known_hosts[A-Za-z0-9._-]*"),
    "place": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}|\[[A-Za-z0-9][A-Za-z0-9._:-]{0,200}\](?::[0-9]{1,5})?"),
    "offer": re.compile(r"[A-Za-z0-9][A-Za-z0-9@.-]{0,99}"),
}
"""What a group may be in a hint, which is typed: any banner can look like words of `ssh`. Nothing here means anything
to a shell, but for brackets, which the hints quote; no file is meant but those of `ssh` itself."""
_MOST_SHOWN = 200


def explain(stderr: str, exit_status: int | None, *, host: str, may_ask: bool) -> FarlabError:
    """The error that an `ssh` to `host` ended with.

    `stderr` is what it printed there, and better also what came on its standard output before our marker, since
    a login that is refused by its shell (nologin) says so on standard output. `exit_status` as `subprocess` gives
    it: negative for a signal, None where it is not known. `may_ask`: whether somebody could be asked.
    """
    text = _plain(stderr)
    if exit_status is not None and 0 <= exit_status < _SSH_ITSELF:
        return explain_shell(text, exit_status, host)
    found = _through_proxy(text, host, may_ask) or _by(SSH, text, host, may_ask)
    return found or _unknown(text, exit_status, host)


def explain_bootstrap(exit_status: int | None, output: str, host: str) -> FarlabError | None:
    """The error that the bootstrap's own exit status means, or None if it is not one of those."""
    if exit_status not in (NO_PYTHON, OLD_PYTHON):
        return None
    what = "no Python" if exit_status == NO_PYTHON else "only a Python older than 3.6"
    hint = (
        "`{ssh HOST 'command -v python3'}` shows what a login finds there; "
        "a line like `module load python` at the top of `~/.bashrc` there can bring one"
    )
    return NoPython(f"`{host}` has {what} that farlab could use", detail=_detail(_plain(output)), hint=hint)


def _through_proxy(text: str, host: str, may_ask: bool) -> FarlabError | None:
    """What went wrong on the way, if there was a way: a jump host or a `ProxyCommand`."""
    ended = _PROXY_ENDED.search(text)
    if not ended:
        return None
    inner = text[: ended.start()]
    detail = _detail(text)
    forward = _FORWARD_FAILED.search(inner)
    if forward and "administratively prohibited" in forward[1]:
        hint = f"ask its administrators to allow forwarding, or try `ProxyCommand ssh JUMP nc %h %p` for `{host}`"
        return Unreachable(f"cannot reach `{host}`: its jump host does not allow forwarding", detail=detail, hint=hint)
    if forward:
        hint = "the jump host looks up its name and port: `{ssh -G HOST}` shows which"
        why = forward[1].replace("`", "'")[:_LONGEST_WHY]
        return Unreachable(f"cannot reach `{host}` from its jump host: {why}", detail=detail, hint=hint)
    found = _by(SSH, inner, host, may_ask, place="the jump host")
    if found is not None:
        return type(found)(f"on the way to `{host}`: {found.message}", detail=detail, hint=found.hint)
    hint = "`{ssh -G HOST | grep -i proxy}` shows the command; does it work by hand?"
    return Unreachable(f"cannot reach `{host}`: its `ProxyCommand` ended", detail=_tail(text), hint=hint)


def _by(rules: tuple[Rule, ...], text: str, host: str, may_ask: bool, place: str = "") -> FarlabError | None:
    """The error of the first rule that holds; `place` is how the message calls the machine, if not by `host`."""
    for rule in rules:
        match = rule.pattern.search(text)
        is_met = rule.needs is None or rule.needs.search(text)
        if match and is_met and rule.may_ask in (None, may_ask):
            words = {"host": host, **{name: value or "" for name, value in match.groupdict().items()}}
            return rule.error(_message(rule, words, place), detail=_detail(text), hint=_hint(rule, words))
    return None


def _hint(rule: Rule, words: Mapping[str, str]) -> str:
    """The hint, with what was printed in it only where that is harmless to type."""
    named = [name for name in rule.pattern.groupindex if f"{{{name}}}" in rule.hint]
    is_safe = all(SAFE[name].fullmatch(words[name]) for name in named)
    return _fill(rule.hint if is_safe else rule.plain, words)


def _message(rule: Rule, words: Mapping[str, str], place: str = "") -> str:
    """The message, in which what was printed looks like no command; `place`: what is said for the host."""
    shown = {name: value.replace("`", "'")[:_MOST_SHOWN] for name, value in words.items()}
    return _fill(rule.message.replace("`{host}`", place) if place else rule.message, shown)


def _fill(template: str, words: Mapping[str, str]) -> str:
    """Put words into the `{places}` of a template; all other braces stay."""
    return re.sub(r"\{(\w+)\}", lambda place: words.get(place[1], place[0]), template)


def explain_shell(output: str, exit_status: int, host: str) -> FarlabError:
    """The error where the host was reached, and its shell ended before our command did its work."""
    text = _plain(output)
    found = explain_bootstrap(exit_status, text, host) or _by(SHELL, text, host, may_ask=True)
    if found is not None:
        return found
    hint = (
        "does `{ssh HOST true}` work, and does `{ssh HOST \"exec sh -c 'echo it works'\"}` print `it works`? "
        "a start-up file (`.bashrc`, `.zshenv` …) may end the shell"
    )
    message = f"the login shell on `{host}` ended with status {exit_status} before farlab's command"
    return ShellFailed(message, detail=_tail(text), hint=hint)


def _unknown(text: str, exit_status: int | None, host: str) -> FarlabError:
    hint = "`{ssh -v HOST}` shows every step"
    if exit_status is not None and exit_status < 0:
        return LinkLost(f"{_signal(-exit_status)} ended `ssh` to `{host}`", detail=_detail(text), hint=hint)
    return Unreachable(f"`ssh` to `{host}` ended without an error message", detail=_detail(text), hint=hint)


def no_program(program: str, why: OSError | None = None) -> FarlabError:
    """The error for an `ssh` that this machine cannot start: there is none, or no room for one more process."""
    if why is not None and why.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        hint = "end some of what runs on this machine; a running keeper tries again by itself"
        return Unreachable(f"this machine cannot start another `{program}`", detail=str(why), hint=hint)
    hint = "install the OpenSSH client (package `openssh-client` or `openssh-clients`), or put it on `PATH`"
    return Internal(f"there is no `{program}` on this machine", hint=hint)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _plain(text: str) -> str:
    """The end of it, washed, each line bounded."""
    return "\n".join(line[:_LONGEST_LINE] for line in clean(text[-_LONGEST_TEXT:]).splitlines() if line.strip())


def _detail(text: str) -> str:
    """The lines that are ssh's own; where there are none, the end of the rest."""
    own = [line for line in text.splitlines() if _OWN_WORDS.match(line) and not _NOISE.match(line)]
    return "\n".join(own[-_LINES:]) if own else _tail(text)


def _tail(text: str) -> str:
    return "\n".join([line for line in text.splitlines() if not _NOISE.match(line)][-_LINES:])
