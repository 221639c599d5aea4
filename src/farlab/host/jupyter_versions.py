"""What can be had of Jupyter packages, by their versions. Pure. Standard library, Python 3.6."""

MYPY = False
if MYPY:
    from typing import Any, Dict, List, Optional, Tuple

    Package = Dict[str, Any]
    Packages = Dict[str, Package]
    Offer = Tuple[Optional[str], Optional[str], Optional[str]]

APPS = ("lab", "notebook", "nbclassic", "server")
PACKAGES = {"lab": "jupyterlab", "notebook": "notebook", "nbclassic": "nbclassic", "server": "jupyter_server"}
TITLES = {"lab": "JupyterLab", "notebook": "Jupyter Notebook", "nbclassic": "nbclassic", "server": "Jupyter Server"}
OLDEST = (1, 9)
"""The first Jupyter Server that listens on a private socket."""
FIRST_WITH_SERVER = {"lab": (3,), "notebook": (7,), "nbclassic": (0,), "server": (0,)}
"""The first version of each that runs on Jupyter Server."""


def choice(found: "Packages", wanted: "Optional[str]") -> "Offer":
    """`Environment.offer` for what a Python has."""
    reason = None
    for app in [wanted] if wanted else APPS:
        package = found.get(PACKAGES[app])
        if not package:
            continue
        version = numbers(newest(package))
        title = ("%s %s" % (TITLES[app], newest(package))).strip()
        if version and version < FIRST_WITH_SERVER[app] and app != "notebook":  # whatever server is beside it
            reason = reason or "%s; farlab needs %d or later" % (title, *FIRST_WITH_SERVER[app])
        elif not found.get("jupyter_server"):
            reason = reason or "%s without Jupyter Server %d.%d or later, which farlab needs" % (title, *OLDEST)
        elif is_old(found["jupyter_server"]):
            server = "Jupyter Server %s" % newest(found["jupyter_server"])
            on = "" if app == "server" else title + " with "
            reason = reason or "%s%s; farlab needs %d.%d or later" % (on, server, *OLDEST)
        elif reason and app == "server" and not wanted:
            break  # pages are what the user has, and a bare server has none
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
    found: "List[int]" = []
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
