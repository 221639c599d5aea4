"""Takes part in a Jupyter that was started through itself: a wrapper, a shim, whatever is no script of a Python's.

What starts it is a configuration file of ours, which is read after the user's own: that the server reads it is the one
thing that every way of starting Jupyter has in common. Python 3.6; runs in the server.
"""

import os
import sys

from farlab.host.anchor_client import tell
from farlab.host.failure import Failure
from farlab.host.run_jupyter import RATE_LIMITS, announce, hide_ours, import_kernels, import_ours, install
from farlab.protocol.launcher import Fail, Wish

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
VARIABLE = "JUPYTER_CONFIG_PATH"


def become(program: str, runtime: str, app: str, title: str, directory: str, is_wanted: bool) -> None:
    """Become the server by way of `program`, which will run `main` below."""
    place = os.path.join(runtime, "config")
    os.makedirs(place, 0o700, exist_ok=True)
    hook = [os.path.join(runtime, "farlab-anchor"), "farlab.host.jupyter_hook", runtime, app, title, directory]
    file = os.path.join(place, "jupyter_server_config.py")
    with open(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as config:
        config.write(CONFIG % [os.fsdecode(os.fsencode(word)) for word in hook])
    os.environ[VARIABLE] = os.pathsep.join(filter(None, (place, os.environ.get(VARIABLE))))
    # the socket also here: a server that does not read our file must open no port
    words = ["--no-browser", "--ServerApp.sock=" + os.path.join(runtime, "server.sock")]
    root = ["--ServerApp.root_dir=" + directory] if is_wanted else []
    os.execv(program, [program, *words, *RATE_LIMITS, *root])


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


def take_part(runtime: str, app: str, title: str, directory: str) -> None:
    known = os.environ.pop(VARIABLE, "").split(os.pathsep)
    if known[1:]:
        os.environ[VARIABLE] = os.pathsep.join(known[1:])
    if tell(runtime, Wish(op="wish")).wish.keep_output:
        message = "`--keep-output` needs a Jupyter that a Python's own script starts, and `%s` is none"
        raise Failure("no-keep-output", message % (sys.argv[0] or title))
    ours, our_kernels = import_ours(), import_kernels()
    hide_ours(runtime)
    install(runtime, directory, announce(runtime, app, title, directory), ours, our_kernels)
