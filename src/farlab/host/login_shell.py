"""What the user's login shell runs for the anchor: it finds the Python that has Jupyter and becomes it. Python 3.6.

Runs in the anchor's own Python, with the environment that the login shell has made. All comes from the anchor's socket,
so that no token is in any command line, environment, file or log.
"""

import os
import sys

from farlab.host import environments, jupyter_hook, kernel_specs, login_terminal
from farlab.host.anchor_client import tell
from farlab.host.environments import enter_directory, in_home
from farlab.host.failure import Failure
from farlab.host.shell_command import forget_ours
from farlab.protocol.launcher import Fail, InShell, SettingUp


def main(step: str, runtime: str) -> None:
    """`step` is "setup" (only say that the user's own lines are next) or "launch"."""
    try:
        if step == "setup":
            tell(runtime, SettingUp(op="setting_up"))
        else:
            launch(runtime)
    except Failure as failure:
        tell(runtime, Fail(op="fail", **vars(failure.info)))
        sys.exit(1)


def launch(runtime: str) -> None:
    """Become the server's Python, which `run_jupyter` goes on in."""
    login_terminal.leave(os.path.join(runtime, "log.path"))
    forget_ours()
    os.environ["JUPYTER_RUNTIME_DIR"] = runtime  # whatever an rc file says: the token is written there
    home = os.path.realpath(os.path.expanduser("~"))
    options = tell(runtime, InShell(op="in_shell", pid=os.getpid(), home=home)).wish
    enter_directory(options.directory)
    directory = os.getcwd()
    os.chdir("/")  # no Python of that directory's choice
    wanted = directory if options.directory else None
    try:
        environment, app, title = environments.choose(os.environ, options.environment or None, options.app, wanted)
    except Failure:
        # a name of the shell's own may lead to one: that will be typed
        jupyter_hook.prepare(runtime, options.app or "lab", "", directory, bool(options.directory))
        raise
    if environment.kernel:
        kernel_specs.add(runtime, environment.kernel)
    os.environ.update(environment.variables)
    chosen = environment.name or environment.python if environment.is_own_choice else ""
    if environment.python:
        words = [runtime, app, title, chosen]
        program = os.path.join(runtime, "farlab-anchor")
        os.execv(environment.python, [environment.python, program, "farlab.host.run_jupyter", *words])
    os.chdir(in_home("~"))
    if environment.wrapper:
        jupyter_hook.become(environment.wrapper.argv, runtime, app, title, directory, bool(options.directory))
