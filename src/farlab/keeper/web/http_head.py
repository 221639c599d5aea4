"""Reads the head of an HTTP request, tells whom it is for, and adds the session's login to it.

It reads a head as Jupyter's server (Tornado) does, and refuses one where two readers could differ about whom it is for.
Pure: bytes in, values and bytes out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

LOOPBACKS = ("localhost", "127.0.0.1", "[::1]")
"""Names of this machine, which programs use instead of the session's own."""
_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:")
"""A field's name: RFC 9110, section 5.6.2."""
_VERSION = re.compile(r"HTTP/1\.[01]")
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]*")
_APP_PAGES = frozenset({"lab", "doc", "tree", "notebooks", "edit", "consoles", "terminals", "nbclassic", "login"})
"""First parts of the paths of pages that a user navigates to, in JupyterLab, Notebook 7 and nbclassic, and of Jupyter's
login page. Not among them: the API, files, and what extensions add."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request's first line and fields, their names in lower case."""

    method: str
    target: str
    version: str
    fields: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def is_page(self) -> bool:
        """Whether the response is shown to a user: a page of its own, not a frame, an API call or a handshake."""
        return (
            self.method == "GET"
            and "text/html" in self.fields.get("accept", "")
            and "upgrade" not in self.fields
            and self.fields.get("sec-fetch-dest", "document") == "document"
        )

    @property
    def is_navigation(self) -> bool:
        """Whether the user went there: typed, a bookmark, another program's link, or a page of the session itself.

        No other site's page can send these fields, nor can a script send those of a navigation (W3C Fetch Metadata).
        """
        fetch = [self.fields.get(f"sec-fetch-{name}") for name in ("mode", "dest", "site")]
        has_body = "content-length" in self.fields or "transfer-encoding" in self.fields
        is_plain = self.method == "GET" and not has_body and "upgrade" not in self.fields
        return is_plain and fetch[:2] == ["navigate", "document"] and fetch[2] in ("none", "same-origin")

    def is_for(self, name: str, port: int) -> bool:
        """Whether it is for the session: it has the session's own name or one of this machine's, and its port.

        A browser always sends a host, and its port unless that is 80: only a program sends less.
        """
        host = self.fields.get("host")
        if host is None:
            return self.version == "HTTP/1.0"
        return host in (*LOOPBACKS, *(f"{each}:{port}" for each in (name, *LOOPBACKS)))

    def is_below(self, name: str, port: int) -> bool:
        """Whether its host is below the session's own name, as in one-time addresses."""
        return self.fields.get("host", "").endswith(f".{name}:{port}")

    def wants_app(self, base: str) -> bool:
        """Whether it is for a page of the app; every path on the server begins with `base`, `/` or `/BASE/`."""
        inner = self.path.removeprefix(base) if self.path.startswith(base) else None
        return self.path == base.rstrip("/") or inner == "" or (inner or "").split("/")[0] in _APP_PAGES


def end_of_head(data: bytes, start: int = 0) -> int:
    """Where the head in `data` ends, 0 where it does not yet; it does not end before `start`."""
    found = _END.search(data, max(0, start - 3))
    return found.end() if found else 0


def can_be_head(data: bytes) -> bool:
    """Whether a head may begin like that: a TLS handshake, say, does not."""
    line, newline, _ = data.lstrip(b"\r\n").partition(b"\n")
    method, *rest = line.removesuffix(b"\r").split(b" ")
    is_whole = len(rest) == 2 and rest[1].startswith(b"HTTP/")
    return _METHOD.fullmatch(method) is not None and (is_whole or not newline)


def read(head: bytes) -> Request | None:
    """The request in `head`; None where it is malformed, or two readers could differ about whom it is for."""
    first, *lines = head.decode("latin-1").lstrip("\r\n").split("\n")
    words = first.removesuffix("\r").split(" ")
    if len(words) != 3 or not words[0] or not _VERSION.fullmatch(words[2]):
        return None
    fields: dict[str, str] = {}
    for line in (each.removesuffix("\r") for each in lines):
        if not line:
            break
        if not _FIELD.match(line):  # a continuation of the line before it is refused too
            return None
        key, _, value = line.partition(":")
        if key.lower() == "host" and "host" in fields:
            return None
        fields.setdefault(key.lower(), value.strip(" \t"))
    if words[2] == "HTTP/1.1" and "host" not in fields:
        return None
    return Request(words[0], words[1], words[2], fields)


def without_token(target: str) -> str:
    """A request's target without a token in its query."""
    path, _, query = target.partition("?")
    kept = "&".join(each for each in query.split("&") if not each.startswith("token="))
    return f"{path}?{kept}" if kept else path


def with_login(head: bytes, target: str, token: str) -> bytes:
    """`head`, asking for `target` and with the session's login; every other byte as it came."""
    first, newline, rest = head.lstrip(b"\r\n").partition(b"\n")
    method, _, version = first.split(b" ")
    line = b" ".join((method, target.encode("latin-1"), version))
    return line + newline + b"Authorization: token " + token.encode("ascii", "replace") + b"\r\n" + rest
