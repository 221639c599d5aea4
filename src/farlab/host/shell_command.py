"""The command that brings the user's login shell to farlab's launcher, after the user's `--setup` lines. Python 3.6.

    sh -l -i -c 'STEP setup && eval "$FARLAB_SETUP_0" && exec STEP launch'

Rule: every login shell reads the command alike. Whatever is not ours (paths, setup lines) stands in variables.
"""

import os
import sys

TERM = "xterm-256color"
NO_HISTORY = "/dev/null"
"""Where a shell that is typed into keeps its history, unless a start-up file says otherwise."""
SETUP = "FARLAB_SETUP_"
"""Begins the names of the variables that hold the user's `--setup` lines."""


def command(shell: str, setup: "list[str]", is_interactive: bool, has_command: bool) -> "list[str]":
    """The login shell's argv. A shell takes a name that begins with a hyphen for "you are a login shell"."""
    if not has_command:
        return ["-" + os.path.basename(shell)]
    steps = [step("setup")] + ['eval "$%s%d"' % (SETUP, number) for number in range(len(setup))] if setup else []
    script = " && ".join([*steps, "exec " + step("launch")])
    return ["-" + os.path.basename(shell)] + (["-i"] if is_interactive else []) + ["-c", script]


def environment(base: "dict[str, str]", runtime: str, setup: "list[str]", terminal: str) -> "dict[str, str | bytes]":
    """The login shell's environment: `base`, which was the agent's, what `command` needs, and what a login has.

    `terminal`: the name of the shell's terminal; "" where it has none.
    """
    env = dict(base, JUPYTER_RUNTIME_DIR=runtime)  # type: dict[str, str | bytes]
    env.update((key, os.environ[key]) for key in ("TMUX", "TMUX_PANE", "TERM") if key in os.environ)
    if terminal:
        env.update(SSH_TTY=terminal, TERM=TERM, HISTFILE=NO_HISTORY)
    env.setdefault("TMUX", "none,0,0")  # start-up files that `exec tmux` unless they are in one must not
    env.update(FARLAB_LAUNCH_PYTHON=plain(sys.executable), FARLAB_LAUNCH_RUNTIME=plain(runtime))
    for number, line in enumerate(setup):  # as bytes: an old Python in a C locale would raise
        env["%s%d" % (SETUP, number)] = line.encode("utf-8", "surrogateescape")
    return env


def forget_ours() -> None:
    """Take out of the environment what is for the way to the server alone."""
    for name in ("TMUX", "TMUX_PANE", "SSH_TTY"):  # the anchor's; a terminal in Jupyter may have a tmux of its own
        os.environ.pop(name, None)
    if os.environ.get("HISTFILE") == NO_HISTORY:
        del os.environ["HISTFILE"]
    for name in [each for each in os.environ if each.startswith((SETUP, "FARLAB_LAUNCH_"))]:
        del os.environ[name]


def step(name: str) -> str:
    """The shell's words for one step of the launcher. The paths come from variables, decoded by sh."""
    python, runtime = ('"$(printf %%b "$FARLAB_LAUNCH_%s")"' % each for each in ("PYTHON", "RUNTIME"))
    script = 'r=%s; exec %s -I -S "$r/farlab-anchor" farlab.host.login_shell %s "$r"' % (runtime, python, name)
    return "/bin/sh -c '%s'" % script


def plain(path: str) -> str:
    """A path in letters that no shell changes, as printf(1) takes them: fish writes others anew by its locale."""
    plains = b"/._-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return "".join(chr(each) if each in plains else "\\0%03o" % each for each in os.fsencode(path))


def script(runtime: str) -> str:
    """The program, for sh, that a line typed into a terminal runs."""
    words = (sys.executable, "-I", "-S", runtime + "/farlab-anchor", "farlab.host.login_shell", "launch", runtime)
    return "exec " + " ".join("'%s'" % word.replace("'", "'\\''") for word in words) + "\n"


def login_shell(env: "dict[str, str]") -> str:
    """The user's login shell: as in the account, else `$SHELL`, else sh."""
    import pwd

    try:
        shell = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        shell = ""
    for each in (shell, env.get("SHELL", "")):
        if each.startswith("/") and os.access(each, os.X_OK):
            return each
    return "/bin/sh"
