"""What `ssh` and login shells print that explains nothing. Pure: everything else is passed on.

Rule: noise is taken out, known sentences are not let in: a text that nobody foresaw is shown.
"""

from __future__ import annotations

import re

from ..sanitize import clean

LONGEST_LINE = 2000
"""Characters: addresses at which one signs in are long."""
_NOISE = re.compile(
    r"Warning: Permanently added |Pseudo-terminal will not be |Warning: No xauth data|X11 forwarding request failed"
    r"|\*\* (?:WARNING: connection is not using|This session may be vuln|The server may need to be upg)"
    r"|Authenticated to \S+ \(|Authenticated using |Transferred: sent |Bytes per second: sent |debug[1-3]: "
    r"|OpenSSH_\S+.*, (?:Open|Libre)SSL |OpenSSH_\S+, without OpenSSL"
    r"|load pubkey \"|Host key fingerprint is |\+[-\[][^|]*-\+$|\|.{17}\|$"
    r"|ControlSocket .* already exists, disabling multiplexing|.* line \d+: (?:Unsupported|Deprecated) option "
    r"|(?:\S*sh: )?(?:line \d+: )?warning: setlocale: |\S*sh: cannot set terminal process group "
    r"|\S*sh: no job control in this shell|stdin: is not a tty$|mesg: ttyname failed|stty: |tput: (?:No value|unknown)"
    r"|TERM environment variable not set",
    re.IGNORECASE,
)
"""Whole lines, from their beginning: OpenSSH 7 to 10, bash, coreutils."""
_FOLLOWS = re.compile(
    r"Connection (?:closed|reset) by |Connection to \S+ (?:closed|port \d+ timed out)|lost connection|\s"
    r"|(?:kex|ssh)_exchange_identification: |banner exchange: Connection to UNKNOWN|\S+: terminating, \d+ bad"
    r"|Host key verification failed|\[?[Pp]rocess exited|exit status \d+"
)
"""Lines that tell of an end whose cause stands before them."""
_OVERWRITTEN = re.compile(r"^[^\n]*\r(?=[^\r\n])", re.MULTILINE)
"""The part of a line that a lone carriage return goes back over: progress."""
_FRAMED = re.compile(r"([*#=~|-])\1+ .* \1\1+$")
"""A line of a banner."""


def telling(text: str) -> list[str]:
    """The lines of what a program printed as they stand in the end, washed, each bounded, without noise."""
    printed = clean(_OVERWRITTEN.sub("", text))
    lines = (line[:LONGEST_LINE] for line in printed.splitlines() if line.strip())
    return [line for line in lines if not _NOISE.match(line)]


def last_cause(text: str) -> str:
    """The last line that may say why, on one line of ours; "" where there is none."""
    causes = [line for line in telling(text) if not (_FOLLOWS.match(line) or _FRAMED.match(line))]
    return causes[-1].strip().replace("`", "'") if causes else ""


def last_line(text: str) -> str:
    """The same, or the last line of all; "" where nothing was said."""
    return last_cause(text) or "".join(telling(text)[-1:]).strip().replace("`", "'")
