"""Agent and anchor under every Python from 3.6 on that this machine has; the server's Python is another."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import steps
from address import session
from bed import LAB, Bed, Host, Laptop
from pythons import PYTHONS

PLACE = "/usr/local/other-python"
WRAPPER = f"""#!/bin/bash
# agent and anchor get the other Python, the host's Jupyter the host's own
case "$1 $2" in "-ISc "*) exec {PLACE}/bin/python3 "$@" ;; esac
exec -a "$0" {Path("/usr/bin/python3").resolve()} "$@"
"""
NOT_NEEDED = shutil.ignore_patterns(
    *("test", "tests", "site-packages", "config-*", "lib2to3", "idlelib", "tkinter", "ensurepip", "turtledemo"),
    *("pydoc_data", "unittest", "distutils", "lib2to3", "*.opt-1.pyc", "*.opt-2.pyc"),
)


@contextmanager
def other_python(host: Host, python: Path) -> Iterator[None]:
    """`/usr/bin/python3` of the host is this Python, for whoever brings a program along as the agent does."""
    place, wrapped = host.path(PLACE), host.path("/usr/bin/python3")
    asked = [python, "-Ic", "import sys, sysconfig; print(sys.executable); print(sysconfig.get_path('stdlib'))"]
    executable, library = map(Path, subprocess.check_output(asked, text=True).splitlines())
    shared = [each for each in library.parent.glob("libpython3.*.so.1.0") if each.is_file()]
    with host.hide("python3"):
        try:
            (place / "bin").mkdir(parents=True)
            shutil.copy(executable.resolve(), place / "bin/python3")
            shutil.copytree(library, place / "lib" / library.name, ignore=NOT_NEEDED)
            for each in shared:
                shutil.copy(each, host.path("/usr/lib") / each.name)
            wrapped.write_text(WRAPPER)
            wrapped.chmod(0o755)
            yield
        finally:
            wrapped.unlink(missing_ok=True)
            for each in shared:
                (host.path("/usr/lib") / each.name).unlink(missing_ok=True)
            shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("version", PYTHONS)
def test_a_session_begins_and_ends_under_each_python(laptop: Laptop, host: Host, bed: Bed, version: str) -> None:
    bed.fresh_home("alice")
    home = host.home("alice")
    (home / ".bashrc").write_text("export LC_ALL=C LANG=C\n")  # where an old Python knows no letters but ASCII
    assert host.run("alice", ["mkdir", "é ü"]).returncode == 0
    with other_python(host, PYTHONS[version]):
        words = ["--dir", "é ü", "--setup", "export WISH='ö'"]
        with session(laptop, "alice", *words) as address:
            [anchor] = [each for each in host.processes("alice") if each.argv[4:5] == ("farlab.host.anchor",)]
            told = host.run("alice", [f"{PLACE}/bin/python3", "-V"])
            assert version in told.stdout + told.stderr
            assert Path(f"/proc/{anchor.pid}/exe").readlink() == Path(f"{PLACE}/bin/python3")
            assert address.connected["dir"] == "/home/alice/é ü"
            assert address.connected["server"].startswith("JupyterLab 4")
            with address.kernel() as kernel:
                assert kernel.run("import os; print(os.environ['WISH'])") == "ö\n"
            [listed] = laptop.farlab("list", "--host", "alice", "--json").json["sessions"]
            assert (listed["state"], listed["dir"]) == ("up", "/home/alice/é ü")
            assert "ServerApp" in laptop.farlab("logs", "alice").out
        assert not host.left_over("alice")
    bed.fresh_home("alice")


def test_root_is_served_too(laptop: Laptop, host: Host) -> None:
    """As on a rented machine, or in a container."""
    keys = (host.path("/etc/ssh/keys/alice")).read_text()
    shadow = "echo 'toor:*:19000:0:99999:7:::' >>/etc/shadow"
    added = f"mkdir -p /toor && echo toor:x:0:0::/toor:/bin/bash >>/etc/passwd && {shadow} && cat >/etc/ssh/keys/toor"
    try:
        assert host.run("root", ["sh", "-c", added], stdin=keys).returncode == 0
        with session(laptop, "toor@login") as address, address.kernel() as kernel:
            assert kernel.run("import os; print(os.geteuid())") == "0\n"
    finally:
        host.run("root", ["sh", "-c", "sed -i /^toor:/d /etc/passwd /etc/shadow; rm -rf /toor /etc/ssh/keys/toor"])


WRAPPERS = {
    "sh -e, which does not become it": '#!/bin/sh -e\n{lab} "$@"\n',
    "a shim": '#!/usr/bin/env bash\nprogram="$(basename "$0")"\nexec $(dirname {lab})/$program "$@"\n',
    "what clears the environment": '#!/bin/bash\nexec env -i HOME="$HOME" SITE=1 PATH=/usr/bin:/bin {lab} "$@"\n',
    "jupyter, and what is no script": 'export SITE=1\nexec {jupyter} "$@" --ServerApp.terminals_enabled=False\n',
    "what adds to the path": (
        "#!/usr/bin/python3\nimport os, sys\nsys.path.insert(0, '{site}')\nos.environ['SITE'] = '1'\n"
        "from jupyterlab.labapp import main\nsys.exit(main())\n"
    ),
}
"""Programs first on PATH, `jupyter-lab` or, where the name begins so, `jupyter`."""


def wrap(home: Path, name: str, text: str) -> None:
    """A program in `~/sw/bin`, which is on the PATH of a login, in quotes as people write it."""
    wrapper = home / "sw/bin" / name
    wrapper.parent.mkdir(parents=True)
    [site] = LAB.glob("lib/python3*/site-packages")
    wrapper.write_text(text.format(lab=f"{LAB}/bin/jupyter-lab", jupyter=f"{LAB}/bin/jupyter", site=site))
    wrapper.chmod(0o755)
    (home / ".bash_profile").write_text('export PATH="~/sw/bin:/usr/bin:/bin"\n')


@pytest.mark.parametrize("what", WRAPPERS)
def test_a_wrapper_starts_jupyter_through_itself(laptop: Laptop, host: Host, bed: Bed, what: str) -> None:
    home = host.home("cora")
    bed.fresh_home("cora")
    wrap(home, "jupyter" if what.startswith("jupyter") else "jupyter-lab", WRAPPERS[what])
    (home / ".jupyter").mkdir()
    (home / ".jupyter/jupyter_server_config.py").write_text("c.ServerApp.base_url = '/mine'\nc.ServerApp.port = 4444\n")
    before = host.listening()
    with session(laptop, "cora", "--dir", "sw") as address:
        assert address.connected["server"].startswith("JupyterLab 4")
        assert address.ask("GET", "/mine/api/status", Authorization="")[0] == 403
        if what == "what adds to the path":  # its kernels have no such way, by hand neither
            return
        with address.kernel() as kernel:
            assert kernel.run("import os; print(os.environ.get('SITE'), os.getcwd())").endswith(" /home/cora/sw\n")
            assert (
                kernel.run("print([each for each in os.environ if 'FARLAB' in each or 'CONFIG_PATH' in each])")
                == "[]\n"
            )
        assert host.listening() == before | {each for each in host.listening() if each.startswith("unix")}
    bed.fresh_home("cora")


NAMES = {
    "an alias of bash": (".bash_profile", "export PATH=/usr/bin:/bin\nalias jupyter='SITE=1 {jupyter}'\n"),
    "a function of zsh": (".zshrc", 'export PATH=/usr/bin:/bin\njupyter() {{ SITE=1 {jupyter} "$@"; }}\n'),
}


@pytest.mark.parametrize("what", NAMES)
def test_a_name_that_only_the_shell_knows_starts_jupyter(laptop: Laptop, host: Host, bed: Bed, what: str) -> None:
    bed.fresh_home("cora")
    home = host.home("cora")
    name, text = NAMES[what]
    (home / ".bash_profile").write_text("exec zsh\n")
    (home / name).write_text(text.format(jupyter=f"{LAB}/bin/jupyter"))
    (home / "my files").mkdir()
    before = {it.key for it in host.processes("cora")}
    with session(laptop, "cora", "--dir", "my files") as address:
        assert address.connected["server"].startswith("JupyterLab 4")
        with address.kernel() as kernel:
            assert kernel.run("import os; print(os.environ.get('SITE'), os.getcwd())") == "1 /home/cora/my files\n"
            ours = ("FARLAB", "CONFIG_PATH", "HISTFILE", "SSH_TTY")
            assert kernel.run(f"print([each for each in os.environ if any(it in each for it in {ours})])") == "[]\n"
        shells = [it for it in host.processes("cora") if it.key not in before and it.name in ("bash", "zsh")]
        assert not shells
    bed.fresh_home("cora")


def test_a_wrapper_that_passes_on_nothing_is_an_error_at_once(laptop: Laptop, host: Host, bed: Bed) -> None:
    bed.fresh_home("cora")
    clean = "env -i HOME=$HOME PATH=/usr/bin:/bin"
    wrap(
        host.home("cora"),
        "jupyter-lab",
        f"#!/bin/sh\n[ $1 = --version ] && exec {{lab}} $1\n{clean} {{lab}} --port=0\n",
    )
    ran, error = steps.refused_connect(laptop, "cora")
    assert (error["code"], "passes on neither" in error["hint"]) == ("server-failed", True), error
    assert ran.seconds < 30
    bed.fresh_home("cora")
