"""Programs of Jupyter's that are no script of a Python's: a wrapper, a shim, a container. Asked, and run as they are.

`jupyter-lab` and the like, and `jupyter`, which takes the app as its first word. A text without an interpreter is
run by sh, as every shell does. Standard library, Python 3.6.
"""

import errno
import os
import re
import subprocess

from farlab.host.jupyter_versions import APPS, FIRST_WITH_SERVER, PACKAGES, numbers

MYPY = False
if MYPY:
    from typing import Iterator, List, Mapping, Optional

    from farlab.host.jupyter_versions import Packages

TIMEOUT = 20.0


class Program(object):
    """One that may start the app."""

    def __init__(self, path: str, app: str) -> None:
        self.path, self.app = path, app
        self.said = ""
        """What it said in place of its version."""
        self._is_text = False

    @property
    def argv(self) -> "List[str]":
        """What starts the app."""
        words = [self.path] if os.path.basename(self.path) != "jupyter" else [self.path, self.app]
        return ["/bin/sh", *words] if self._is_text else words

    def ask(self, environ: "Mapping[str, str]") -> "Optional[Packages]":
        """What it says it is, by package; None where it does not come to its version."""
        try:
            said, status = self._version(environ)
        except (OSError, subprocess.SubprocessError) as error:
            self.said = str(error)
            return None
        version = re.search(r"^\d+(\.\d+\w*)+$", said, re.MULTILINE)
        if status or not version:
            self.said = said[-2000:]
            return None
        has_server = numbers(version.group()) >= FIRST_WITH_SERVER[self.app]
        server = {"versions": [version.group()] if self.app == "server" else [], "app": False, "knows_sock": None}
        itself = {"versions": [version.group()], "app": has_server, "knows_sock": None}
        return {"jupyter_server": server if has_server else {}, PACKAGES[self.app]: itself}

    def _version(self, environ: "Mapping[str, str]") -> "tuple[str, int]":
        """What it prints, and its exit status. Raises OSError and SubprocessError."""
        try:
            asked = subprocess.run(
                [*self.argv, "--version"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                timeout=TIMEOUT, cwd="/", env=environ,
            )  # fmt: skip
        except OSError as error:
            if error.errno == errno.ENOEXEC and not self._is_text:
                self._is_text = True
                return self._version(environ)
            if error.errno == errno.ENOENT and os.path.exists(self.path):
                raise OSError("%s: bad interpreter: %s" % (self.path, first_line(self.path)[2:])) from None
            raise
        return asked.stdout.decode("utf-8", "replace").strip(), asked.returncode


def first_line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.readline(200).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def programs(path: str) -> "Iterator[Program]":
    """The apps that a program may be; none where it is not one of Jupyter's."""
    name = os.path.basename(path)
    apps = APPS if name == "jupyter" else [name[len("jupyter-") :]] if name.startswith("jupyter-") else []
    for app in apps:
        if app in APPS:
            yield Program(path, app)
