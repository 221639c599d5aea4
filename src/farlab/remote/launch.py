"""Starts the notebook server with private arguments. Python 3.6, standard library until Jupyter is imported.

Two steps in one process: in the anchor's Python, come here by way of the login shell, it finds the Python that has
Jupyter and becomes it; in that Python it takes the arguments from the anchor's socket, so that no token is in any
command line, environment, file or log, and calls the app's `main`.
"""

import json
import os
import re
import socket
import sys

from farlab.remote import host

APPS = {"lab": "jupyterlab", "notebook": "notebook", "nbclassic": "nbclassic", "server": "jupyter_server"}
MODULES = {
    "lab": "jupyterlab.labapp",
    "notebook": "notebook.app",
    "nbclassic": "nbclassic.notebookapp",
    "server": "jupyter_server.serverapp",
}
TITLES = {"lab": "JupyterLab", "notebook": "Jupyter Notebook", "nbclassic": "nbclassic", "server": "Jupyter Server"}


class Refusal(Exception):
    def __init__(self, code, message, hint=None, detail=None):
        Exception.__init__(self, message)
        self.words = {"code": code, "message": message, "hint": hint, "detail": detail}  # None: the log's end


def tell(runtime, **words):
    """One question to the anchor, one answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(os.path.join(runtime, "anchor.sock"))
        if not host.is_our_peer(sock):
            raise OSError("`%s` is somebody else's" % runtime)
        sock.sendall(json.dumps(words).encode() + b"\n")
        with sock.makefile("rb") as answers:
            return json.loads(answers.readline().decode())


def main(step, runtime):
    """`step` is "setup" (only say so), "launch" (find the Python) or "serve" (be the server)."""
    try:
        {"setup": setup, "launch": launch, "serve": serve}[step](runtime)
    except Refusal as refusal:
        tell(runtime, op="failed", error=refusal.words)
        sys.exit(1)


def setup(runtime):
    """The login shell has come as far as the person's own lines, which are next."""
    tell(runtime, op="setup")


# the first step: which Python ----------------------------------------------------------------------------


def launch(runtime):
    for name in ("TMUX", "TMUX_PANE"):  # they are the anchor's: a terminal in Jupyter may have a tmux of its own
        os.environ.pop(name, None)
    for name in [each for each in os.environ if each.startswith("FARLAB_SETUP_")]:  # the server's, too: have been run
        del os.environ[name]
    os.environ["JUPYTER_RUNTIME_DIR"] = runtime  # whatever an rc file says: the token is written there
    home = os.path.realpath(os.path.expanduser("~"))
    wish = tell(runtime, op="launch", stage="shell", pid=os.getpid(), home=home)["wish"]
    enter_directory(wish.get("directory"))
    python = find_python(wish)
    words = [python, os.path.join(runtime, "farlab-anchor"), "farlab.remote.launch", "serve", runtime]
    os.execv(python, words)


def enter_directory(directory):
    try:
        os.chdir(in_home(directory or "~"))
    except OSError as error:
        message = "cannot enter `%s`: %s" % (directory or "~", error.strerror)
        raise Refusal("no-directory", message, detail="") from None


def in_home(path):
    """A path that a person gave: `~` and relative ones start at the home. It is UTF-8 on the host, whatever the locale.

    An old Python in a C locale knows no letters but ASCII, and would raise.
    """
    native = os.fsdecode(path.encode("utf-8", "surrogateescape"))
    return os.path.join(os.path.expanduser("~"), os.path.expanduser(native))


def find_python(wish):
    if wish.get("environment"):
        return python_of(wish["environment"])
    app = wish.get("app")
    for python, is_jupyters in candidates():
        if (is_jupyters and not app) or has_module(python, APPS[app or "server"]):
            return python
    what = TITLES[app or "lab"]
    hint = "install it there (`python3 -m pip install jupyterlab`), or name its environment with `--env` or `--setup`"
    raise Refusal("no-jupyter", "no %s in the environment of your login shell" % what, hint, detail="")


def python_of(environment):
    """The Python of a virtual or conda environment, by path or name; or a Python, by path.

    The environment is entered as activating it would.
    """
    if "/" in environment or environment.startswith("~"):
        places = [environment]
    else:
        places = named_environments(environment, os.path.expanduser("~"))
    for place in map(in_home, places):
        if os.path.isfile(place) and os.access(place, os.X_OK):
            return place
        python = os.path.join(place, "bin", "python")
        if os.access(python, os.X_OK):
            os.environ["CONDA_PREFIX" if os.path.isdir(os.path.join(place, "conda-meta")) else "VIRTUAL_ENV"] = place
            os.environ["PATH"] = os.path.join(place, "bin") + os.pathsep + os.environ.get("PATH", os.defpath)
            return python
    hint = "give its directory as the host names it: `--env envs/NAME` starts from your home there"
    raise Refusal("no-environment", "no environment `%s`" % environment, hint, detail="")


def named_environments(name, home):
    """Where an environment of this name may be: conda's list of all it knows, then the usual folders."""
    places = []
    try:
        with open(os.path.join(home, ".conda", "environments.txt")) as file:
            known = [line.strip() for line in file]
        places = [place for place in known if os.path.basename(place) == name]
    except OSError:
        pass
    roots = [os.environ.get("WORKON_HOME"), os.environ.get("CONDA_PREFIX", "") + "/envs", home + "/.virtualenvs"]
    roots += [home + "/" + each for each in ("miniforge3/envs", "miniconda3/envs", "anaconda3/envs", ".pyenv/versions")]
    return places + [os.path.join(root, name) for root in roots if root]


def candidates():
    """Pythons in the order to try them, as PATH has them: each with whether it is the one behind a Jupyter program."""
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    for name in ("jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyter", "python3", "python"):
        for program in [os.path.join(place, name) for place in places if place]:
            if os.path.isfile(program) and os.access(program, os.X_OK):
                python = program if name.startswith("python") else interpreter_of(program)
                if python:
                    yield python, name.startswith("jupyter-")  # `jupyter` alone comes with a mere kernel, too


def interpreter_of(script):
    """The Python behind a script: its first line, also in the form that pip and conda give long paths."""
    try:
        with open(script, "rb") as file:
            head = file.read(1024).decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    first = head[0][2:].strip() if head and head[0].startswith("#!") else ""
    if first == "/bin/sh" and len(head) > 1 and head[1].startswith("'''exec' "):
        first = head[1][len("'''exec' ") :].split('" "$0"')[0].split(' "$0"')[0].strip('" ')
    if not first.startswith("/") or "python" not in os.path.basename(first) or " " in first:
        beside = os.path.join(os.path.dirname(os.path.realpath(script)), "python")
        first = beside if os.access(beside, os.X_OK) else first
    return first if os.access(first, os.X_OK) else None


def has_module(python, module):
    """Whether a Python sees a module. It is asked itself: only it knows all its places."""
    import subprocess

    code = "import importlib.util as u,sys;sys.exit(u.find_spec(%r) is None)" % module
    null = subprocess.DEVNULL
    try:
        return subprocess.run([python, "-c", code], stdin=null, stdout=null, stderr=null, timeout=20).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


# the second step: the server -----------------------------------------------------------------------------


def serve(runtime):
    wish = tell(runtime, op="wish")["wish"]
    backlog, (kernels, kernel_start) = import_backlog(), import_kernels()
    keep = import_keep_output() if wish.get("keep_output") else None
    sys.meta_path.pop(0)  # the server shall not find our modules, but a farlab of its own if it has one
    for name in [each for each in sys.modules if each.partition(".")[0] == "farlab"]:
        del sys.modules[name]
    sys.path.pop(0)  # the directory of this very file
    os.umask(0o077)  # Jupyter writes the token to `jpserver-PID-open.html`
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # jsonschema takes 0.7 s to build a grammar nobody needs here
    app, title, main_of = find_app(wish.get("app"))
    layer = prepare(keep, runtime, app) if keep else ""
    path = hide_node()
    words = tell(runtime, op="launch", stage="python", pid=os.getpid(), app=app, server=title, keep_output=bool(keep),
                 python=sys.executable, directory=os.getcwdb().decode("utf-8", "replace"))  # fmt: skip
    main = main_of()
    os.environ["PATH"] = path
    del sys.modules["rfc3987_syntax"]
    sys.argv = ["jupyter-" + app, *arguments(runtime, words)]
    open_for_localhost()
    backlog.install()
    kernels.install(runtime, kernel_start, words["wish"].get("kernels") == "private", tell_open(runtime))
    if keep:
        keep.show(layer)
        sys.argv += keep.arguments(words["session"])
    sys.exit(main())


def import_backlog():
    from farlab.remote import backlog

    return backlog


def import_kernels():
    """With the text of what starts an ipykernel."""
    import importlib.util

    from farlab.remote import kernels

    start = "farlab.remote.kernel_start"
    return kernels, importlib.util.find_spec(start).loader.get_source(start)  # type: ignore[union-attr]


def tell_open(runtime):
    """The anchor hears of each kind of kernel that others on the host can read."""
    return lambda name: tell(runtime, op="open-kernel", name=name)


def import_keep_output():
    """Only for those who want it, and before the server can no longer see our modules."""
    from farlab.remote import keep_output

    return keep_output


def prepare(keep, runtime, app):
    """The layer of what keeps output; the environment may lack something for it, or the host a network."""
    try:
        return keep.prepare(app, lambda: tell(runtime, op="installing"))
    except keep.CannotKeep as error:
        message = "cannot keep output: %s" % error.message
        raise Refusal("no-keep-output", message, error.hint, detail=error.detail) from None


def find_app(wanted):
    """Name, title with version and importer of the app: the one wanted, else the best there is."""
    import importlib
    import importlib.util

    for app in [wanted] if wanted else ["lab", "notebook", "nbclassic", "server"]:
        is_there = importlib.util.find_spec(APPS[app]) is not None
        if not is_there or (app == "notebook" and importlib.util.find_spec(MODULES[app]) is None):  # that is before 7
            continue
        title = "%s %s" % (TITLES[app], version_of(APPS[app]))
        return app, title.strip(), lambda module=MODULES[app]: importlib.import_module(module).main
    raise Refusal("no-jupyter", "`%s` has no %s" % (sys.executable, TITLES[wanted or "lab"]), detail="")


def version_of(module):
    """The version of an installed package, as the name of its metadata's directory has it; "" where it has none."""
    metadata = re.compile(module + r"-([^-]+)(-.*)?\.(dist|egg)-info$")
    for place in filter(os.path.isdir, sys.path):
        for found in filter(None, map(metadata.match, os.listdir(place))):
            return found.group(1)
    return ""


def hide_node():
    """Take `node` off PATH while jupyterlab is imported: it would be run, for 0.25 s. Returns the whole PATH."""
    path = os.environ.get("PATH", os.defpath)
    places = [each for each in path.split(os.pathsep) if not os.path.exists(os.path.join(each, "node"))]
    os.environ["PATH"] = os.pathsep.join(places)
    return path


def arguments(runtime, words):
    """The server's command line, which nobody sees. The person's own configuration stays in force for the rest."""
    found = [
        "--no-browser",
        "--ServerApp.sock=" + os.path.join(runtime, "server.sock"),
        "--ServerApp.port=8888",  # any other, from the person's configuration, is refused beside a socket
        *("--ServerApp.%s=" % each for each in ("certfile", "keyfile", "client_ca")),  # no TLS inside the line
    ]
    if version_of("jupyter_server").startswith(("0.", "1.")):
        unlimited = ["--ServerApp.iopub_%s_rate_limit=1e12" % each for each in ("msg", "data")]
        found += ["--ServerApp.token=" + words["token"], *unlimited]
    else:
        found += ["--IdentityProvider.token=" + words["token"], "--ZMQChannelsWebsocketConnection.limit_rate=False"]
    if words["wish"].get("directory"):
        found.append("--ServerApp.root_dir=" + os.getcwd())
    return found


class _LocalNames(list):  # type: ignore[type-arg] # Python 3.6 knows no other
    """Host names that mean this machine: the configured ones, and all below `.localhost` (RFC 6761)."""

    def __contains__(self, name):
        return list.__contains__(self, name) or (isinstance(name, str) and name.endswith(".localhost"))


def open_for_localhost():
    """Two settings that no option can merge with the person's own.

    The kernels' WebSockets are not pinged: they live through hours without a link. The browser comes as
    `HOST-NAME.localhost`, a name that each laptop chooses, since cookies ignore ports.
    """
    from jupyter_server.serverapp import ServerApp

    init_webapp = ServerApp.init_webapp

    def init_webapp_for_us(self):
        self.tornado_settings = dict(self.tornado_settings, ws_ping_interval=0)
        init_webapp(self)
        settings = self.web_app.settings
        settings["local_hostnames"] = _LocalNames(settings.get("local_hostnames") or ["localhost"])

    ServerApp.init_webapp = init_webapp_for_us  # type: ignore[method-assign]
