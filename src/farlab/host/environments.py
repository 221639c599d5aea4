"""Finds the Pythons of a user that could be the notebook server, and as which app. Standard library, Python 3.6.

What the user's own `jupyter lab` would run comes first. Each candidate is asked, in a directory of nobody's, before it
is believed: only a Python knows what it sees, and what only looks like one would take our program for its own.
"""

import json
import os
import subprocess

from farlab.host.failure import Failure
from farlab.host.jupyter_program import programs
from farlab.host.jupyter_versions import APPS, PACKAGES, TITLES, choice, numbers
from farlab.host.known_environments import Known, known

MYPY = False
if MYPY:
    from typing import Dict, Iterator, List, Mapping, Optional, Tuple

    from farlab.host.jupyter_program import Program
    from farlab.host.jupyter_versions import Offer, Packages

    Chosen = Tuple["Environment", str, str]

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
        """Its path; "" where there is a `wrapper`."""
        self.program = program or python
        """What led to it."""
        self.wrapper: "Optional[Program]" = None
        """What is to be run as it is."""
        self.variables = variables or {}
        """What entering it sets in the environment."""
        self.packages = None  # type: Optional[Packages]
        """What it has of Jupyter, by package; None where it is no Python that we can use, or does not say."""
        self.kernel = None  # type: Optional[Environment]
        """Whose kernel it runs, where that one has no Jupyter of its own."""
        self.is_own_choice = False
        """Whether neither the user nor their shell has named it."""

    def offer(self, app: "Optional[str]") -> "Offer":
        """App and title of the best it could be, or why one that it has cannot be used: `(app, title, reason)`."""
        return choice(self.packages or {}, app)


def find(named: "Optional[str]", environ: "Mapping[str, str]", app: "Optional[str]" = None) -> "Iterator[Environment]":
    """The environments in the order in which they would be used, each asked when its turn comes.

    `named`: a virtual or conda environment, by path or name, or a Python or a program of Jupyter's by path. None: what
    the PATH of `environ` has. Changes nothing, and needs no session.
    """
    asked = {}  # type: Dict[str, Optional[Packages]]
    for each in candidates(environ) if named is None else of_name(named, environ):
        if each.wrapper:
            if app not in (None, each.wrapper.app):
                continue
            each.packages = each.wrapper.ask(environ)
        else:
            if each.python not in asked:
                asked[each.python] = ask(each.python, environ)
            each.packages = asked[each.python]
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
    reasons: "List[Tuple[str, str]]" = []
    opaque: "Optional[Program]" = None
    for each in find(None, environ, app):
        if each.packages is None:
            opaque = opaque or each.wrapper
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
        message += ", and `%s` does not start" % opaque.path
        raise Failure("no-jupyter", message, detail=opaque.said, hint="opaque")
    raise Failure("no-jupyter", message, detail="")


def choose_named(environ: "Mapping[str, str]", named: str, app: "Optional[str]") -> "Chosen":
    """`choose` for what the user has named: that is not passed over, but for its kernel another Jupyter will do."""
    found = next(find(named, environ, app), None)
    if found is None:
        raise no_environment(named, environ)
    if found.packages is None and found.wrapper:
        message = "`%s` does not start" % found.program
        raise Failure("no-environment", message, detail=found.wrapper.said, hint="opaque")
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


# where to look -------------------------------------------------------------------------------------------


def candidates(environ: "Mapping[str, str]") -> "Iterator[Environment]":
    """In the order to try them, as PATH has them.

    Relative folders on PATH do not count: they would be in the directory that the session is for, which may be
    anybody's.
    """
    for name in (*("jupyter-" + app for app in APPS), "jupyter", "python3", "python"):
        kind = "jupyter" if name.startswith("jupyter-") else "python"  # `jupyter` alone comes with a mere kernel, too
        for path in on_path(name, environ):
            pythons = [path] if name.startswith("python") else interpreters_of(path, environ)
            for python in pythons:
                yield Environment(kind, python, path)
            if name != "jupyter" or not pythons:  # a script may make its own way to what its Python lacks
                yield from wrappers(path)


def wrappers(path: str) -> "Iterator[Environment]":
    """What a program of Jupyter's starts by itself, by app."""
    for each in programs(path):
        found = Environment("jupyter", "", path)
        found.wrapper = each
        yield found


def on_path(name: str, environ: "Mapping[str, str]") -> "List[str]":
    """As bash looks for it: in each folder of PATH, also behind a `~` that was quoted where PATH was set."""
    folders = [os.path.expanduser(each) for each in environ.get("PATH", os.defpath).split(os.pathsep)]
    found = [os.path.join(folder, name) for folder in folders if os.path.isabs(folder)]
    return [each for each in found if is_program(each)]


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


def of_name(named: str, environ: "Mapping[str, str]") -> "Iterator[Environment]":
    """The environment of that name or path, or a Python by path, or what a program of Jupyter's may be; or none."""
    if "/" not in named and not named.startswith("~"):
        yield from (of_known(each, environ) for each in known(environ) if each.name == named)
        return
    path = in_home(named)
    if is_program(path):
        by_program = list(wrappers(path))
        yield from by_program or [Environment("python", path)]
    elif is_program(Known(path).python):
        yield of_known(Known(path), environ)


def of_known(found: Known, environ: "Mapping[str, str]") -> Environment:
    """Entered as activating it would."""
    kind = "conda" if found.is_conda else "virtualenv"
    return Environment(kind, found.python, variables=found.variables(environ), name=found.name)
