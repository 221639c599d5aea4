"""Takes part in a Jupyter that was started through itself: a wrapper, a shim, whatever is no script of a Python's.

What starts it is a configuration file of ours, which is read after the user's own: that the server reads it is the one
thing that every way of starting Jupyter has in common. Python 3.6; runs in the server.
"""

import os
import sys

from farlab.host import login_terminal, shell_command
from farlab.host.anchor_client import tell
from farlab.host.failure import Failure
from farlab.host.jupyter_options import VARIABLE, config_place, options
from farlab.host.jupyter_versions import OLDEST, PACKAGES, TITLES
from farlab.host.run_jupyter import RATE_LIMITS, announce, hide_ours, import_kernels, import_ours, install
from farlab.protocol.launcher import Fail, InShell, Wish

CONFIG = (
    "import sys\n"
    "if 'farlab hook' not in sys.modules:\n"
    "    sys.modules['farlab hook'] = sys\n"
    "    before, sys.argv = sys.argv, %r\n"
    "    try:\n"
    "        with open(sys.argv[0], encoding='utf-8') as file:\n"
    "            exec(compile(file.read(), sys.argv[0], 'exec'), {'__name__': 'farlab'})\n"
    "    finally:\n"
    "        sys.argv = before\n"
)
"""Read once by each app of the server's."""
WHOLE = (
    "import os\n"
    "from jupyter_server.serverapp import ServerApp\n"
    "from traitlets.config.loader import JSONFileConfigLoader\n"
    "app, name = ServerApp.instance(), 'jupyter_server_config'\n"
    "for place in reversed(app.config_file_paths):\n"
    "    try:\n"
    "        load_subconfig(name + '.py', place)\n"
    "        if os.path.isfile(os.path.join(place, name + '.json')):\n"
    "            c.merge(JSONFileConfigLoader(name + '.json', place).load_config())\n"
    "    except Exception:\n"
    "        app.log.error('Exception while loading config file in %s', place, exc_info=True)\n"
)
"""The user's own configuration as the server reads it where no file is named (JupyterApp.load_config_file)."""


def become(argv: "list[str]", runtime: str, app: str, title: str, directory: str, is_wanted: bool) -> None:
    """Become the server by way of `argv`, which will run `main` below.

    Wrappers may clear the environment (containers do) or drop options: each of the two leads to our configuration.
    """
    prepare(runtime, app, title, directory, is_wanted)
    os.environ[VARIABLE] = os.pathsep.join(filter(None, (config_place(runtime), os.environ.get(VARIABLE))))
    os.execv(argv[0], [*argv, *options(runtime), *RATE_LIMITS])


def prepare(runtime: str, app: str, title: str, directory: str, is_wanted: bool) -> None:
    """Write the configuration. `title`: "" where nobody has asked for it, since a shell is to start the server."""
    place = config_place(runtime)
    os.makedirs(place, 0o700, exist_ok=True)
    words = [os.path.join(runtime, "farlab-anchor"), "farlab.host.jupyter_hook", runtime, app, title, directory]
    hook = CONFIG % [os.fsdecode(os.fsencode(word)) for word in words]
    if is_wanted:
        hook += "c.ServerApp.root_dir = %r\n" % words[-1]
    for name, text in (("jupyter_server_config.py", hook), ("whole.py", WHOLE + hook)):
        file = os.open(os.path.join(place, name), os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with open(file, "w", encoding="utf-8") as config:
            config.write(text)


def main(runtime: str, app: str, title: str, directory: str) -> None:
    """In the server, while it reads its configuration; what goes wrong ends it."""
    try:
        take_part(runtime, app, title, directory)
    except Failure as failure:
        tell(runtime, Fail(op="fail", **vars(failure.info)))
        os._exit(1)
    except BaseException as error:
        tell(runtime, Fail(op="fail", code="server-failed", message="cannot take part in the server: %r" % error))
        os._exit(1)


def refuse_old(title: str) -> None:
    """A wrapper tells the version of its app, not of the server."""
    from jupyter_server import __version__
    from jupyter_server.serverapp import ServerApp

    if not hasattr(ServerApp, "sock"):
        message = "%s runs on Jupyter Server %s; farlab needs %d.%d or later"
        raise Failure("no-jupyter", message % (title, __version__, *OLDEST), detail="", hint="old")


def take_part(runtime: str, app: str, title: str, directory: str) -> None:
    refuse_old(title or TITLES[app])
    if not title:
        login_terminal.leave(os.path.join(runtime, "log.path"))
        shell_command.forget_ours()
        tell(runtime, InShell(op="in_shell", pid=os.getpid(), home=os.path.realpath(os.path.expanduser("~"))))
        title = ("%s %s" % (TITLES[app], getattr(sys.modules.get(PACKAGES[app]), "__version__", ""))).strip()
    known = [each for each in os.environ.pop(VARIABLE, "").split(os.pathsep) if each not in ("", config_place(runtime))]
    if known:
        os.environ[VARIABLE] = os.pathsep.join(known)
    os.environ["JUPYTER_RUNTIME_DIR"] = runtime  # where the environment was cleared
    if tell(runtime, Wish(op="wish")).wish.keep_output:
        message = "`--keep-output` needs a Jupyter that a Python's own script starts, and `%s` is none"
        raise Failure("no-keep-output", message % (sys.argv[0] or title))
    ours, our_kernels = import_ours(), import_kernels()
    hide_ours(runtime)
    install(runtime, directory, announce(runtime, app, title, directory), ours, our_kernels)
