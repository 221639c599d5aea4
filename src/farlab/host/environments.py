"""Finds the Pythons of a user that could be the notebook server, and as which app. Standard library, Python 3.6.

What the user's own `jupyter lab` would run comes first. Each candidate is asked, in a directory of nobody's, before it
is believed: only a Python knows what it sees, and what only looks like one would take our program for its own.
"""

import json
import os
import re
import subprocess

from farlab.host.failure import Failure
from farlab.host.known_environments import Known, known

MYPY = False
if MYPY:
    from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

    Package = Dict[str, Any]
    Packages = Dict[str, Package]
    Offer = Tuple[Optional[str], Optional[str], Optional[str]]
    Chosen = Tuple["Environment", str, str]

APPS = ("lab", "notebook", "nbclassic", "server")
PACKAGES = {"lab": "jupyterlab", "notebook": "notebook", "nbclassic": "nbclassic", "server": "jupyter_server"}
TITLES = {"lab": "JupyterLab", "notebook": "Jupyter Notebook", "nbclassic": "nbclassic", "server": "Jupyter Server"}
OLDEST = (1, 9)
"""The first Jupyter Server that listens on a private socket."""
FIRST_WITH_SERVER = {"lab": (3,), "notebook": (7,), "nbclassic": (0,), "server": (0,)}
"""The first version of each that runs on Jupyter Server."""
ASK_TIMEOUT = 20.0
MARK = "farlab-python "
ASK = r"""
import sys
sys.stdout.write("\n%s%%d.%%d\n" %% sys.version_info[:2])
if sys.version_info < (3, 6):
    sys.exit()
import importlib.util, json, os, re
def names(place):
    try:
        return os.listdir(place)
    except OSError:
        return []
def found(package):
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return None
    here = os.path.dirname(spec.origin)
    info = re.compile(package + r"-([^-]+)(-.*)?\.(dist|egg)-info$")
    versions = [each.group(1) for each in filter(None, map(info.match, listed))]
    try:
        with open(os.path.join(here, "serverapp.py"), "rb") as file:
            knows_sock = b" sock = Unicode(" in file.read()
    except OSError:
        knows_sock = None
    return {"versions": versions, "app": os.path.exists(os.path.join(here, "app.py")), "knows_sock": knows_sock}
listed = [name for place in sys.path for name in names(place)]
print(json.dumps({each: found(each) for each in %r}))""" % (MARK, sorted([*PACKAGES.values(), "ipykernel"]))


class Environment(object):
    """A Python that may become the server, and what it says it has."""

    def __init__(
        self, kind: str, python: str, program: str = "", variables: "Optional[Dict[str, str]]" = None, name: str = ""
    ) -> None:
        self.kind, self.name = kind, name
        """`jupyter`: behind a program of Jupyter's; `python`: on PATH, or named; `virtualenv`, `conda`: named."""
        self.python = python
        """Its path; "" where `program`, a wrapper or a shim, is to be run as it is."""
        self.program = program or python
        """What led to it."""
        self.variables = variables or {}
        """What entering it sets in the environment."""
        self.packages = None  # type: Optional[Packages]
        """What it has of Jupyter, by package; None where it is no Python that we can use, or does not say."""
        self.kernel = None  # type: Optional[Environment]
        """Whose kernel it runs, where that one has no Jupyter of its own."""
        self.is_own_choice = False
        """Whether neither the user nor their shell has named it."""
        self.words = ""
        """What `program` said in place of its version."""

    def offer(self, app: "Optional[str]") -> "Offer":
        """App and title of the best it could be, or why one that it has cannot be used: `(app, title, reason)`."""
        return choice(self.packages or {}, app)


def find(named: "Optional[str]", environ: "Mapping[str, str]") -> "Iterator[Environment]":
    """The environments in the order in which they would be used, each asked when its turn comes.

    `named`: a virtual or conda environment, by path or name, or a Python by path; there is one, or none. None: what the
    PATH of `environ` has. Changes nothing, and needs no session.
    """
    asked = {}  # type: Dict[str, Optional[Packages]]
    for each in candidates(environ) if named is None else filter(None, [of_name(named, environ)]):
        if each.python not in asked:
            asked[each.python] = ask(each.python, environ) if each.python else None
        each.packages = asked[each.python] if each.python else ask_program(each, environ)
        yield each


def choose(
    environ: "Mapping[str, str]", named: "Optional[str]", app: "Optional[str]", directory: "Optional[str]" = None
) -> "Chosen":
    """`(environment, app, title)` of the first that `find` finds which has the app, or any app. Raises Failure.

    An environment that the user has named is not passed over, nor is what they get by hand. Where neither has Jupyter,
    it may be in one other environment, or the `directory`'s own.
    """
    if named:
        return choose_named(environ, named, app)
    reasons, opaque = [], None  # type: List[Tuple[str, str]], Optional[Environment]
    for each in find(None, environ):
        if each.packages is None:
            opaque = opaque or (each if each.kind == "jupyter" else None)
            continue
        best, title, reason = each.offer(app)
        if best and title:
            return each, best, title
        if reason and each.kind == "jupyter":
            raise too_old(each.python or each.program, reason)
        reasons += [(each.python or each.program, reason)] if reason else []
    offers = offers_elsewhere(environ, app, directory)
    if offers and (len(offers) == 1 or is_own(offers[0][0], directory)):
        return offers[0]
    message = "your login shell finds no %s" % TITLES[app or "lab"]
    if offers:
        names = [each.name for each, _, _ in offers]
        message += "; these environments have it: %s" % ", ".join("`%s`" % name for name in names)
        raise Failure("no-jupyter", message, detail="", hint="several", names=names)
    if reasons:
        raise too_old(*reasons[0])
    if opaque:
        message += ", and `%s` does not start" % opaque.program
        ask_program(opaque, environ)  # for its words
        raise Failure("no-jupyter", message, detail=opaque.words, hint="opaque")
    raise Failure("no-jupyter", message, detail="")


def choose_named(environ: "Mapping[str, str]", named: str, app: "Optional[str]") -> "Chosen":
    """`choose` for what the user has named: that is not passed over, but for its kernel another Jupyter will do."""
    found = next(find(named, environ), None)
    if found is None:
        raise no_environment(named, environ)
    if found.packages is None:
        message = "`%s` is not a Python 3.6 or later" % found.program
        raise Failure("no-environment", message, detail="", hint="not-python")
    best, title, reason = found.offer(app)
    if best and title:
        return found, best, title
    if reason:
        raise too_old(found.python or found.program, reason)
    if found.packages.get("ipykernel"):
        return beside(found, environ, app)
    raise Failure("no-jupyter", "`%s` has no %s" % (found.python, TITLES[app or "lab"]), detail="")


def offers_elsewhere(environ: "Mapping[str, str]", app: "Optional[str]", directory: "Optional[str]") -> "List[Chosen]":
    """What the environments that are known could be, each asked."""
    found = []  # type: List[Chosen]
    for each in (each for each in known(environ, directory) if each.has_jupyter):
        environment = of_known(each, environ)
        environment.packages = ask(each.python, environ)
        best, title, _ = environment.offer(app)
        if best and title:
            environment.is_own_choice = True
            found.append((environment, best, title))
            if is_own(environment, directory):
                break
    return found


def is_own(found: Environment, directory: "Optional[str]") -> bool:
    """Whether an environment is in the session's directory."""
    return directory is not None and found.python.startswith(directory.rstrip("/") + "/")


def beside(kernel: Environment, environ: "Mapping[str, str]", app: "Optional[str]") -> "Chosen":
    """An environment that can run notebooks and has no Jupyter: that of another, with its kernel."""
    try:
        environment, best, title = choose(environ, None, app)
    except Failure as failure:
        failure.info.message = "`%s` has a kernel and no Jupyter, and %s" % (kernel.python, failure.info.message)
        raise
    environment.is_own_choice, environment.kernel = True, kernel
    return environment, best, title


def no_environment(named: str, environ: "Mapping[str, str]") -> Failure:
    """With those that are called alike."""
    import difflib

    names = [each.name for each in known(environ)]
    near = difflib.get_close_matches(named, names, 3)
    message = "found no environment `%s`" % named
    if near:
        return Failure("no-environment", message, detail="", hint="near", names=near)
    listed = "; there are: %s" % ", ".join("`%s`" % name for name in names[:20]) if names else ""
    return Failure("no-environment", message + listed, detail="")


def too_old(python: str, reason: str) -> Failure:
    return Failure("no-jupyter", "`%s` has %s" % (python, reason), detail="", hint="old")


def choice(found: "Packages", wanted: "Optional[str]") -> "Offer":
    """`Environment.offer` for what a Python has."""
    reason = None
    for app in [wanted] if wanted else APPS:
        package = found.get(PACKAGES[app])
        if not package:
            continue
        title = ("%s %s" % (TITLES[app], newest(package))).strip()
        if not found.get("jupyter_server"):
            reason = reason or "%s without Jupyter Server %d.%d or later, which farlab needs" % (title, *OLDEST)
        elif is_old(found["jupyter_server"]):
            server = "Jupyter Server %s" % newest(found["jupyter_server"])
            on = "" if app == "server" else title + " with "
            reason = reason or "%s%s; farlab needs %d.%d or later" % (on, server, *OLDEST)
        elif app != "notebook" or package["app"]:
            return app, title, None
        elif wanted:
            reason = "%s; `--app notebook` needs 7 or later" % title
    return None, None, reason


def newest(package: "Package") -> str:
    """The version of a package; "" where it tells none. What an upgrade has left beside it does not count."""
    return max(package["versions"], key=numbers, default="")


def numbers(version: str) -> "Tuple[int, ...]":
    """The leading numbers of a version, to compare: (1, 9) of "1.9.0rc1" is (1, 9, 0)."""
    found = []  # type: List[int]
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found += [int(digits)] if digits else []
        if digits != part:
            break
    return tuple(found)


def is_old(server: "Package") -> bool:
    """Whether a Jupyter Server cannot listen on a private socket: by its version, else by what is in it."""
    version = numbers(newest(server))
    return version < OLDEST if version else server["knows_sock"] is False


def ask(python: str, environ: "Mapping[str, str]") -> "Optional[Packages]":
    """What a Python says it has, by package; None where it is none, or too old for us."""
    null = subprocess.DEVNULL
    env = dict(environ, PYTHONSAFEPATH="1")  # from 3.11 on; before, the working directory comes first: it is `/`
    try:
        argv = [python, "-c", ASK]
        asked = subprocess.run(
            argv, stdin=null, stdout=subprocess.PIPE, stderr=null, timeout=ASK_TIMEOUT, cwd="/", env=env
        )
    except (OSError, subprocess.SubprocessError):
        return None
    _, mark, answer = asked.stdout.decode("utf-8", "replace").partition("\n" + MARK)
    lines = answer.splitlines()
    if not mark or len(lines) < 2 or numbers(lines[0]) < (3, 6):
        return None
    try:
        found = json.loads(lines[1])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def ask_program(found: Environment, environ: "Mapping[str, str]") -> "Optional[Packages]":
    """What a program of Jupyter's own says it is; None where it does not come to its version."""
    name = os.path.basename(found.program)[len("jupyter-") :]
    if name not in APPS:
        return None
    try:
        argv, null = [found.program, "--version"], subprocess.DEVNULL
        asked = subprocess.run(
            argv,
            stdin=null,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=ASK_TIMEOUT,
            cwd="/",
            env=environ,
        )
    except (OSError, subprocess.SubprocessError) as error:
        found.words = str(error)
        return None
    said = asked.stdout.decode("utf-8", "replace").strip()
    version = re.search(r"^\d+(\.\d+\w*)+$", said, re.MULTILINE)
    if asked.returncode or not version:
        found.words = said[-2000:]
        return None
    has_server = numbers(version.group()) >= FIRST_WITH_SERVER[name]
    server = {"versions": [version.group()] if name == "server" else [], "app": False, "knows_sock": None}
    itself = {"versions": [version.group()], "app": has_server, "knows_sock": None}
    return {"jupyter_server": server if has_server else {}, PACKAGES[name]: itself}


# where to look -------------------------------------------------------------------------------------------


def candidates(environ: "Mapping[str, str]") -> "Iterator[Environment]":
    """In the order to try them, as PATH has them.

    Relative folders on PATH do not count: they would be in the directory that the session is for, which may be
    anybody's.
    """
    for name in (*("jupyter-" + app for app in APPS), "jupyter", "python3", "python"):
        kind = "jupyter" if name.startswith("jupyter-") else "python"  # `jupyter` alone comes with a mere kernel, too
        for program in on_path(name, environ):
            pythons = [program] if name.startswith("python") else interpreters_of(program, environ) or [""]
            for python in pythons:
                yield Environment(kind, python, program)


def on_path(name: str, environ: "Mapping[str, str]") -> "List[str]":
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    programs = [os.path.join(folder, name) for folder in folders if os.path.isabs(folder)]
    return [each for each in programs if is_program(each)]


def is_program(path: str) -> bool:
    return os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK)


def interpreters_of(script: str, environ: "Mapping[str, str]") -> "List[str]":
    """The Pythons that run a script: that of its first line, and the one beside it; none where that is no Python."""
    try:
        with open(script, "rb") as file:
            head = file.read(1024).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    beside = [os.path.join(os.path.dirname(each), "python") for each in (script, os.path.realpath(script))]
    named = [each for each in named_by(head, environ) if "py" in os.path.basename(each)]
    if not named and not (len(head) > 1 and head[1].startswith("'''exec' ")):
        return []
    found = []  # type: List[str]
    for each in named + beside:
        if is_program(each) and each not in found:
            found.append(each)
    return found


def named_by(head: "List[str]", environ: "Mapping[str, str]") -> "List[str]":
    """The program that a script's first lines name: also in the form that pip and conda give long paths, and by env."""
    words = head[0][2:].split() if head and head[0].startswith("#!") else []
    if words == ["/bin/sh"] and len(head) > 1 and head[1].startswith("'''exec' "):
        return [head[1][len("'''exec' ") :].split('" "$0"')[0].split(' "$0"')[0].strip('" ')]
    if words and os.path.basename(words[0]) == "env":
        names = [each for each in words[1:] if not each.startswith("-") and "=" not in each]
        return on_path(names[0], environ)[:1] if names and "/" not in names[0] else names[:1]
    return words[:1]


def in_home(path: str) -> str:
    """A path that a user gave: `~` and relative ones start at the home. It is UTF-8 on the host, whatever the locale.

    An old Python in a C locale knows no letters but ASCII, and would raise.
    """
    native = os.fsdecode(path.encode("utf-8", "surrogateescape"))
    return os.path.join(os.path.expanduser("~"), os.path.expanduser(native))


def enter_directory(directory: "Optional[str]") -> None:
    """Go where the session's notebooks are. Raises Failure."""
    try:
        os.chdir(in_home(directory or "~"))
    except OSError as error:
        message = "cannot enter `%s`: %s" % (directory or "~", error.strerror)
        raise Failure("no-directory", message) from None


def of_name(named: str, environ: "Mapping[str, str]") -> "Optional[Environment]":
    """The environment of that name or path, or a Python by path; None where there is none."""
    if "/" not in named and not named.startswith("~"):
        return next((of_known(each, environ) for each in known(environ) if each.name == named), None)
    path = in_home(named)
    if os.path.isfile(path) and os.access(path, os.X_OK):
        if os.path.basename(path).startswith("jupyter-"):
            return Environment("jupyter", "", path)
        return Environment("python", path)
    if os.access(os.path.join(path, "bin", "python"), os.X_OK):
        return of_known(Known(path), environ)
    return None


def of_known(found: Known, environ: "Mapping[str, str]") -> Environment:
    """Entered as activating it would."""
    kind = "conda" if found.is_conda else "virtualenv"
    return Environment(kind, found.python, variables=found.variables(environ), name=found.name)
