"""The terminal of the user's login shell: what it shows goes into the log, and our line is typed where it waits.

Start-up files ask whether there is a terminal, and may leave the user in another shell than the account's. So the
shell gets a terminal as by hand, and where it does not come to our command by itself, a line is typed, as a user would:
whatever shell is the last one runs it. The server does not need the terminal: it is closed when that begins.
"""

import os
import re
import signal
import time
from contextlib import suppress

MYPY = False
if MYPY:
    from farlab.host.reactor import Reactor
    from farlab.host.server_log import ServerLog

QUIET, PATIENCE = 0.4, 3.0
"""Seconds without a word after which a shell is believed to wait for a line: where its terminal has shown something,
and where it has not, and between two tries. Half as long again where the shell has a command of ours already."""
MAX_SHOWN = 1 << 20
"""Bytes that are logged."""
LINES = "/bin/sh %s/launch", "sh %s/launch"
"""The second is for a restricted shell, which lets nobody name a program's directory."""
ANSWERS = ((b"\x1b[c", b"\x1b[?1;2c"), (b"\x1b[0c", b"\x1b[?1;2c"), (b"\x1b[6n", b"\x1b[1;1R"))
"""What a terminal answers to a program that asks what it is, and where the cursor is: some shells wait for it."""
_SAFE = re.compile(r"[A-Za-z0-9/_.@%+=:,-]+")
_CONTROL = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_=>])|[\r\x00\x07]")


class LoginTerminal(object):
    """A terminal whose other end, `slave`, is for the shell. Raises OSError or ImportError where there can be none."""

    def __init__(self, loop: "Reactor", log: "ServerLog") -> None:
        import fcntl
        import struct
        import termios

        self._loop, self._log = loop, log
        self._master, self.slave = os.openpty()
        self.name = os.ttyname(self.slave)
        os.set_blocking(self._master, False)
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._lines = []  # type: list[str]
        self._has_command = self._has_typed = False
        self._shells_group = 0
        self._typed, self._shown, self._last = 0, 0, 0.0
        loop.add_reader(self._master, self._drain)

    def begin(self, lines: "list[str]", has_command: bool) -> None:
        """The shell has been started. `lines`: what to type, the last two by turns; it may have a command, too."""
        os.close(self.slave)
        self._lines, self._has_command, self._last = lines, has_command, time.monotonic()

    def is_waiting(self) -> bool:
        """Whether the shell seems to wait for a line, and not for a secret."""
        is_back = self._has_typed and os.tcgetpgrp(self._master) == self._shells_group  # what was typed has ended
        patience = PATIENCE if (self._has_typed and not is_back) or not self._shown else QUIET
        is_quiet = time.monotonic() - self._last > patience * (1.5 if self._has_command else 1)
        return is_quiet and bool(self._lines) and not self._asks_for_secret()

    def _asks_for_secret(self) -> bool:
        """Whether a line is read that is not shown: a password, which a shell's own editor never looks like."""
        import termios

        flags = termios.tcgetattr(self._master)[3]
        return bool(flags & termios.ICANON) and not flags & termios.ECHO

    def type(self) -> None:
        """Type the next line; where some had no effect, what ends the input of a program that reads all of it."""
        self._typed += 1
        if self._typed % 4 == 0 and self._has_typed:
            self._write(b"\x04")
            return
        line = self._lines.pop(0)
        self._shells_group = self._shells_group or os.tcgetpgrp(self._master)
        if len(self._lines) < len(LINES):
            self._lines.append(line)
            self._has_typed = True
        self._write(b" %s\r" % line.encode("utf-8", "surrogateescape"))

    def _write(self, text: bytes) -> None:
        self._last = time.monotonic()
        with suppress(OSError):
            os.write(self._master, text)

    def close(self) -> None:
        """End what still uses it: killed, a shell writes no history."""
        if self._master >= 0:
            with suppress(OSError):
                group = os.tcgetpgrp(self._master)
                if group > 1:
                    os.killpg(group, signal.SIGKILL)
            self._forget()

    def _forget(self) -> None:
        self._loop.remove_reader(self._master)
        os.close(self._master)
        self._master, self._lines = -1, []

    def _drain(self) -> None:
        try:
            shown = os.read(self._master, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            shown = b""
        if not shown:  # nobody has it open any more
            self._forget()
            return
        self._last = time.monotonic()
        for question, answer in ANSWERS:
            if question in shown:
                os.write(self._master, answer)
        if self._shown < MAX_SHOWN:
            self._log.write(_CONTROL.sub(b"", shown))
        self._shown += len(shown)


def typed(runtime: str, directory: "str | None", setup: "list[str]", last: "tuple[str, ...]") -> "list[str]":
    """What a user would type: into the directory, what makes Jupyter available, and what starts it: one of two lines.

    Nothing where a path would have to be quoted: each shell does that in its own way.
    """
    if not _SAFE.fullmatch(runtime):
        return []
    enter = (
        ["cd '%s'" % directory] if directory and directory.isprintable() and not set(directory) & set("'!\\") else []
    )
    return [*enter, *setup, *last]


def take(slave: int) -> None:
    """Become the shell's process that the terminal controls. Between fork and exec."""
    import fcntl
    import termios

    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def leave(named: str) -> None:
    """Go on without the terminal, if there is one, as what it cannot signal; print into the log: a file names it."""
    terminal, is_controlling = _terminal()
    if terminal is None:
        return
    import fcntl
    import termios

    with open(named, "rb") as file:
        out = os.open(file.read(), os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    if os.getsid(0) != os.getpid():
        if os.fork():
            _hold_shell(terminal)
        os.setsid()
    elif is_controlling:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which giving up one's terminal brings
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
        signal.signal(signal.SIGHUP, before or signal.SIG_DFL)
    for each in {terminal, out, null} - {0, 1, 2}:
        os.close(each)


def _terminal() -> "tuple[int | None, bool]":
    """The terminal, and whether it controls us: not where a start-up file began another session (setsid(1))."""
    try:
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY), True
    except OSError:
        return next((os.dup(each) for each in (0, 1, 2) if os.isatty(each)), None), False


def _hold_shell(terminal: int) -> None:
    """Keep the shell waiting until its terminal is closed: it might keep our line in its history."""
    import select

    hangup = select.poll()
    hangup.register(terminal, 0)
    hangup.poll()
    if os.getsid(os.getppid()) == os.getsid(0):  # a shell that the terminal does not control has got no SIGHUP
        os.kill(os.getppid(), signal.SIGKILL)
    os._exit(0)
