"""The notebook server as its parent sees it: started in the person's own shell, watched, ended. Python 3.6.

    starting ──up──▶ up ──▶ ended      how it ended: `ending`, a dict like an error's (code, message, detail, hint)
        └──────────────────▶ ended

The server is not tied to us by any pipe: if the anchor dies, it goes on, and the next anchor adopts it.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

from farlab.host import directories, processes
from farlab.host.http import fetch
from farlab.host.socket_guard import SocketGuard

SHELL_TIMEOUT = 20.0
"""Seconds the login shell may take to come to our command."""
START_TIMEOUT = 90.0
"""Seconds from there to the first HTTP answer."""
INSTALL_TIMEOUT = 660.0
"""Seconds an installation may take; the launcher gives up before that."""
PULSE = 5.0
"""Seconds between two questions whether it still answers, and for each answer."""
LOG_LIMIT = 8 << 20
TERM_PATIENCE = 5.0
"""Seconds a server that was asked to shut down, or got a SIGTERM, may take."""
HUNG_PATIENCE = 3.0
"""The same for the first sign of having heard, and for all the rest where there was none."""
SETUP = "FARLAB_SETUP_"
"""What the variables begin with in which the person's `--setup` lines are handed to their shell."""
REFUSALS = (301, 302, 303, 307, 308, 401, 403)
"""Answers to a question without token that it answers with one: to a log-in page at most."""
LOST = 1 << 16
"""Stands for the exit status of an adopted server, which only its parent could see."""
_NO_TERMINAL = (": Inappropriate ioctl for device", ": no job control in this shell")
"""What an interactive shell says about having no terminal, which it shall not have."""


class Server(object):
    """`on_change()` is called when `state` or `stage` changes. `spec` is the agent's, `token` ours."""

    def __init__(self, loop, spec, token, on_change):
        self.state, self.stage = "starting", "waiting for your login shell"
        self.ending = {}  # how it ended
        self.answers = True  # whether it did when it was asked last
        self._felt = 0.0
        self.process = {}  # pid and start
        self.told = {}  # what the launcher said of itself: python, server, app, directory, environment
        self._loop, self._spec, self._token, self._on_change = loop, spec, token, on_change
        self._upkeep = SocketGuard(spec["runtime"])
        self._memory_kills = memory_kills()
        self._log = os.path.join(spec["directory"], "log")
        self._place = {}
        self._child = self._watching = None
        self._interactive = True
        self._deadline = 0.0
        self._asking = self._stopping = self._is_hosts = self._is_setting_up = False

    # start -----------------------------------------------------------------------------------------------

    def start(self):
        shell = login_shell(self._spec["env"])
        lines = {SETUP + str(number): line for number, line in enumerate(self._spec["wish"].get("setup") or ())}
        steps = [step("setup"), *('eval "$%s"' % name for name in lines)] if lines else []
        steps.append("exec " + step("launch"))
        words = ["-" + os.path.basename(shell)] + (["-i"] if self._interactive else []) + ["-c", " && ".join(steps)]
        env = self._environment(lines)
        log = os.open(self._log, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        try:
            self._child = subprocess.Popen(
                words, executable=shell, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=os.path.expanduser("~"), start_new_session=True,
                preexec_fn=lambda: os.umask(self._spec["umask"]),  # ours is for what is ours
            )  # fmt: skip
        except OSError as error:
            self.fail("shell-failed", "cannot start your login shell `%s`" % shell, str(error))
            return
        finally:
            os.close(log)
        self.process = {"pid": self._child.pid, "start": processes.start_time(self._child.pid)}
        self._deadline = time.monotonic() + SHELL_TIMEOUT
        self._on_change()
        self._watch_in(0.02)

    def _environment(self, lines):
        """The login shell's: the agent's, and what is to be run in it."""
        runtime = self._spec["runtime"]
        env = dict(self._spec["env"], JUPYTER_RUNTIME_DIR=runtime)
        env.update((key, os.environ[key]) for key in ("TMUX", "TMUX_PANE", "TERM") if key in os.environ)
        env.setdefault("TMUX", "none,0,0")  # rc files that `exec tmux` unless they are in one must not
        env.update(FARLAB_LAUNCH_PYTHON=plain(sys.executable), FARLAB_LAUNCH_RUNTIME=plain(runtime))
        # others can read a command line; and an old Python in a C locale would raise
        env.update((name, line.encode("utf-8", "surrogateescape")) for name, line in lines.items())
        return env

    def adopt(self, record):
        """Take over a server whose anchor was lost."""
        self.process, self.told = record["server"], record.get("told") or {}
        if not self.told.get("base_url"):  # it was not up yet: nobody has seen whom it lets in
            processes.end_process(self.process)
            self.told = {}
            self.start()
            return
        self._enter("up", "")
        self._watch_in(1.0)

    # what the launcher says on its way

    def setting_up(self):
        """The login shell has come to the person's `--setup` lines."""
        self._is_setting_up = True
        self._step("running your setup lines")

    def in_shell(self, pid, home):
        """The launcher runs, and looks for a Python."""
        self.process = {"pid": pid, "start": processes.start_time(pid)}
        self.told["home"] = home
        self._step("looking for Jupyter")

    def installing(self):
        """The launcher installs what `--keep-output` wants, with a deadline of its own."""
        self._step("installing the extensions for --keep-output", INSTALL_TIMEOUT)

    def in_python(self, **told):
        """The launcher has become the chosen Python, and is to be the server: app, server, python, directory."""
        wish = self._spec["wish"]
        self.told.update(told, keep_output=bool(wish.get("keep_output")), which_kernels=wish.get("kernels"))
        self._step("starting " + told["server"])

    def _step(self, stage, timeout=START_TIMEOUT):
        self._deadline = time.monotonic() + timeout
        self._enter("starting", stage)

    def serving(self, **place):
        """The server is about to listen: under which `base_url`, and the `doorkeeper` that a `setting` names."""
        self._place = place

    def open_kernel(self, name):
        """A kernel of this kind runs, and others on the host could read it."""
        self.told["open_kernels"] = sorted(set(self.told.get("open_kernels") or ()) | {name})
        self._on_change()

    def fail(self, code, message, detail=None, hint=None):
        """The server cannot be had, or has ended: say why."""
        if self.state != "ended":
            detail = directories.tail(self._log) if detail is None else detail
            detail = "\n".join(line for line in detail.splitlines() if not line.endswith(_NO_TERMINAL))
            self.ending = {"code": code, "message": message, "detail": detail, "hint": hint}
            self._kill(signal.SIGKILL)
            self._enter("ended", "")

    def _enter(self, state, stage):
        self.state, self.stage = state, stage
        self._on_change()

    # watch -----------------------------------------------------------------------------------------------

    def _watch_in(self, seconds):
        if self._watching is not None:
            self._watching.cancel()
        self._watching = self._loop.call_later(seconds, self._watch)

    def _watch(self):
        if self.state == "ended":
            return
        self._watch_in(1.0)  # whatever goes wrong below
        self._shorten_log()
        status = self._exit_status()
        if status is not None:
            self._ended(status)
        elif self.state == "starting":
            self._watch_start()
            self._watch_in(0.02)
        else:
            if self._stopping:
                self._watch_in(0.02)
            self._upkeep.look()
            self._feel_pulse()

    def _feel_pulse(self):
        """Ask a server that is up, now and then, whether it still answers."""
        now = time.monotonic()
        if not self._asking and not self._stopping and now - self._felt > PULSE:
            self._asking, self._felt = True, now
            self._memory_kills = memory_kills()
            self.ask("GET", "api", self._pulse, timeout=PULSE)

    def _pulse(self, status, body):
        self._asking = False
        answers, self.answers = self.answers, status is not None
        if answers != self.answers and self.state == "up":
            self._on_change()

    def _exit_status(self):
        """None while it lives."""
        if self._child is not None:
            return self._child.poll()
        return None if processes.is_same(self.process, unknown=True) else LOST

    def _watch_start(self):
        if time.monotonic() > self._deadline:
            if self._is_setting_up and not self.told:
                self.fail("shell-stuck", "the `--setup` lines did not end within %d s" % START_TIMEOUT, hint="setup")
            elif not self.told:
                message = "your login shell did not finish start-up within %d s" % SHELL_TIMEOUT
                self.fail("shell-stuck", message)
            else:
                self.fail("server-failed", "the server did not answer within %d s" % START_TIMEOUT)
        elif not self._asking and self._place and os.path.exists(self.socket_path):
            self._asking = True
            self._ask_status(self._token, self._let_us_in)

    def _ask_status(self, token, done):
        target = self._place["base_url"] + "api/status"
        fetch(self._loop, self.socket_path, "GET", target, token, done, START_TIMEOUT)

    def _let_us_in(self, status, body):
        """What the server says to its token. It is up once it also refuses whoever has none."""
        if status == 200:
            self._ask_status(None, self._refused_others)
        elif status is None:  # it does not listen yet
            self._asking = False
        elif status in (400, 404):
            message = "the server answers %d below its own `c.ServerApp.base_url`, `%s`"
            self.fail("server-failed", message % (status, self._place["base_url"]), "", "login")
        else:
            message = "the server rejects farlab's token (HTTP status %d): %s"
            self.fail("server-failed", message % (status, self._doorkeeper()), "", "login")

    def _refused_others(self, status, body):
        self._asking = False
        if status is None:
            return
        if status not in REFUSALS:
            message = "the server does not require the token: %s"
            self.fail("server-failed", message % self._doorkeeper(), "", "login")
        elif self.state == "starting":
            self.told["base_url"] = self._place["base_url"]
            self._enter("up", "")

    def _doorkeeper(self):
        return "`c.%(setting)s` is `%(doorkeeper)s`" % self._place

    def _ended(self, status):
        if self._is_hosts:
            why = "the host ended the session (signal SIGTERM), as at a shutdown or at your logout"
            self.fail("ended", why)
        elif self._stopping:
            self.fail("terminated", "the session was terminated", detail="")
        elif self.state == "starting" and self._is_setting_up and not self.told:
            self.fail("shell-failed", "a `--setup` line failed (%s)" % how(status), hint="setup")
        elif self.state == "starting" and not self.told:
            if self._interactive:  # an rc file for terminals ended it: once more without one
                self._interactive = False
                self.start()
                return
            self.fail("shell-failed", "your login shell ended during start-up (%s)" % how(status))
        elif self.state == "starting":
            why = how(status) + self._for_want_of_memory(status)
            self.fail("server-failed", "the server ended during start-up (%s)" % why)
        else:
            self.fail("ended", "the server ended (%s)" % (how(status) + self._for_want_of_memory(status)))

    def _for_want_of_memory(self, status):
        """What there is to say about memory where the server was killed, or may have been."""
        before, now = self._memory_kills, memory_kills()
        count = 0 if None in (before, now) else now - before
        if count < 1 or status not in (-signal.SIGKILL, LOST):
            return ""
        return "; the host ran out of memory at that time and killed %d process%s" % (count, "es" if count > 1 else "")

    def _shorten_log(self):
        try:
            if os.stat(self._log).st_size > LOG_LIMIT:
                kept = directories.tail(self._log, LOG_LIMIT // 8).encode()
                with open(self._log, "r+b") as file:  # the server appends: it goes on behind what is kept
                    file.write(kept)
                    file.truncate()
        except OSError:
            pass

    # talk ------------------------------------------------------------------------------------------------

    @property
    def socket_path(self):
        return self._upkeep.way("server.sock")

    def ask(self, method, path, done, timeout=3.0):
        """One request to the server's API; `done(status, body)`, `(None, b"")` where it does not answer."""
        base = self.told.get("base_url", "/")
        fetch(self._loop, self.socket_path, method, base + path, self._token, done, timeout)

    # end -------------------------------------------------------------------------------------------------

    def stop(self, is_hosts=False):
        """Ask it to shut down, then signals; `state` becomes "ended". `is_hosts`: the host's wish, not its person's."""
        self._is_hosts = self._is_hosts or is_hosts  # a logout ends tmux too, which then says SIGHUP
        if self._stopping or self.state == "ended":
            return
        self._stopping = True
        self._watch_in(0.05)
        if self.state == "up" and self.answers:
            self.ask("POST", "api/shutdown", self._told_to_stop, timeout=HUNG_PATIENCE)
        else:
            self._terminate(HUNG_PATIENCE)

    def _told_to_stop(self, status, body):
        if status is None:
            self._terminate(HUNG_PATIENCE)
        else:
            self._loop.call_later(TERM_PATIENCE, self._terminate, TERM_PATIENCE)

    def _terminate(self, patience):
        # an interactive shell does not hear SIGTERM
        self._kill(signal.SIGTERM if self.told else signal.SIGKILL)
        self._loop.call_later(patience, self._kill, signal.SIGKILL)

    def _kill(self, number):
        if processes.is_same(self.process):
            processes.signal_group(self.process["pid"], number)


def step(name):
    """The shell's words for a step of the launcher. Every login shell reads them alike: the paths, whatever they are,
    stand in variables, and sh takes them from there."""
    python, runtime = ('"$(printf %%b "$FARLAB_LAUNCH_%s")"' % each for each in ("PYTHON", "RUNTIME"))
    words = 'r=%s; exec %s -I -S "$r/farlab-anchor" farlab.host.login_shell %s "$r"' % (runtime, python, name)
    return "/bin/sh -c '%s'" % words


def plain(path):
    """A path in letters that no shell changes, as printf(1) has them: fish writes others anew by its locale."""
    plains = b"/._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(chr(each) if each in plains else "\\0%03o" % each for each in os.fsencode(path))


def login_shell(env):
    """The person's login shell: what the account says, else `$SHELL`, else sh."""
    import pwd

    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        shell = ""
    for each in (shell, env.get("SHELL", "")):
        if each.startswith("/") and os.access(each, os.X_OK):
            return each
    return "/bin/sh"


def memory_kills():
    """How many processes the kernel has killed for want of memory, in whichever cgroup; None where nobody can tell."""
    with suppress(OSError, ValueError), open("/proc/vmstat") as file:
        for line in file:
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return None


def how(status):
    """An exit status in words; `LOST` where the server was another's child."""
    if status == LOST:
        return "exit status unknown"
    if status >= 0:
        return "exit status %d" % status
    try:
        return "signal %s" % signal.Signals(-status).name
    except ValueError:
        return "signal %d" % -status
