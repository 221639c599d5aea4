"""What `ssh` printed → the error that it means, with a hint to type. Pure: text in, a value out.

Rules: noise is taken out first (`noise.py`), the whole rest is the detail. The tables are read from the top and the
first pattern that is found wins; patterns stand for whole lines of ssh, so that a banner or an rc file that talks of
"permission denied" is not taken for one. What no table knows is told by its last line.

Whose fault it is: `ssh -G` connects to nothing, so what it says is this machine's. Of a link, exit status 255 is `ssh`
itself, any other that of the host's shell (ssh(1), EXIT STATUS), but only if a login was reported: else it was a
wrapper in place of `ssh`, or an `ssh` that does not start.

The texts were provoked with OpenSSH 9.2 or are known from other versions: `tests/cases/ssh/`, each with its version.
"""

from __future__ import annotations

import errno
import re
import signal
from collections.abc import Mapping

from ...errors import FarlabError, Internal, LinkLost, NoPython, ShellFailed, Unreachable, Usage
from ...sanitize import shortened
from .. import noise
from ..bootstrap import NO_PYTHON, OLD_PYTHON
from .local_rules import CONFIGURATION, PROGRAM, WAY
from .options import Resolved
from .rule import Rule
from .rules import SSH
from .shell_rules import SHELL

_LONGEST_TEXT = 65536
_LONGEST_WHY = 200
_LINES = 40
_SSH_ITSELF = 255
_STAGES = (NO_PYTHON, OLD_PYTHON)

_LOGGED_IN = re.compile(r"^Authenticated (?:to \S+ \(|using )", re.MULTILINE)
"""What `ssh` says at `LogLevel VERBOSE` once the host has let the user in (OpenSSH 5 to 10)."""
_PROXY_ENDED = re.compile(
    r"^(?:kex|ssh)_exchange_identification: .*\n+Connection (?:closed|reset) by UNKNOWN port 65535"
    r"|^banner exchange: Connection to UNKNOWN port 65535: (?!invalid format)"
    r"|^Connection timed out during banner exchange\n+Connection to UNKNOWN port 65535 timed out"
    r"|^stdio forwarding failed",
    re.MULTILINE,
)
_PROXY_GONE = re.compile(r"^(?:kex|ssh)_exchange_identification: .*(?:closed|reset|Broken pipe)", re.MULTILINE)
"""The same of an older `ssh`, where it is known that there is a proxy."""
_JUMP = re.compile(r"(?:[A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9._-]*(?::\d+)?")
_SSH_COMMAND = re.compile(r"\{ssh(?:-copy-id)? [^{}]*\}")
_FORWARD_FAILED = re.compile(r"^channel \d+: open failed: (.*)$", re.MULTILINE)

SAFE = {
    "file": re.compile(r"(?!.*\.\.)/[A-Za-z0-9@.,:/+_-]*/\.ssh/[A-Za-z0-9@.,:/+_-]{1,200}"),
    "known_hosts": re.compile(r"(?!.*\.\.)/[A-Za-z0-9@.,:/+_-]*known_hosts[A-Za-z0-9._-]*"),
    "place": re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,200}|\[[A-Za-z0-9][A-Za-z0-9._:-]{0,200}\](?::[0-9]{1,5})?"),
    "offer": re.compile(r"[A-Za-z0-9][A-Za-z0-9@.-]{0,99}"),
}
"""What a group may be in a hint, which is typed: any banner can look like words of `ssh`. Nothing here means anything
to a shell, but for brackets, which the hints quote; no file is meant but those of `ssh` itself."""
_MOST_SHOWN = 200
_SILENCE = Unreachable("")
"""What is not known to have reached any host."""
_SILENCE.is_unanswered = True


def explain(
    stderr: str,
    exit_status: int | None,
    *,
    host: str,
    may_ask: bool,
    resolved: Resolved | None = None,
    is_logged_in: bool = True,
) -> FarlabError:
    """The error that an `ssh` to `host` ended with.

    `stderr` is what it printed there, and better also what came on its standard output before our marker, since
    a login that is refused by its shell (nologin) says so on standard output. `exit_status` as `subprocess` gives
    it: negative for a signal, None where it is not known. `may_ask`: whether somebody could be asked.
    `is_logged_in`: whether the host had let the user in, as far as it is known.
    """
    text = _plain(stderr)
    found = _by(PROGRAM, text, host, may_ask)
    if found is None and exit_status is not None and 0 <= exit_status < _SSH_ITSELF:
        if is_logged_in or exit_status in _STAGES:
            return explain_shell(text, exit_status, host)
        shell = _by(SHELL, text, host, may_ask)  # a wrapper may keep `ssh` from telling of the login
        return shell or _ended_here(Unreachable, f"`ssh` to `{host}`", text, exit_status)
    found = found or _by(CONFIGURATION, text, host, may_ask) or _through_proxy(text, host, resolved, may_ask)
    return found or _by(SSH, text, host, may_ask) or _unknown(text, exit_status, host)


def has_logged_in(stderr: str) -> bool:
    """Whether `ssh` reports that the host has let the user in."""
    return _LOGGED_IN.search(stderr) is not None


def explain_query(stderr: str, exit_status: int, host: str) -> FarlabError:
    """The error that an `ssh -G` ended with: whatever it is, it is this machine's."""
    text = _plain(stderr)
    found = _by((*PROGRAM, *CONFIGURATION), text, host, may_ask=False)
    if found is None and exit_status == _SSH_ITSELF:
        hint = "`{ssh -G HOST}` shows the same, and connects to nothing: the cause is on this machine"
        message = f"`ssh` does not accept its configuration for `{host}`{_told(text, of_any=True)}"
        return Usage(message, detail=_detail(text), hint=hint)
    return found or _ended_here(Internal, "`ssh -G`", text, exit_status)


def _ended_here(kind: type[FarlabError], what: str, text: str, exit_status: int) -> FarlabError:
    """The error for an `ssh` that ended before it had to do with any host: a wrapper, or one that does not start."""
    how = f"status {exit_status}" if exit_status >= 0 else _signal(-exit_status)
    message = f"{what} ended on this machine with {how}, before any login{_told(text, of_any=True)}"
    hint = "`{ssh -G HOST}` shows whether it works by hand, `command -v ssh` which program it is"
    return kind(message, detail=_detail(text), hint=hint)


def explain_bootstrap(exit_status: int | None, output: str, host: str) -> FarlabError | None:
    """The error that the bootstrap's own exit status means, or None if it is not one of those."""
    if exit_status not in _STAGES:
        return None
    what = "no Python" if exit_status == NO_PYTHON else "only a Python older than 3.6, or without parts of its library,"
    hint = (
        "`{ssh HOST 'command -v python3'}` shows what a login finds there; "
        "a line like `module load python` at the top of `~/.bashrc` there can bring one"
    )
    return NoPython(f"`{host}` has {what} that farlab could use", detail=_detail(_plain(output)), hint=hint)


def _through_proxy(text: str, host: str, resolved: Resolved | None, may_ask: bool) -> FarlabError | None:
    """What went wrong on the way, if there was a way: a jump host or a `ProxyCommand`."""
    is_known = resolved is not None and (resolved.proxy_jump or resolved.proxy_command) is not None
    ended = _PROXY_ENDED.search(text) or (_PROXY_GONE.search(text) if is_known else None)
    if not ended:
        return None
    inner, detail = text[: ended.start()], _detail(text)
    jump = (resolved and resolved.proxy_jump) or ""
    forward = _FORWARD_FAILED.search(inner)
    if forward and "administratively prohibited" in forward[1]:
        hint = f"ask its administrators to allow forwarding, or try `ProxyCommand ssh JUMP nc %h %p` for `{host}`"
        return Unreachable(f"cannot reach `{host}`: its jump host does not allow forwarding", detail=detail, hint=hint)
    if forward:
        hint = "the jump host looks up its name and port: `{ssh -G HOST}` shows which"
        why = forward[1].replace("`", "'")[:_LONGEST_WHY]
        return Unreachable(f"cannot reach `{host}` from its jump host: {why}", detail=detail, hint=hint)
    found = None if jump else _by(WAY, inner, host, may_ask)
    if found is not None:
        return _again(found, found.message, detail, found.hint)
    found = _by(SSH, inner, host, may_ask, place="the jump host")
    if found is not None:
        return _again(found, f"on the way to `{host}`: {found.message}", detail, _of_jump(found.hint, jump))
    if jump:
        message = f"cannot reach `{host}`: the `ssh` to its jump host ended{_told(inner)}"
        return _again(_SILENCE, message, detail, _of_jump("does `{ssh HOST true}` work?", jump))
    hint = "`{ssh -G HOST | grep -i proxy}` shows the command; does it work by hand?"
    return _again(_SILENCE, f"cannot reach `{host}`: its `ProxyCommand` ended{_told(inner)}", detail, hint)


def _again(error: FarlabError, message: str, detail: str, hint: str) -> FarlabError:
    """The same error in other words."""
    other = type(error)(message, detail=detail, hint=hint)
    other.is_unanswered = error.is_unanswered
    return other


def _of_jump(hint: str, jump: str) -> str:
    """A hint whose commands for `ssh` are about the jump host, if there is one and its name is harmless."""
    if not _JUMP.fullmatch(jump):
        return hint
    name = f"ssh://{jump}" if ":" in jump else jump
    return _SSH_COMMAND.sub(lambda found: found[0].replace("HOST", name), hint)


def _by(rules: tuple[Rule, ...], text: str, host: str, may_ask: bool, place: str = "") -> FarlabError | None:
    """The error of the first rule that holds; `place` is how the message calls the machine, if not by `host`."""
    for rule in rules:
        match = rule.pattern.search(text)
        is_met = rule.needs is None or rule.needs.search(text)
        if match and is_met and rule.may_ask in (None, may_ask):
            words = {
                "host": host,
                "told": _told(text),
                **{name: value or "" for name, value in match.groupdict().items()},
            }
            error = rule.error(_message(rule, words, place), detail=_detail(text), hint=_hint(rule, words))
            error.is_unanswered = rule.is_unanswered
            return error
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
    return ShellFailed(message, detail=_detail(text), hint=hint)


def _unknown(text: str, exit_status: int | None, host: str) -> FarlabError:
    hint = "`{ssh -v HOST}` shows every step"
    if exit_status is not None and exit_status < 0:
        return LinkLost(f"{_signal(-exit_status)} ended `ssh` to `{host}`", detail=_detail(text), hint=hint)
    why = _told(text) or " without an error message" + _told(text, of_any=True)
    return Unreachable(f"`ssh` to `{host}` ended{why}", detail=_detail(text), hint=hint)


def _told(text: str, *, of_any: bool = False) -> str:
    """`: ` and the last line that says why, or the last `of_any`; "" where there is none."""
    line = noise.last_line(text) if of_any else noise.last_cause(text)
    return f": {shortened(line, _LONGEST_WHY)}" if line else ""


def no_program(program: str, why: OSError | None = None, *, is_there: bool = False) -> FarlabError:
    """The error for an `ssh` that this machine cannot start: there is none, or no room for one more process."""
    if why is not None and why.errno in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        hint = "end some of what runs on this machine; a running keeper tries again by itself"
        return Unreachable(f"this machine cannot start another `{program}`", detail=str(why), hint=hint)
    if is_there and why is not None:
        hint = "`{ssh -G HOST}` says the same; a script's first line names the program that runs it"
        return Internal(f"`{why.filename}` on this machine cannot be started", detail=str(why.strerror), hint=hint)
    hint = "install the OpenSSH client (package `openssh-client` or `openssh-clients`), or put it on `PATH`"
    return Internal(f"there is no `{program}` on this machine", hint=hint)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def plain_end(text: str) -> str:
    """The last lines of it, without noise."""
    return _detail(_plain(text))


def _plain(text: str) -> str:
    """The end of it, without noise."""
    return "\n".join(noise.telling(text[-_LONGEST_TEXT:]))


def _detail(text: str) -> str:
    return "\n".join(text.splitlines()[-_LINES:])
