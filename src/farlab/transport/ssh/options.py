"""Argument lists for the user's own `ssh`, and what `ssh -G` says about a host. Pure: text in, values out.

Rules: ours come first on the command line, since for each option the first value wins (ssh_config(5)); what
the user set about reaching the host (keys, jump hosts, time limits, host key checking) is never overridden.

`IgnoreUnknown` is deliberately not used for the options that old clients lack: as its first value wins too, ours
would cancel the `IgnoreUnknown UseKeychain` that many configuration files need (seen with OpenSSH 9.2: "Bad
configuration option: usekeychain"). So farlab passes such an option only to an `ssh` whose `-G` output names it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ...errors import Internal, Usage
from ...model import Target
from ...sanitize import clean_line

CONNECT_TIMEOUT = 15
"""Seconds for TCP and the key exchange; authentication, and so a user, is not timed (seen with OpenSSH 9.2)."""
PROXY_TIMEOUT = 30
"""The same behind a proxy, whose own logins are in it; only where nobody is asked anything."""
ALIVE_INTERVAL = 15
"""Seconds of silence after which `ssh` asks the other side for a sign of life."""
ALIVE_COUNT_MAX = 6
"""So a dead `ssh` ends after 90 to 105 s. Generous on purpose: the keeper's own heartbeat notices much earlier, and
an `ssh` that lives through an outage saves a user with a second factor the next code."""

_OURS = (
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    "ControlMaster=no",
)
ASKS_WITHOUT_DISPLAY = frozenset({"pubkeyacceptedalgorithms", "sessiontype"})
"""Keywords of `-G` (8.5, 8.7) that show that this `ssh` knows `SSH_ASKPASS_REQUIRE` (8.4)."""
_LATER = {  # option of ours → the keywords of `-G` that show that this `ssh` knows it
    "RemoteCommand=none": frozenset({"remotecommand", "sessiontype"}),  # 7.6; `-G` names it only where it is set
    "SessionType=default": frozenset({"sessiontype"}),  # 8.7, as are the next two
    "StdinNull=no": frozenset({"stdinnull"}),
    "ForkAfterAuthentication=no": frozenset({"forkafterauthentication"}),
}
_BANNED_IN_HOST = frozenset("'`\"$\\;&<>|(){}")  # as OpenSSH 9.6 itself, ssh.c valid_hostname()
_BANNED_IN_USER = frozenset("'`\"$;&<>|(){}")  # a backslash may stand in DOMAIN\user
_URI = "ssh://"
_LONGEST_HOST = 300
_READS = re.compile(r"^debug1: Reading configuration data (/.+?)\r?$", re.MULTILINE)
_USUAL_COUNT_MAX = 3  # ssh's own default, ssh_config(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """What `ssh -G HOST` says that farlab acts on. None: not set, or set to `none`."""

    hostname: str
    port: int
    connect_timeout: int | None = None
    """Seconds."""
    server_alive_interval: int = 0
    """Seconds; 0 is ssh's default, which is never."""
    server_alive_count_max: int = _USUAL_COUNT_MAX
    control_path: str | None = None
    """Absolute and expanded; whether a master listens there is another question."""
    proxy_jump: str | None = None
    proxy_command: str | None = None
    identity_agent: str = ""
    """As it is set: a path, `SSH_AUTH_SOCK`, `$VARIABLE`, `none`, or "" where it is not."""
    keywords: frozenset[str] = frozenset()
    """Every option this `ssh` named, in lower case: what its version knows."""
    configuration: tuple[str, ...] = ()
    """The files that it read for all this."""
    files: tuple[str, ...] = ()
    """What it read, and what a login would read: its configuration, keys, certificates, known hosts. As `ssh` names
    them: a leading `~` and `%` tokens are not expanded."""


def check_host(host: str) -> None:
    """Refuse a host that `ssh`, or anything behind it, could take for something else.

    The same characters as OpenSSH ≥ 9.6 refuses, because they reach a shell through `ProxyCommand … %h`, and what
    cannot be seen. Raises Usage.
    """
    hint = "give what you would type after `ssh`: an alias from `~/.ssh/config`, or `user@host`"
    shown = "".join(ch if ch.isprintable() else "?" for ch in host[:80])
    if not host:
        raise Usage("no host given", hint=hint)
    meant = _meant(host)
    user, has_user, place = meant.rpartition("@")
    if has_user and not user:
        raise Usage(f"`{shown}` is not a valid host: no user before `@`", hint=hint)
    if not place or place.startswith("-") or meant.startswith("-"):
        raise Usage(f"`{shown}` is not a valid host: it begins with `-` or is empty", hint=hint)
    if len(host) > _LONGEST_HOST:
        raise Usage(f"`{shown}…` is not a valid host: longer than {_LONGEST_HOST} characters", hint=hint)
    if any(ch.isspace() or not ch.isprintable() for ch in meant) or clean_line(meant) != meant:
        raise Usage(f"`{shown}` is not a valid host: it contains a space or an invisible character", hint=hint)
    if not (_BANNED_IN_HOST.isdisjoint(place) and _BANNED_IN_USER.isdisjoint(user)) or user.endswith("\\"):
        raise Usage(f"`{shown}` is not a valid host: it contains a shell metacharacter", hint=hint)


def _meant(host: str) -> str:
    """An `ssh://` address as `ssh` takes it apart, its `%41` decoded (misc.c, parse_uri); any other host as it is."""
    if not host.startswith(_URI):
        return host
    return re.sub(
        "(?:%[0-9A-Fa-f]{2})+",
        lambda found: bytes.fromhex(found[0].replace("%", "")).decode("utf-8", "surrogateescape"),
        host.removeprefix(_URI),
    )


def parse_resolved(text: str, said: str = "") -> Resolved:
    """Read the output of `ssh -G -v`: one `keyword value` a line, unset ones absent or `none`; `said`: its stderr.

    Raises Internal when it is not such a text.
    """
    first: dict[str, str] = {}
    files = _READS.findall(said)
    for line in text.splitlines():
        keyword, _, value = line.strip().partition(" ")
        first.setdefault(keyword.lower(), value.strip())
        if keyword.lower() in ("identityfile", "certificatefile", "revokedhostkeys"):
            files.append(value.strip())
        elif keyword.lower() in ("userknownhostsfile", "globalknownhostsfile"):
            files += value.split()
    if not first.get("hostname"):
        raise Internal("cannot parse the output of `ssh -G`", detail=text[:2000])
    return Resolved(
        hostname=first["hostname"],
        port=_number(first.get("port")) or 22,
        connect_timeout=_number(first.get("connecttimeout")),
        server_alive_interval=_number(first.get("serveraliveinterval")) or 0,
        server_alive_count_max=_number(first.get("serveralivecountmax")) or _USUAL_COUNT_MAX,
        control_path=_set(first.get("controlpath")),
        proxy_jump=_set(first.get("proxyjump")),
        proxy_command=_set(first.get("proxycommand")),
        identity_agent=first.get("identityagent", ""),
        keywords=frozenset(first),
        configuration=tuple(_READS.findall(said)),
        files=tuple(dict.fromkeys(files)),
    )


def query_argv(target: Target, program: str = "ssh") -> list[str]:
    """`ssh -G`: what the user's configuration makes of this host, and from which files. Connects to nothing."""
    check_host(target.host)
    return [program, *_config(target), "-G", "-T", "-v", "--", target.host]


def link_argv(
    target: Target,
    command: str,
    *,
    resolved: Resolved,
    may_ask: bool,
    bypass_master: bool = False,
    patience: float | None = None,
    program: str = "ssh",
) -> list[str]:
    """One `ssh` that runs `command` with clean standard streams: the link.

    With `may_ask` False `ssh` never asks (`BatchMode`); with True it asks as the user's configuration says, through
    askpass. The link uses a running master of the user's (`ControlPath`) but never starts one (`ControlMaster=no`);
    with `bypass_master` it uses none. `LogLevel=VERBOSE`, whatever level the user is used to: then `ssh` tells when the
    host has let the user in ("Authenticated to"), and why it ends ("Timeout, server not responding").
    """
    check_host(target.host)
    options = [*_OURS, "RequestTTY=no", "LogLevel=VERBOSE", *_later(resolved)]
    options += _limits(resolved, patience, may_ask=may_ask)
    if not may_ask:
        options.append("BatchMode=yes")
    if bypass_master:
        options.append("ControlPath=none")
    return [program, *_config(target), "-T", *_flags(options), "--", target.host, command]


def attach_argv(
    target: Target,
    command: str,
    program: str = "ssh",
    *,
    resolved: Resolved | None = None,
) -> list[str]:
    """`ssh -t` for a user at a terminal who wants to see `command`; asks on that terminal, as always."""
    check_host(target.host)
    options = [*_OURS, *_later(resolved)]
    return [program, *_config(target), "-t", *_flags(options), "--", target.host, command]


def _limits(resolved: Resolved, patience: float | None, *, may_ask: bool) -> list[str]:
    """Our time limits where the user set none, and never shorter than somebody is ready to wait.

    Behind a proxy no `ConnectTimeout` where a user may be asked: there the clock runs until the far banner, and so
    while a jump host asks for a code (seen with OpenSSH 9.2: "Connection timed out during banner exchange").
    """
    options = []
    is_direct = resolved.proxy_jump is None and resolved.proxy_command is None
    if resolved.connect_timeout is None and (is_direct or not may_ask):
        usual = CONNECT_TIMEOUT if is_direct else PROXY_TIMEOUT
        options.append(f"ConnectTimeout={max(usual, math.floor(patience or 0))}")
    if resolved.server_alive_interval == 0:
        options.append(f"ServerAliveInterval={ALIVE_INTERVAL}")
        if resolved.server_alive_count_max == _USUAL_COUNT_MAX:
            options.append(f"ServerAliveCountMax={ALIVE_COUNT_MAX}")
    return options


def _later(resolved: Resolved | None) -> list[str]:
    """Those of the later options that this `ssh` knows; only the oldest where nobody asked it."""
    keywords = frozenset({"remotecommand"}) if resolved is None else resolved.keywords
    return [option for option, signs in _LATER.items() if signs & keywords]


def _config(target: Target) -> list[str]:
    return ["-F", target.ssh_config] if target.ssh_config else []


def _flags(options: list[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def _set(value: str | None) -> str | None:
    return None if value is None or value.lower() in ("", "none") else value


def _number(value: str | None) -> int | None:
    """A number of at most nine digits, else None (`none`, absent, nonsense)."""
    return int(value) if value and len(value) < 10 and value.isascii() and value.isdigit() else None
