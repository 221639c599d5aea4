"""The environments of a user's that can be found without starting any: by the files that each kind leaves. Python 3.6.

conda and what is like it (mamba, micromamba, pixi), virtual environments of whatever made them (uv, poetry, pipenv,
pipx …), pyenv. Who knows of environments is asked (`~/.conda/environments.txt`, `envs_dirs`, `CONDA_EXE`,
`MAMBA_ROOT_PREFIX`, `WORKON_HOME` …), then it is looked where they usually are.
"""

import glob
import json
import os
import subprocess
import sys

MYPY = False
if MYPY:
    from typing import Dict, Iterator, List, Mapping, Optional

MOST = 200
TIMEOUT = 10.0
"""Seconds for what activates an environment."""
_PROJECT = (".venv", "venv", "env", ".pixi/envs/default")
"""Environments of a directory's own."""
_CONDA_ROOTS = ("~/*", "/opt/*", "/usr/local/*", "~/.local/share/*", "/opt/*/*")
_VENVS = (
    *("~/.virtualenvs/*", "~/.venvs/*", "~/venvs/*", "~/envs/*", "~/.pyenv/versions/*", "~/.local/share/virtualenvs/*"),
    *("~/.cache/pypoetry/virtualenvs/*", "~/.local/share/pipx/venvs/*", "~/.local/pipx/venvs/*", "~/.pixi/envs/*"),
    *("~/.local/share/uv/tools/*", "~/*", "~/*/.venv", "~/.conda/envs/*"),
)
_CONDARCS = (".condarc", ".mambarc", ".conda/.condarc", ".config/conda/.condarc", ".config/mamba/.mambarc")
_PROGRAMS = ("jupyter-lab", "jupyter-notebook", "jupyter-nbclassic", "jupyter-server")
_DUMP = "import json,os,sys;sys.stdout.write('\\nfarlab ' + json.dumps(dict(os.environ)))"


class Known(object):
    """A directory with `bin/python`."""

    def __init__(self, path: str, name: str = "") -> None:
        self.path = path
        self.is_conda = os.path.isdir(os.path.join(path, "conda-meta"))
        above, base = os.path.split(path)
        self.name = name or (os.path.basename(above) + "/" + base if base in _PROJECT else base)
        """As `conda env list` calls it, or as its directory is called."""
        pythons = [os.path.join(path, "bin", each) for each in ("python", "python3")]
        self.python = next((each for each in pythons if os.access(each, os.X_OK)), pythons[0])

    @property
    def has_jupyter(self) -> bool:
        """Whether it has a program that may be the server."""
        return any(os.path.exists(os.path.join(self.path, "bin", each)) for each in _PROGRAMS)

    def variables(self, environ: "Mapping[str, str]") -> "Dict[str, str]":
        """What activating it sets; what its own scripts say comes last, as conda has it."""
        before = environ.get("PATH", os.defpath).split(os.pathsep)
        left = environ.get("CONDA_PREFIX") if self.is_conda else environ.get("VIRTUAL_ENV")
        kept = [each for each in before if not left or os.path.dirname(each) != left]
        found = {"PATH": os.pathsep.join([os.path.join(self.path, "bin"), *kept])}
        if not self.is_conda:
            return dict(found, VIRTUAL_ENV=self.path)
        found.update(CONDA_PREFIX=self.path, CONDA_DEFAULT_ENV=self.name, CONDA_SHLVL="1")
        state = _json(os.path.join(self.path, "conda-meta", "state")).get("env_vars")
        for key, value in state.items() if isinstance(state, dict) else ():
            if isinstance(value, str) and value != "***unset***":
                found[key] = value
        scripts = sorted(glob.glob(os.path.join(glob.escape(self.path), "etc/conda/activate.d/*.sh")))
        return _sourced(scripts, dict(environ, **found), found) if scripts else found


def known(environ: "Mapping[str, str]", directory: "Optional[str]" = None) -> "Iterator[Known]":
    """Each once, at most `MOST`: the directory's own, then conda's, then others."""
    seen = []  # type: List[str]
    home = os.path.expanduser("~")
    own = [Known(os.path.join(directory, each)) for each in _PROJECT] if directory else []
    for each in (*own, *_conda(home, environ), *map(Known, _expanded(_venvs(environ)))):
        place = os.path.realpath(each.path)
        if place not in seen and len(seen) < MOST and os.access(each.python, os.X_OK) and _is_environment(each):
            seen.append(place)
            yield each


def _is_environment(found: Known) -> bool:
    is_pyenv = os.path.basename(os.path.dirname(found.path)) == "versions"
    return found.is_conda or is_pyenv or os.path.exists(os.path.join(found.path, "pyvenv.cfg"))


def _conda(home: str, environ: "Mapping[str, str]") -> "Iterator[Known]":
    listed = _lines(os.path.join(home, ".conda", "environments.txt"))
    roots = [environ.get("MAMBA_ROOT_PREFIX", ""), environ.get("CONDA_ROOT", ""), environ.get("CONDA_PREFIX", "")]
    roots += [os.path.dirname(os.path.dirname(environ[each])) for each in ("CONDA_EXE", "MAMBA_EXE") if each in environ]
    roots += [each[: -len("/conda-meta")] for each in _expanded([pattern + "/conda-meta" for pattern in _CONDA_ROOTS])]
    above = [os.path.dirname(os.path.dirname(each)) for each in (*listed, *roots) if "/envs/" in each]
    for root in (*listed, *roots, *above):
        if root and "/envs/" not in root:
            yield Known(root, "base" if _is_root(root) else "")
    folders = [os.path.join(each, "envs") for each in (*roots, *above) if each] + _envs_dirs(home, environ)
    for path in (*listed, *_expanded([glob.escape(each) + "/*" for each in folders])):
        if not _is_root(path):
            yield Known(path)


def _is_root(path: str) -> bool:
    return os.path.isdir(os.path.join(path, "envs")) or os.path.exists(os.path.join(path, "condabin"))


def _envs_dirs(home: str, environ: "Mapping[str, str]") -> "List[str]":
    """`envs_dirs` of conda's configuration: a list of YAML, one path a line."""
    found = [
        each for each in environ.get("CONDA_ENVS_PATH", environ.get("CONDA_ENVS_DIRS", "")).split(os.pathsep) if each
    ]
    files = [os.path.join(home, each) for each in _CONDARCS] + ["/etc/conda/.condarc", environ.get("CONDARC", "")]
    for path in filter(None, files):
        is_in = False
        for line in _lines(path):
            if is_in and line.startswith("-"):
                found.append(line[1:])
            else:
                is_in = line.startswith(("envs_dirs:", "envs_path:"))
                found += line.partition(":")[2].strip(" []").split(",") if is_in else []  # a list on one line
    plain = (each.strip(" '\"") for each in found)
    return [os.path.expanduser(os.path.expandvars(each)) for each in plain if each]


def _venvs(environ: "Mapping[str, str]") -> "List[str]":
    named = [(environ.get("WORKON_HOME"), "/*"), (environ.get("PYENV_ROOT"), "/versions/*")]
    return [glob.escape(place) + rest for place, rest in named if place] + list(_VENVS)


def _expanded(patterns: "List[str]") -> "List[str]":
    return [path for each in patterns for path in sorted(glob.glob(os.path.expanduser(each)))]


def _lines(path: str) -> "List[str]":
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line.strip() for line in file.read(1 << 20).splitlines() if line.strip()]
    except OSError:
        return []


def _json(path: str) -> "Dict[str, object]":
    try:
        found = json.loads("\n".join(_lines(path)))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _sourced(scripts: "List[str]", environ: "Dict[str, str]", found: "Dict[str, str]") -> "Dict[str, str]":
    """`found`, and what these scripts of a shell change in `environ`."""
    shell = "/bin/bash" if os.access("/bin/bash", os.X_OK) else "/bin/sh"
    line = 'p=$1; shift; for f in "$@"; do . "$f"; done >/dev/null 2>&1; exec "$p" -ISc "$FARLAB_DUMP"'
    argv, null = [shell, "-c", line, "activate", sys.executable, *scripts], subprocess.DEVNULL
    try:
        done = subprocess.run(
            argv, env=dict(environ, FARLAB_DUMP=_DUMP), stdin=null, stdout=subprocess.PIPE, stderr=null, timeout=TIMEOUT
        )
        after = json.loads(done.stdout.decode("utf-8", "replace").rpartition("\nfarlab ")[2])
    except (OSError, ValueError, subprocess.SubprocessError):
        return found
    private = ("_", "SHLVL", "PWD", "OLDPWD", "FARLAB_DUMP")
    changed = {key: after[key] for key in after if environ.get(key) != after[key] and key not in private}
    return dict(found, **changed)
