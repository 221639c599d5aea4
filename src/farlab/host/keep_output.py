"""Output that outlives its tab (`connect --keep-output`): two extensions of the server, and the overlay they are in.

Rules: runs in the chosen Python, on its way to become the server; syntax of Python 3.6. The environment is not
touched: what it lacks is put into an overlay, a directory of ours that only the server sees, and kernels do not.
"""

import contextlib
import glob
import importlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import zlib

MYPY = False
if MYPY:
    from typing import Any, Callable, Dict, List, Optional

PACKAGES = (
    "jupyter-collaboration==5.0.4",
    "jupyter-collaboration-ui==3.0.4",
    "jupyter-docprovider==3.0.4",
    "jupyter-server-fileid==0.10.0",
    "jupyter-server-nbmodel==0.2.9",
    "jupyter-server-ydoc==3.0.4",
    "jupyter-ydoc==4.2.1",
    "pycrdt==0.14.13",
    "pycrdt-store==0.1.5",
    "pycrdt-websocket==0.16.5",
    "sqlite-anyio==0.2.10",
)
"""The two extensions and what they need besides JupyterLab, in the versions that were seen to keep output."""
LEFT_OUT = ("jupyter-kernel-client",)
"""Only for kernels of other servers, and it needs the 170 MB of pyarrow."""
MODULES = ("jupyter_server_ydoc", "jupyter_server_nbmodel")
OLDEST = (3, 11)
"""The Python that these versions need."""
INSTALL_TIMEOUT = 600.0


class CannotKeep(Exception):
    """`message`, `detail` (pip's own words) and `hint`, a key of the laptop's hints."""

    def __init__(self, message: str, detail: str = "", hint: "Optional[str]" = None) -> None:
        Exception.__init__(self, message)
        self.message, self.detail, self.hint = message, detail, hint


def prepare(app: str, tell_installing: "Callable[[], Any]") -> str:
    """Make the extensions importable here. Returns their overlay, "" where the environment has them itself."""
    if app not in ("lab", "notebook"):
        raise CannotKeep("`--app %s` does not support it" % app, hint="pages")
    if all(map(importlib.util.find_spec, MODULES)):
        return ""
    if sys.version_info < OLDEST:
        python = "Python %d.%d" % sys.version_info[:2]
        message = "`%s` is %s; it needs %d.%d or later" % (sys.executable, python, *OLDEST)
        raise CannotKeep(message, hint="newer")
    overlay = overlay_path()
    if os.path.isdir(overlay):
        refuse_unmet(overlay)
    else:
        tell_installing()
        install(overlay)
    sys.path.insert(0, overlay)
    importlib.invalidate_caches()
    return overlay


def overlay_path() -> str:
    """The overlay's directory: one for each kind of Python and set of packages."""
    key = "%s-%s-%08x" % (sys.implementation.cache_tag, sysconfig.get_platform(), zlib.crc32(repr(PACKAGES).encode()))
    return os.path.join(os.path.expanduser("~"), ".local", "share", "farlab", "keep-output", key)


def install(overlay: str) -> None:
    """Make the overlay by the environment's own pip, whole or not at all."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # Ctrl-C: tidy up, too
    try:
        os.makedirs(os.path.dirname(overlay), 0o700, exist_ok=True)
        remove_left(os.path.dirname(overlay))
        with tempfile.TemporaryDirectory(prefix="new-", dir=os.path.dirname(overlay)) as staging:
            made = os.path.join(staging, "overlay")
            os.mkdir(made)
            run_pip(made)
            refuse_unmet(made)
            try:
                os.rename(made, overlay)
            except OSError:
                if not os.path.isdir(overlay):  # else another session was faster
                    raise
    except OSError as error:
        raise CannotKeep("cannot create `%s`" % overlay, str(error)) from None
    finally:
        for parent in (os.path.dirname(overlay), os.path.dirname(os.path.dirname(overlay))):
            with contextlib.suppress(OSError):  # it holds something
                os.rmdir(parent)
        signal.signal(signal.SIGTERM, before)


def remove_left(directory: str) -> None:
    """Remove what installs that were killed have left."""
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        with contextlib.suppress(OSError):
            if name.startswith("new-") and time.time() - os.stat(path).st_mtime > 2 * INSTALL_TIMEOUT:
                shutil.rmtree(path, ignore_errors=True)


def run_pip(target: str) -> None:
    """Wheels only, so that nothing of them is run, and these very versions, so that nothing is resolved or replaced."""
    words = [sys.executable, *pip(), "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target", target]
    env = dict(os.environ, PIP_NO_INPUT="1", PIP_NO_CACHE_DIR="1", PIP_DISABLE_PIP_VERSION_CHECK="1",
               PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0")  # fmt: skip
    env.setdefault("PIP_RETRIES", "1")  # a compute node without a network is told so soon
    try:
        done = subprocess.run(
            words + list(PACKAGES), env=env, cwd=target, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=INSTALL_TIMEOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CannotKeep("pip did not install the extensions within %d s" % INSTALL_TIMEOUT) from None
    if done.returncode:
        raise CannotKeep("pip could not install the extensions", done.stdout.decode("utf-8", "replace")[-4000:])


def pip() -> "List[str]":
    """How this Python runs pip: its own, else the one that it brings along for new environments."""
    if importlib.util.find_spec("pip"):
        return ["-m", "pip"]
    spec = importlib.util.find_spec("ensurepip")
    places = [os.path.join(each, "_bundled") for each in (spec and spec.submodule_search_locations) or ()]
    for each in [sysconfig.get_config_var("WHEEL_PKG_DIR"), *places]:
        for wheel in glob.glob(os.path.join(glob.escape(each or ""), "pip-*.whl")):
            return [os.path.join(wheel, "pip")]
    raise CannotKeep("`%s` has no pip" % sys.executable)


def refuse_unmet(overlay: str) -> None:
    """Raise where the environment has not what the overlay's packages say they need."""
    metadata = importlib.import_module("importlib.metadata")  # not in Python 3.6, which does not come here
    requirement = importlib.import_module("packaging.requirements").Requirement
    places = [overlay, *sys.path]
    for each in metadata.distributions(path=[overlay]):
        for need in map(requirement, each.requires or ()):
            if need.name in LEFT_OUT or (need.marker and not need.marker.evaluate({"extra": ""})):
                continue
            found = next(iter(metadata.distributions(name=need.name, path=places)), None)
            if found is None or not need.specifier.contains(found.version, prereleases=True):
                has = found.version if found else "none"
                message = "%s needs %s, but `%s` has %s" % (each.metadata["Name"], need, sys.executable, has)
                raise CannotKeep(message, hint="newer")


def show(overlay: str) -> None:
    """Let the server find the extensions' settings and pages in the overlay while it starts; kernels start later."""
    from jupyter_server.serverapp import ServerApp

    if not overlay:
        return
    before: "Dict[str, Optional[str]]" = {}
    for variable, inside in (("JUPYTER_PATH", "share/jupyter"), ("JUPYTER_CONFIG_PATH", "etc/jupyter")):
        before[variable] = os.environ.get(variable)
        os.environ[variable] = os.pathsep.join(filter(None, (os.path.join(overlay, inside), before[variable])))
    load_server_extensions = ServerApp.load_server_extensions

    def load_and_forget(self: "Any") -> None:
        load_server_extensions(self)
        for variable, value in before.items():
            os.environ.pop(variable)
            if value is not None:
                os.environ[variable] = value

    ServerApp.load_server_extensions = load_and_forget


def arguments(directory: str) -> "List[str]":
    """The server's further arguments. `directory`: the session's own, for files that would be among the notebooks.

    A notebook stays in the server's memory: by default it goes a minute after its last tab, with all output to come.
    """
    return [
        "--YDocExtension.document_cleanup_delay=None",
        "--YDocExtension.session_store_path=" + os.path.join(directory, "tabs.json"),
        "--SQLiteYStore.db_path=" + os.path.join(directory, "documents.db"),
        "--BaseFileIdManager.db_path=" + os.path.join(directory, "files.db"),
    ]
