"""The addresses of a session, and the one page that the keeper itself gives to a browser."""

from __future__ import annotations

import hashlib
import html
import re
from urllib.parse import quote, urlencode

from ...advice import command
from ...durations import format_duration
from ...model import State, Target

_PLACES = {"lab": "lab", "notebook": "tree", "nbclassic": "tree", "server": ""}
_OPENERS = {"lab": "lab/tree/", "notebook": "notebooks/", "nbclassic": "notebooks/", "server": "files/"}
_WORDS = {
    State.CONNECTING: ("Connecting to {host}", "This page reloads as soon as {host} answers."),
    State.ASKING: ("<code>ssh</code> has a question", "Answer it in the terminal where <code>{connect}</code> runs."),
    State.STARTING: ("The notebook server on {host} is starting", "This page reloads as soon as it answers."),
    State.SILENT: ("{host} does not answer", "farlab is opening another connection. This page reloads once it is up."),
    State.DOWN: (
        "Cannot reach {host}",
        "farlab keeps trying; <code>{connect}</code> tries at once. This page reloads when {host} answers.",
    ),
    State.BLOCKED: ("Action required", "Run <code>{connect}</code> in a terminal to continue."),
    State.ENDED: ("The session has ended", "Run <code>{connect}</code> in a terminal to start a new one."),
}
"""What is going on, and what comes next or what to type. UP needs no such page."""
_HOW_LONG = {State.ENDED: "{} ago. "}
_STYLE = (
    ":root{color-scheme:light dark}body{font:1.05rem/1.6 system-ui,sans-serif;max-width:36rem;margin:18vh auto;"
    "padding:0 1.5rem;color:#222;background:#fff}h1{font-size:1.5rem;font-weight:600;margin:0}p{margin:.4rem 0}"
    ".dim,pre{color:#5c5c5c}code,pre{font-family:ui-monospace,monospace;font-size:.95em}"
    "code{background:#f0f0f0;padding:.1em .35em;border-radius:.25em;box-decoration-break:clone;"
    "-webkit-box-decoration-break:clone}"
    "pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:.2rem solid #ddd;padding-left:.8rem;margin:1.2rem 0}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#1b1b1b}.dim,pre{color:#a5a5a5}"
    "code{background:#2d2d2d}pre{border-color:#444}}"
)
_AGAIN = {State.BLOCKED: 3, State.ENDED: None}
"""Seconds until the page loads itself again, 1 unless named: the next one is held back until there is something new."""


_UNQUOTED = "/%:@!$&'()*+,;="
"""What a path may hold beside letters and digits (RFC 3986, section 3.3); it comes quoted already."""
_USUAL_NAME = Target(host="any").name
_PLAIN_HOST = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_PLAIN_NAME = re.compile(r"[a-z0-9]+")
_LONGEST_LABEL = 63
"""RFC 1035, section 2.3.4."""


def label(target: Target) -> str:
    """The host name under `.localhost` that belongs to this session alone: cookies ignore ports, but not names.

    `HOST-NAME` where nothing else can be read from it, else that as far as it goes and a mark of its own. An alias of
    another `ssh_config` is another host.
    """
    host, name = target.host, target.name
    whole, exact = f"{host}-{name}", "\0".join(filter(None, (host, name, target.ssh_config)))
    is_plain = _PLAIN_HOST.fullmatch(host) and _PLAIN_NAME.fullmatch(name) and not target.ssh_config
    if is_plain and len(whole) <= _LONGEST_LABEL:
        return whole
    mark = hashlib.sha256(exact.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower())[: _LONGEST_LABEL - len(mark) - 1].strip("-")
    return f"{plain}-{mark}".strip("-")


def path(app: str, base_url: str, notebook: str | None) -> str:
    """Where the app, or one notebook in it, is found on the server."""
    base = base_path(base_url)
    if notebook:
        return base + _OPENERS.get(app, "lab/tree/") + quote(notebook.lstrip("/"), errors="surrogateescape")
    return base + _PLACES.get(app, "lab")


def base_path(base_url: str) -> str:
    """What everything on the server begins with: `/`, or `/BASE/`."""
    inner = quote(base_url.strip("/"), safe=_UNQUOTED)
    return f"/{inner}/" if inner else "/"


def with_token(place: str, token: str) -> str:
    return f"{place}?{urlencode({'token': token})}"


def waiting_page(target: Target, state: State, seconds: float, reason: str) -> str:
    """What a person who waits for a page is told: what is going on, for how long, what to type. Loads itself again."""
    host = html.escape(target.host)
    session = host if target.name == _USUAL_NAME else f"{host}, session {html.escape(target.name)}"
    title, next_step = (
        text.format(host=host, connect=html.escape(command(target, "connect"))) for text in _WORDS[state]
    )
    again = _AGAIN.get(state, 1)
    refresh = f'<meta http-equiv="refresh" content="{again}">' if again else ""
    how_long = _HOW_LONG.get(state, "For {} now. ").format(format_duration(round(seconds))) if round(seconds) else ""
    why = f"<pre>{html.escape(reason.strip())}</pre>" if reason.strip() else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f"<title>{host}: farlab</title><style>{_STYLE}</style>"
        f'<p class="dim">farlab · {session}</p><h1>{title}</h1><p>{how_long}{next_step}</p>{why}'
    )
