"""The keeper's own HTTP responses to a browser, its status page among them. Pure: values in, bytes or text out."""

from __future__ import annotations

import html

from ...advice import command
from ...durations import format_duration
from ...model import State, Target

_DEFAULT_NAME = Target(host="any").name
_TEXTS = {
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
"""The title, and what happens next or what to type. UP needs no such page."""
_SIGN_IN = (
    "Run <code>{open}</code> in a terminal: it opens the notebook here. <code>{url}</code> prints the address with "
    "its token, for another browser or program."
)
_DURATION = {State.ENDED: "{} ago. "}
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
_RELOAD_AFTER = {State.BLOCKED: 3, State.ENDED: None}
"""Seconds until the page reloads itself (default: 1). The proxy delays the next one until there is news."""


def response(status: str, body: str, *fields: str) -> bytes:
    """A whole HTTP response, which closes the connection."""
    content = body.encode()
    lines = [
        f"HTTP/1.1 {status}",
        "Content-Type: text/html; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Referrer-Policy: no-referrer",
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        "X-Frame-Options: DENY",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def status_page(target: Target, state: State, seconds: float, reason: str) -> str:
    """What a user who waits for the notebook sees: the state, for how long, what to type. Reloads itself."""
    title, next_step = _TEXTS[state]
    how_long = _DURATION.get(state, "For {} now. ").format(format_duration(round(seconds))) if round(seconds) else ""
    page = _page(target, title, how_long + next_step, _RELOAD_AFTER.get(state, 1))
    return page + (f"<pre>{html.escape(reason.strip())}</pre>" if reason.strip() else "")


def sign_in_page(target: Target) -> str:
    """What a browser without a login sees, instead of Jupyter's page, which asks for a token."""
    return _page(target, "This browser is not signed in", _SIGN_IN, None)


def _page(target: Target, title: str, text: str, reload_after: int | None) -> str:
    host = html.escape(target.host)
    session = host if target.name == _DEFAULT_NAME else f"{host}, session {html.escape(target.name)}"
    words = {verb: html.escape(command(target, verb)) for verb in ("connect", "open", "url")}
    refresh = f'<meta http-equiv="refresh" content="{reload_after}">' if reload_after else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f"<title>{host}: farlab</title><style>{_STYLE}</style>"
        f'<p class="dim">farlab · {session}</p><h1>{title.format(host=host)}</h1>'
        f"<p>{text.format(host=host, **words)}</p>"
    )
