"""Becomes the notebook server, in the Python that has Jupyter. Python 3.6, standard library until Jupyter is imported.

It takes the server's arguments from the anchor's socket, so that no token is in any command line, environment, file or
log, puts our overrides into it and calls the app's `main`.
"""

import os
import sys
from contextlib import suppress

from farlab.host.anchor_client import tell
from farlab.host.environments import enter_directory
from farlab.host.failure import Failure
from farlab.protocol.launcher import Fail, InPython, Installing, OpenKernel, Wish

MYPY = False
if MYPY:
    from types import ModuleType
    from typing import Any, Callable, List, Mapping, Optional, Tuple

    from farlab.protocol.launcher import Wanted

    Ours = Tuple[ModuleType, ModuleType]
    Kernels = Tuple[ModuleType, str]

MODULES = {
    "lab": "jupyterlab.labapp",
    "notebook": "notebook.app",
    "nbclassic": "nbclassic.notebookapp",
    "server": "jupyter_server.serverapp",
}

RATE_LIMITS = [
    *("--ServerApp.iopub_%s_rate_limit=1e12" % each for each in ("msg", "data")),
    "--ZMQChannelsWebsocketConnection.limit_rate=False",
]
"""Two of a Jupyter Server before 2, one of later ones: output is bounded elsewhere."""
BATCH_SYSTEMS = {
    "Slurm": ("sbatch", ("SLURM_JOB_ID", "SLURM_JOBID")),
    "a batch system": ("qsub", ("PBS_JOBID", "JOB_ID")),
}
"""What submits a job, and what a job has in its environment."""
ANCHOR_TIMEOUT = 5.0
"""Seconds that the anchor may take to hear what the session can do without."""


def main(runtime: str, app: str, title: str, chosen: str) -> None:
    """Be the server: `app` as `jupyter_versions.APPS` has it, `title` with its version; `chosen`: see `InPython`."""
    try:
        serve(runtime, app, title, chosen)
    except Failure as failure:
        tell(runtime, Fail(op="fail", **vars(failure.info)))
        sys.exit(1)


def serve(runtime: str, app: str, title: str, chosen: str) -> None:
    umask = os.umask(0o077)  # for what is ours
    options = tell(runtime, Wish(op="wish")).wish
    enter_directory(options.directory)
    directory = os.getcwd()
    os.chdir("/")
    with suppress(OSError):
        os.chdir(os.path.expanduser("~"))  # as by hand; the directory may be anybody's
    ours, our_kernels = import_ours(), import_kernels()
    keep = import_keep_output() if options.keep_output else None
    hide_ours(runtime)
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment] # jsonschema takes 0.7 s to build a grammar nobody needs here
    overlay = prepare(keep, runtime, app) if keep else ""
    path = hide_node()
    answer = announce(runtime, app, title, directory, chosen)
    main = import_main(app)
    os.environ["PATH"] = path
    del sys.modules["rfc3987_syntax"]
    sys.argv = ["jupyter-" + app, *arguments(directory if options.directory else None)]
    install(runtime, directory, answer, ours, our_kernels)
    if keep:
        keep.show(overlay)
        sys.argv += keep.arguments(answer.session)
    os.umask(umask)
    sys.exit(main())


def announce(runtime: str, app: str, title: str, directory: str, chosen: str = "") -> "Wanted":
    """The anchor hears what is about to be the server."""
    shown = os.fsencode(directory).decode("utf-8", "replace")
    step = InPython(
        op="in_python", app=app, server=title, python=sys.executable, directory=shown, chosen=chosen,
        batch=batch_system(os.environ),
    )  # fmt: skip
    return tell(runtime, step)


def batch_system(environ: "Mapping[str, str]") -> str:
    """The batch system whose jobs are submitted from here, if no job is around us; "" elsewhere."""
    try:
        with open("/proc/self/cgroup") as file:
            place = file.read()
    except OSError:
        place = ""
    for system, (submit, variables) in BATCH_SYSTEMS.items():
        if any(each in environ for each in variables) or "/job_" in place:
            return ""
        folders = environ.get("PATH", "").split(os.pathsep)
        if any(os.path.isabs(each) and os.access(os.path.join(each, submit), os.X_OK) for each in folders):
            return system
    return ""


def install(runtime: str, directory: str, answer: "Wanted", ours: "Ours", our_kernels: "Kernels") -> None:
    """Put our part into the server."""
    (output_limit, overrides), (kernels, kernel_start) = ours, our_kernels
    overrides.Overrides(runtime, answer.token, directory, lambda step: tell(runtime, step)).install()
    output_limit.install()
    kernels.install(runtime, kernel_start, answer.wish.kernels == "private", tell_open(runtime))


def import_ours() -> "Ours":
    """What stays in the server: imported before it can no longer see our modules."""
    from farlab.host import jupyter_overrides as overrides
    from farlab.host import output_limit

    return output_limit, overrides


def import_kernels() -> "Kernels":
    """With the text of what starts an ipykernel."""
    import importlib.util

    from farlab.host import kernels

    start = "farlab.host.kernel_start"
    return kernels, importlib.util.find_spec(start).loader.get_source(start)  # type: ignore[union-attr]


def tell_open(runtime: str) -> "Callable[[str], Any]":
    """The anchor hears of each kind of kernel that others on the host can read; it may be killed, or stopped."""
    return lambda name: tell(runtime, OpenKernel(op="open_kernel", name=name), ANCHOR_TIMEOUT)


def import_keep_output() -> "ModuleType":
    """Only for those who want it."""
    from farlab.host import keep_output

    return keep_output


def hide_ours(runtime: str) -> None:
    """The server shall not find our modules, but a farlab of its own if it has one; nor the directory of this file."""
    sys.meta_path.pop(0)
    for name in [each for each in sys.modules if each.partition(".")[0] == "farlab"]:
        del sys.modules[name]
    ours = os.path.realpath(runtime)
    sys.path[:] = [each for each in sys.path if not each or os.path.realpath(each) != ours]


def prepare(keep: "ModuleType", runtime: str, app: str) -> str:
    """The overlay with what keeps output; the environment may lack something for it, or the host a network."""
    try:
        return str(keep.prepare(app, lambda: tell(runtime, Installing(op="installing"))))
    except keep.CannotKeep as error:
        raise Failure("no-keep-output", "`--keep-output`: %s" % error.message, error.detail, error.hint) from None


def import_main(app: str) -> "Callable[[], Any]":
    import importlib

    return importlib.import_module(MODULES[app]).main  # type: ignore[no-any-return]


def hide_node() -> str:
    """Take `node` off PATH while jupyterlab is imported: it would be run, for 0.25 s. Returns the whole PATH."""
    path = os.environ.get("PATH", os.defpath)
    places = [each for each in path.split(os.pathsep) if not os.path.exists(os.path.join(each, "node"))]
    os.environ["PATH"] = os.pathsep.join(places)
    return path


def arguments(directory: "Optional[str]") -> "List[str]":
    """The server's command line, which nobody sees. The user's own configuration stays in force for the rest."""
    limits = RATE_LIMITS[:2] if is_before_2() else RATE_LIMITS[2:]
    return limits + (["--ServerApp.root_dir=" + directory] if directory else [])


def is_before_2() -> bool:
    from jupyter_server.serverapp import ServerApp

    return not hasattr(ServerApp, "identity_provider_class")
