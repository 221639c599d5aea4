"""The addresses of a session, and the one page that the keeper itself gives to a browser."""

from __future__ import annotations

import hashlib
import html
import re
from urllib.parse import quote, urlencode

from ..model import State, Target

_PLACES = {"lab": "lab", "notebook": "tree", "nbclassic": "tree", "server": ""}
_OPENERS = {"lab": "lab/tree/", "notebook": "notebooks/", "nbclassic": "notebooks/", "server": "files/"}
_WORDS = {
    State.CONNECTING: "connecting to {host}",
    State.ASKING: "ssh asks something: look at the terminal where <code>farlab connect</code> runs",
    State.STARTING: "{host} answers; the notebook server is starting",
    State.SILENT: "{host} is silent; trying another way",
    State.DOWN: "{host} cannot be reached; trying again until it can",
    State.BLOCKED: "only you can help here: type <code>farlab connect {host}</code> in a terminal",
    State.ENDED: "the session has ended; <code>farlab connect {host}</code> starts a new one",
}


_PLAIN_HOST = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PLAIN_NAME = re.compile(r"[a-z0-9]+")
_LONGEST_LABEL = 63
"""RFC 1035, section 2.3.4."""


def label(target: Target) -> str:
    """The host name under `.localhost` that belongs to this session alone: cookies ignore ports, but not names.

    `HOST-NAME` where nothing else can be read from it, else that as far as it goes and a mark of its own.
    """
    host, name = target.host, target.name
    whole = f"{host}-{name}"
    if _PLAIN_HOST.fullmatch(host) and _PLAIN_NAME.fullmatch(name) and len(whole) <= _LONGEST_LABEL:
        return whole
    mark = hashlib.sha256(f"{host}\0{name}".encode()).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower())[: _LONGEST_LABEL - len(mark) - 1].strip("-")
    return f"{plain}-{mark}".strip("-")


def path(app: str, base_url: str, notebook: str | None) -> str:
    """Where the app, or one notebook in it, is found on the server."""
    base = "/" + base_url.strip("/") + "/" if base_url.strip("/") else "/"
    if notebook:
        return base + _OPENERS.get(app, "lab/tree/") + quote(notebook.lstrip("/"))
    return base + _PLACES.get(app, "lab")


def with_token(place: str, token: str) -> str:
    return f"{place}?{urlencode({'token': token})}"


def waiting_page(target: Target, state: State, seconds: float, reason: str) -> str:
    """What a person who waits for a page is told; it loads itself again."""
    words = _WORDS.get(state, "").format(host=html.escape(target.host))
    again = "" if state is State.ENDED else '<meta http-equiv="refresh" content="3">'
    why = f"<pre>{html.escape(reason)}</pre>" if reason else ""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8>{again}<title>farlab: {html.escape(target.host)}</title>"
        "<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:38rem;margin:20vh auto;padding:0 1rem;"
        "color:#222;background:#fff}@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}}"
        "pre{white-space:pre-wrap;color:#777}</style>"
        f"<h1>{html.escape(target.host)}: {html.escape(target.name)}</h1><p>{words} "
        f"({int(seconds)} s).</p>{why}"
    )
