"""The addresses of a session on this machine. Pure: values in, text out."""

from __future__ import annotations

import hashlib
import posixpath
import re
from urllib.parse import quote

from ...model import Target
from ...protocol.mux_messages import SessionInfo

_APP_PATHS = {"lab": "lab", "notebook": "tree", "nbclassic": "tree", "server": ""}
_NOTEBOOK_PATHS = {"lab": "lab/tree/", "notebook": "notebooks/", "nbclassic": "notebooks/", "server": "files/"}
_UNQUOTED = "/%:@!$&'()*+,;="
"""What a path may contain beside letters and digits (RFC 3986, section 3.3); it comes quoted already."""
_PLAIN_HOST = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PLAIN_NAME = re.compile(r"[a-z0-9]+")
_MAX_LABEL = 63
"""RFC 1035, section 2.3.4."""


def label(target: Target) -> str:
    """The host name under `.localhost` that belongs to this session alone: cookies ignore ports, but not names.

    `HOST-NAME` where that is unambiguous, else as much of it as fits and a hash. An alias of another `ssh_config` is
    another host.
    """
    host, name = target.host, target.name
    whole, exact = f"{host}-{name}", "\0".join(filter(None, (host, name, target.ssh_config)))
    is_plain = _PLAIN_HOST.fullmatch(host) and _PLAIN_NAME.fullmatch(name) and not target.ssh_config
    if is_plain and len(whole) <= _MAX_LABEL:
        return whole
    digest = hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower())[: _MAX_LABEL - len(digest) - 1].strip("-")
    return f"{plain}-{digest}".strip("-")


def app_path(app: str, base_url: str, notebook: str | None) -> str:
    """The path of the app, or of one notebook in it, on the server."""
    base = base_path(base_url)
    if notebook:
        return base + _NOTEBOOK_PATHS.get(app, "lab/tree/") + quote(notebook.lstrip("/"), errors="surrogateescape")
    return base + _APP_PATHS.get(app, "lab")


def places_of(notebook: str, session: SessionInfo) -> list[str]:
    """Where the server may have a notebook that the user names as the host does: paths below the server's root.

    A relative path starts at the session's directory, else at the root; none where it is outside.
    """
    root = session.root or session.directory
    if not root:  # the session does not say
        return [notebook.lstrip("/")]
    starts = [session.directory, root]
    if notebook == "~" or notebook.startswith("~/"):
        starts, notebook = [session.home], notebook[2:]
    for named, real in ((session.named_home, session.home), (session.asked, session.directory)):
        if named.startswith("/") and notebook.startswith(named.rstrip("/") + "/"):
            notebook = real + notebook[len(named.rstrip("/")) :]
            break
    paths = (posixpath.normpath(posixpath.join(start, notebook)) for start in starts)
    below = f"/{root.strip('/')}/".replace("//", "/")
    found = [f"/{path.lstrip('/')}" for path in paths]
    return list(dict.fromkeys(path[len(below) :] for path in found if path.startswith(below)))


def base_path(base_url: str) -> str:
    """What everything on the server begins with: `/`, or `/BASE/`."""
    inner = quote(base_url.strip("/"), safe=_UNQUOTED)
    return f"/{inner}/" if inner else "/"
