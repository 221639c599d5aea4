"""Tells which environments a user has on this host, and which one a session would get. Standard library, Python 3.6.

No Python of theirs is run but the one that would be used: what an environment has is read from its files.
"""

import glob
import os
import re
from contextlib import suppress

from farlab.host import environments, jupyter_versions, known_environments, shell_environment
from farlab.host.environments import in_home
from farlab.host.failure import Failure
from farlab.protocol.commands import EnvironmentInfo, Environments, ListEnvironments

MYPY = False
if MYPY:
    from typing import Any

    from farlab.host.known_environments import Known
    from farlab.host.loader import Link

_VERSION = re.compile(r"-(\d[^-]*?)(?:-[^/]*)?\.(?:dist-info|egg-info|json)$")


def run(link: "Link", message: "dict[str, Any]") -> None:
    """Answer the request."""
    request = ListEnvironments.read(message)
    directory = in_home(request.directory) if request.directory else None
    environ, used, why = chosen(directory)
    found = []
    for each in known_environments.known(environ, directory):
        is_used = used is not None and used.python == each.python
        found.append(describe(each, is_used, why if is_used else ""))
    if used and not any(each.is_used for each in found):
        place = os.path.dirname(os.path.dirname(used.python or used.program))
        whole = known_environments.Known(place, "login shell")
        found.insert(0, describe(whole, True, why))
    link.send(Environments(environments=tuple(found[:200]), why="" if used else why))


def chosen(directory: "str | None") -> "tuple[dict[str, str], environments.Environment | None, str]":
    """The environment of the user's login shell, what a session would get there, and why, or why nothing."""
    environ, why = dict(os.environ), ""
    for with_prompt in (False, True):
        environ = shell_environment.ask(dict(os.environ), with_prompt, directory) or environ
        try:
            used, _, _ = environments.choose(environ, None, None, directory)
        except Failure as failure:
            why = failure.info.message
        else:
            return environ, used, "the only one with Jupyter" if used.is_own_choice else "your login shell finds it"
    return environ, None, why


def describe(found: "Known", is_used: bool, why: str) -> EnvironmentInfo:
    kind = "conda" if found.is_conda else "venv"
    return EnvironmentInfo(
        name=found.name, path=found.path, kind=kind, python=python_of(found), jupyter=jupyter_of(found),
        kernels=tuple(kernels_of(found))[:20], is_used=is_used, why=why,
    )  # fmt: skip


def python_of(found: "Known") -> str:
    """The version of its Python, as far as its files tell."""
    for each in glob.glob(glob.escape(found.path) + "/conda-meta/python-[0-9]*.json"):
        return os.path.basename(each).split("-")[1]
    with suppress(OSError), open(os.path.join(found.path, "pyvenv.cfg"), errors="replace") as file:
        version = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+[\w.]*)", file.read(1 << 16), re.MULTILINE)
        if version:
            return version.group(1)
    folders = glob.glob(glob.escape(found.path) + "/lib/python3.*")
    return os.path.basename(folders[0])[len("python") :] if folders else ""


def jupyter_of(found: "Known") -> str:
    """What `connect` would start there, with its version; "" where there is no Jupyter."""
    for app in jupyter_versions.APPS:
        if os.path.exists(os.path.join(found.path, "bin", "jupyter-" + app)):
            return ("%s %s" % (jupyter_versions.TITLES[app], version_of(found, jupyter_versions.PACKAGES[app]))).strip()
    return ""


def version_of(found: "Known", package: str) -> str:
    site = "/lib/python3*/site-packages/%s-*-info" % package
    meta = "/conda-meta/%s-*.json" % package
    for each in glob.glob(glob.escape(found.path) + site) + glob.glob(glob.escape(found.path) + meta):
        version = _VERSION.search(each)
        if version:
            return version.group(1)
    return ""


def kernels_of(found: "Known") -> "list[str]":
    """The kernels that it brings."""
    specs = glob.glob(glob.escape(found.path) + "/share/jupyter/kernels/*/kernel.json")
    names = sorted(os.path.basename(os.path.dirname(each)) for each in specs)
    has_ipykernel = glob.glob(glob.escape(found.path) + "/lib/python3*/site-packages/ipykernel")
    return names or (["python3"] if has_ipykernel else [])
