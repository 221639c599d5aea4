"""Starts the notebook server with private arguments. Python 3.6, standard library until Jupyter is imported.

Two steps in one process: in the anchor's Python, come here by way of the login shell, it finds the Python that has
Jupyter and becomes it; in that Python it takes the arguments from the anchor's socket, so that no token is in any
command line, environment, file or log, and calls the app's `main`.
"""

import json
import os
import socket
import sys
from contextlib import suppress

from farlab.host.failure import Failure
from farlab.protocol import peer

MODULES = {
    "lab": "jupyterlab.labapp",
    "notebook": "notebook.app",
    "nbclassic": "nbclassic.notebookapp",
    "server": "jupyter_server.serverapp",
}

ANCHOR_PATIENCE = 5.0
"""Seconds that the anchor may take to hear what the session can do without."""


def tell(runtime, patience=None, **words):
    """One question to the anchor, one answer; raises OSError where none comes within `patience` seconds."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(patience)
        sock.connect(os.path.join(runtime, "anchor.sock"))
        if not peer.is_same_user(sock):
            raise OSError("`%s` belongs to another user" % runtime)
        sock.sendall(json.dumps(words).encode() + b"\n")
        with sock.makefile("rb") as answers:
            return json.loads(answers.readline().decode())


def main(step, runtime, *words):
    """`step` is "setup" (only say so), "launch" (find the Python) or "serve" (be the server: app and its title)."""
    try:
        if step == "setup":  # the login shell has come as far as the person's own lines, which are next
            tell(runtime, op="setting_up")
        elif step == "launch":
            launch(runtime)
        else:
            serve(runtime, *words)
    except Failure as failure:
        tell(runtime, op="fail", **failure.words)
        sys.exit(1)


# the first step: which Python ----------------------------------------------------------------------------


def launch(runtime):
    from farlab.host import environments

    for name in ("TMUX", "TMUX_PANE"):  # they are the anchor's: a terminal in Jupyter may have a tmux of its own
        os.environ.pop(name, None)
    for name in [each for each in os.environ if each.startswith(("FARLAB_SETUP_", "FARLAB_LAUNCH_"))]:
        del os.environ[name]  # have been used, and are not the server's
    os.environ["JUPYTER_RUNTIME_DIR"] = runtime  # whatever an rc file says: the token is written there
    home = os.path.realpath(os.path.expanduser("~"))
    wish = tell(runtime, op="in_shell", pid=os.getpid(), home=home)["wish"]
    enter_directory(wish.get("directory"))
    os.chdir("/")  # no Python of that directory's choice
    if wish.get("environment"):
        python, app, title = environments.of_environment(wish["environment"], wish.get("app"))
    else:
        python, app, title = environments.find(wish.get("app"))
    words = [python, os.path.join(runtime, "farlab-anchor"), "farlab.host.run_jupyter", "serve", runtime, app, title]
    os.execv(python, words)


def enter_directory(directory):
    from farlab.host.environments import in_home

    try:
        os.chdir(in_home(directory or "~"))
    except OSError as error:
        message = "cannot enter `%s`: %s" % (directory or "~", error.strerror)
        raise Failure("no-directory", message) from None


# the second step: the server -----------------------------------------------------------------------------


def serve(runtime, app, title):
    umask = os.umask(0o077)  # for what is ours
    wish = tell(runtime, op="wish")["wish"]
    enter_directory(wish.get("directory"))
    directory = os.getcwd()
    os.chdir("/")
    with suppress(OSError):
        os.chdir(os.path.expanduser("~"))  # as by hand; the directory may be anybody's
    (backlog, overrides), (kernels, kernel_start) = import_ours(), import_kernels()
    keep = import_keep_output() if wish.get("keep_output") else None
    hide_ours(runtime)
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # jsonschema takes 0.7 s to build a grammar nobody needs here
    layer = prepare(keep, runtime, app) if keep else ""
    path = hide_node()
    words = tell(runtime, op="in_python", app=app, server=title, python=sys.executable,
                 directory=os.fsencode(directory).decode("utf-8", "replace"))  # fmt: skip
    main = import_main(app)
    os.environ["PATH"] = path
    del sys.modules["rfc3987_syntax"]
    sys.argv = ["jupyter-" + app, *arguments(directory if wish.get("directory") else None)]
    overrides.Overrides(runtime, words["token"], directory, lambda **said: tell(runtime, **said)).install()
    backlog.install()
    kernels.install(runtime, kernel_start, words["wish"].get("kernels") == "private", tell_open(runtime))
    if keep:
        keep.show(layer)
        sys.argv += keep.arguments(words["session"])
    os.umask(umask)
    sys.exit(main())


def import_ours():
    """What stays in the server: imported before it can no longer see our modules."""
    from farlab.host import jupyter_overrides as overrides
    from farlab.host import output_limit as backlog

    return backlog, overrides


def import_kernels():
    """With the text of what starts an ipykernel."""
    import importlib.util

    from farlab.host import kernels

    start = "farlab.host.kernel_start"
    return kernels, importlib.util.find_spec(start).loader.get_source(start)  # type: ignore[union-attr]


def tell_open(runtime):
    """The anchor hears of each kind of kernel that others on the host can read; it may be killed, or stopped."""
    return lambda name: tell(runtime, patience=ANCHOR_PATIENCE, op="open_kernel", name=name)


def import_keep_output():
    """Only for those who want it."""
    from farlab.host import keep_output

    return keep_output


def hide_ours(runtime):
    """The server shall not find our modules, but a farlab of its own if it has one; nor the directory of this file."""
    sys.meta_path.pop(0)
    for name in [each for each in sys.modules if each.partition(".")[0] == "farlab"]:
        del sys.modules[name]
    ours = os.path.realpath(runtime)
    sys.path[:] = [each for each in sys.path if not each or os.path.realpath(each) != ours]


def prepare(keep, runtime, app):
    """The layer of what keeps output; the environment may lack something for it, or the host a network."""
    try:
        return keep.prepare(app, lambda: tell(runtime, op="installing"))
    except keep.CannotKeep as error:
        raise Failure("no-keep-output", "`--keep-output`: %s" % error.message, error.detail, error.hint) from None


def import_main(app):
    import importlib

    return importlib.import_module(MODULES[app]).main


def hide_node():
    """Take `node` off PATH while jupyterlab is imported: it would be run, for 0.25 s. Returns the whole PATH."""
    path = os.environ.get("PATH", os.defpath)
    places = [each for each in path.split(os.pathsep) if not os.path.exists(os.path.join(each, "node"))]
    os.environ["PATH"] = os.pathsep.join(places)
    return path


def arguments(directory):
    """The server's command line, which nobody sees. The person's own configuration stays in force for the rest."""
    found = []
    if is_before_2():
        found += ["--ServerApp.iopub_%s_rate_limit=1e12" % each for each in ("msg", "data")]
    else:
        found += ["--ZMQChannelsWebsocketConnection.limit_rate=False"]
    return found + (["--ServerApp.root_dir=" + directory] if directory else [])


def is_before_2():
    from jupyter_server.serverapp import ServerApp

    return not hasattr(ServerApp, "identity_provider_class")
