#!/usr/bin/env python3
"""Make what the scripts need: `install.py packages lab dev demo`, any of them; quick when it is there already.

    packages   Debian packages of the test bed (root)
    lab        a virtual environment with JupyterLab by the system's Python, for the bed's hosts (root), with a
               folder of what `--keep-output` installs there, and kernels of other kinds (100 MB, 45 of them to
               download, most of it Deno): they reach no network
    dev, demo  this checkout's `.venv`, with those extras

Standard library only: this runs before anything is installed. pip and apt follow their own files and variables.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
VENV = REPOSITORY / ".venv"
LAB = Path(os.environ.get("FARLAB_BED_LAB", "/opt/farlab-bed/lab"))
SYSTEM_PYTHON = "/usr/bin/python3"
POLICY = Path("/usr/sbin/policy-rc.d")
KERNELS = ("bash_kernel==0.10.0", "filetype==1.2.0", "deno==2.9.8", "xeus-python==0.19.0", "xeus-python-shell==0.8.1")
"""An ipykernel of another language, and two that know TCP only."""
PACKAGES = (REPOSITORY / "scripts/debian-packages.txt").read_text().split()


def run(*argv: str | Path, **options: object) -> None:
    """Run a program; where it fails, so do we, with its words on the screen."""
    print("+", *argv, file=sys.stderr)
    if code := subprocess.run([str(word) for word in argv], check=False, **options).returncode:  # type: ignore[call-overload]
        sys.exit(f"error: `{' '.join(map(str, argv))}` ended with {code}")


def packages() -> None:
    """Install the Debian packages that are missing. No daemon is started, now or at the next boot."""
    missing = [name for name in PACKAGES if not _is_installed(name)]
    if not missing:
        return
    with _no_daemons():
        run("apt-get", "update", "-q")
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "install", "-q", "-y", "--no-install-recommends", *missing, env=environment)
    if "openssh-server" in missing and shutil.which("systemctl"):
        subprocess.run(
            ["systemctl", "--quiet", "disable", "ssh.service", "ssh.socket"], check=False, capture_output=True
        )


def _is_installed(name: str) -> bool:
    shown = subprocess.run(["dpkg-query", "-W", "-f", "${Status}", name], capture_output=True, text=True, check=False)
    return shown.stdout == "install ok installed"


@contextlib.contextmanager
def _no_daemons() -> Iterator[None]:
    """While it lasts, packages start no service (invoke-rc.d(8)); an administrator's own policy is left alone."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def lab() -> None:
    """What the bed's hosts have as their Jupyter: readable by every user, byte-compiled."""
    wanted = next(word for word in _project()["optional-dependencies"]["demo"] if word.startswith("jupyterlab"))
    if not _is_stamped(LAB, "lab", wanted):
        _make_venv(LAB, SYSTEM_PYTHON)
        run(LAB / "bin/python", "-m", "pip", "install", "-q", wanted)
        run(LAB / "bin/python", "-m", "compileall", "-q", LAB / "lib", stdout=subprocess.DEVNULL)
        run("chmod", "-R", "a+rX", LAB)
        _stamp(LAB, "lab", wanted)
    wheels = runpy.run_path(str(REPOSITORY / "src/farlab/host/keep_output.py"))["PACKAGES"]
    if not _is_stamped(LAB, "wheels", repr(wheels)):
        words = ["download", "-q", "--no-deps", "--only-binary", ":all:", "-d", LAB / "wheels"]
        run(LAB / "bin/python", "-m", "pip", *words, *wheels)
        run("chmod", "-R", "a+rX", LAB / "wheels")
        _stamp(LAB, "wheels", repr(wheels))
    if not _is_stamped(LAB, "kernels", repr(KERNELS)):
        words = ["install", "-q", "--upgrade", "--no-deps", "--only-binary", ":all:", "--target", LAB / "kernels"]
        run(LAB / "bin/python", "-m", "pip", *words, *KERNELS)
        run("chmod", "-R", "a+rX", LAB / "kernels")
        _stamp(LAB, "kernels", repr(KERNELS))


def venv(extra: str) -> None:
    """This checkout, editable and byte-compiled, with an extra's dependencies."""
    project = _project()
    wanted = repr((project["dependencies"], project["optional-dependencies"][extra], project["scripts"]))
    if not _is_stamped(VENV, extra, wanted):
        if not _is_usable(VENV):
            _make_venv(VENV, sys.executable)
        run(VENV / "bin/python", "-m", "pip", "install", "-q", "-e", f"{REPOSITORY}[{extra}]")
        _stamp(VENV, extra, wanted)
    # as pip does for a user: the laptops of the tests cannot write here, and each command would compile all of it
    run(VENV / "bin/python", "-m", "compileall", "-q", REPOSITORY / "src")


def _project() -> dict:
    import tomllib  # not in older Pythons, to which `main` has a word to say

    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def _make_venv(directory: Path, python: str) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    made = subprocess.run([python, "-m", "venv", str(directory)], capture_output=True, text=True, check=False)
    if made.returncode:
        hint = "on Debian: `apt install python3-venv`"
        sys.exit(f"error: {python} cannot make a virtual environment\n{made.stdout}{made.stderr}\nhint: {hint}")


def _is_usable(directory: Path) -> bool:
    """Its Python still runs (the one it was made from may be gone) and is new enough."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    python = directory / "bin/python"
    return python.exists() and subprocess.run([python, "-c", check], check=False).returncode == 0


def _stamp_of(directory: Path, wanted: str) -> str:
    return hashlib.sha256(f"{directory} {wanted}".encode()).hexdigest()


def _is_stamped(directory: Path, name: str, wanted: str) -> bool:
    stamp = directory / f".{name}-installed"
    return stamp.exists() and stamp.read_text() == _stamp_of(directory, wanted) and _is_usable(directory)


def _stamp(directory: Path, name: str, wanted: str) -> None:
    (directory / f".{name}-installed").write_text(_stamp_of(directory, wanted))


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One installation at a time in this checkout and, for root, on this machine."""
    lock = Path("/run/lock/farlab-install") if os.geteuid() == 0 else REPOSITORY / ".venv.lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


PARTS = {"packages": packages, "lab": lab, "dev": lambda: venv("dev"), "demo": lambda: venv("demo")}


def main(names: list[str]) -> None:
    if sys.version_info < (3, 11):
        sys.exit(f"error: farlab needs Python 3.11 or later, and `{sys.executable}` is older")
    if unknown := [name for name in names if name not in PARTS]:
        sys.exit(f"error: no such part: {' '.join(unknown)}\n{__doc__}")
    with _alone():
        for name in names:
            PARTS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
