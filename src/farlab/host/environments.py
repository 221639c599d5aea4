"""Which Python becomes the server, and as which app. Standard library, Python 3.6.

What a person's own `jupyter lab` would run comes first. Each candidate is asked, in a directory of nobody's, before it
is believed: only a Python knows what it sees, and what only looks like one would take our program for its own.
"""

import json
import os
import subprocess

from farlab.host.failure import Failure

APPS = ("lab", "notebook", "nbclassic", "server")
PACKAGES = {"lab": "jupyterlab", "notebook": "notebook", "nbclassic": "nbclassic", "server": "jupyter_server"}
TITLES = {"lab": "JupyterLab", "notebook": "Jupyter Notebook", "nbclassic": "nbclassic", "server": "Jupyter Server"}
OLDEST = (1, 9)
"""The first Jupyter Server that listens on a private socket."""
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
print(json.dumps({each: found(each) for each in %r}))""" % (MARK, sorted(PACKAGES.values()))


def find(wanted):
    """`(python, app, title)` of the first Python of the login shell's PATH that has the app wanted, or any."""
    reasons, opaque, asked = [], [], {}
    for program, python, is_jupyters in candidates():
        if python not in asked:
            asked[python] = ask(python) if python else None
        if asked[python] is None:
            opaque += [program] if is_jupyters and program not in opaque else []
            continue
        app, title, reason = choice(asked[python], wanted)
        if app:
            return python, app, title
        if reason and is_jupyters:  # what a person gets by hand: not another one instead
            raise too_old(python, reason)
        reasons += [(python, reason)] if reason else []
    if reasons:
        raise too_old(*reasons[0])
    message = "your login shell finds no %s" % TITLES[wanted or "lab"]
    if opaque:
        message += "; cannot tell which Python `%s` runs" % opaque[0]
        raise Failure("no-jupyter", message, detail="", hint="opaque")
    raise Failure("no-jupyter", message, detail="")


def of_environment(environment, wanted):
    """The same of a virtual or conda environment, by path or name; or of a Python, by path."""
    python = python_of(environment)
    found = ask(python)
    if found is None:
        message = "`%s` is not a Python 3.6 or later" % python
        raise Failure("no-environment", message, detail="", hint="not-python")
    app, title, reason = choice(found, wanted)
    if reason:
        raise too_old(python, reason)
    if not app:
        raise Failure("no-jupyter", "`%s` has no %s" % (python, TITLES[wanted or "lab"]), detail="")
    return python, app, title


def too_old(python, reason):
    return Failure("no-jupyter", "`%s` has %s" % (python, reason), detail="", hint="old")


def choice(found, wanted):
    """App and title of the best that a Python has, or why one that it has cannot be used: `(app, title, reason)`."""
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


def newest(package):
    """The version of a package; "" where it tells none. What an upgrade has left beside it does not count."""
    return max(package["versions"], key=numbers, default="")


def numbers(version):
    """The leading numbers of a version, to compare: (1, 9) of "1.9.0rc1" is (1, 9, 0)."""
    found = []
    for part in version.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found += [int(digits)] if digits else []
        if digits != part:
            break
    return tuple(found)


def is_old(server):
    """Whether a Jupyter Server cannot listen on a private socket: by its version, else by what is in it."""
    version = numbers(newest(server))
    return version < OLDEST if version else server["knows_sock"] is False


def ask(python):
    """What a Python says it has, by package; None where it is none, or too old for us."""
    null = subprocess.DEVNULL
    env = dict(os.environ, PYTHONSAFEPATH="1")  # from 3.11 on; before, the working directory comes first: it is `/`
    try:
        words = [python, "-c", ASK]
        said = subprocess.run(
            words, stdin=null, stdout=subprocess.PIPE, stderr=null, timeout=ASK_TIMEOUT, cwd="/", env=env
        )
    except (OSError, subprocess.SubprocessError):
        return None
    _, mark, answer = said.stdout.decode("utf-8", "replace").partition("\n" + MARK)
    lines = answer.splitlines()
    if not mark or len(lines) < 2 or numbers(lines[0]) < (3, 6):
        return None
    try:
        return json.loads(lines[1])
    except ValueError:
        return None


# where to look -------------------------------------------------------------------------------------------


def candidates():
    """In the order to try them, as PATH has them: `(program, python, whether it is Jupyter's)`.

    `python` is "" where a program does not say which one it runs. Relative places on PATH do not count: they would be
    places in the directory that the session is for, which may be anybody's.
    """
    for name in ("jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyter", "python3", "python"):
        for program in on_path(name):
            is_jupyters = name.startswith("jupyter-")  # `jupyter` alone comes with a mere kernel, too
            if name.startswith("python"):
                yield program, program, False
            else:
                for python in interpreters_of(program) or [""]:
                    yield program, python, is_jupyters


def on_path(name):
    places = os.environ.get("PATH", os.defpath).split(os.pathsep)
    programs = [os.path.join(place, name) for place in places if os.path.isabs(place)]
    return [each for each in programs if is_program(each)]


def is_program(path):
    return os.path.isabs(path) and os.path.isfile(path) and os.access(path, os.X_OK)


def interpreters_of(script):
    """The Pythons that may be behind a script: that of its first line, and the one beside it."""
    try:
        with open(script, "rb") as file:
            head = file.read(1024).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    places = [os.path.join(os.path.dirname(each), "python") for each in (script, os.path.realpath(script))]
    named = [each for each in named_by(head) if "py" in os.path.basename(each)]
    found = []
    for each in named + places:
        if is_program(each) and each not in found:
            found.append(each)
    return found


def named_by(head):
    """The program that a script's first lines name: also in the form that pip and conda give long paths, and by env."""
    words = head[0][2:].split() if head and head[0].startswith("#!") else []
    if words == ["/bin/sh"] and len(head) > 1 and head[1].startswith("'''exec' "):
        return [head[1][len("'''exec' ") :].split('" "$0"')[0].split(' "$0"')[0].strip('" ')]
    if words and os.path.basename(words[0]) == "env":
        names = [each for each in words[1:] if not each.startswith("-") and "=" not in each]
        return on_path(names[0])[:1] if names and "/" not in names[0] else names[:1]
    return words[:1]


def in_home(path):
    """A path that a person gave: `~` and relative ones start at the home. It is UTF-8 on the host, whatever the locale.

    An old Python in a C locale knows no letters but ASCII, and would raise.
    """
    native = os.fsdecode(path.encode("utf-8", "surrogateescape"))
    return os.path.join(os.path.expanduser("~"), os.path.expanduser(native))


def python_of(environment):
    """The Python of an environment, which is entered as activating it would; or a Python itself."""
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
    raise Failure("no-environment", "found no environment `%s`" % environment, detail="")


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
