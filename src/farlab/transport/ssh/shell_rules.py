"""What login shells say that end before our command. Pure data; the order matters."""

from __future__ import annotations

from ...errors import Authentication, DiskFull, HostLacks
from .rule import Rule
from .rule import rule as _rule

SHELL: tuple[Rule, ...] = (
    _rule(
        r"No space left on device|(?:Disk )?[Qq]uota exceeded",
        DiskFull,
        "the disk or your quota on `{host}` is full",
        "`{ssh HOST 'df -h ~ /tmp; quota -s'}` shows which; make room there and try again",
    ),
    _rule(
        r"^This account is (?:currently )?not available|^This service allows sftp connections only"
        r"|^This account is restricted|^Interactive (?:login|shell) (?:is )?(?:disabled|not)",
        HostLacks,
        "your account on `{host}` may not run commands",
        "ask its administrators for a login shell, or name another host",
    ),
    _rule(
        r"Password change required but no TTY|^WARNING: Your password has expired",
        Authentication,
        "your password on `{host}` has expired",
        "`{ssh HOST}` in a terminal lets you choose a new one",
    ),
    _rule(
        r"^Access denied: user \S+ .*has no active jobs",
        HostLacks,
        "`{host}` only admits users who have a job running there",
        "start a job on that node first, or connect to the login node",
    ),
    _rule(
        r"[Ff]ork: .*(?:temporarily unavailable|Cannot allocate memory)|[Cc]annot fork(?! into background)"
        r"|^No more processes",
        HostLacks,
        "`{host}` cannot start more processes for you",
        "`{ssh HOST}` may fail too: end some of your processes there, or wait",
    ),
    _rule(
        r"^(?:\S*sh: )?(?:\S+ )?(?:\d+: )?(?:exec: )?(?:sh|exec|/bin/sh): (?:command )?not found|^exec: sh: not found",
        HostLacks,
        "the login shell on `{host}` cannot find `sh`",
        "`{ssh HOST 'echo $PATH'}` shows where it looks: a start-up file there may have broken `PATH`",
    ),
)
