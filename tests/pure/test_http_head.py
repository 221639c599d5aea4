"""What the local address makes of a request's head: whose it is for, who gets the login, and what is changed in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farlab.keeper.web.http_head import Request, can_be_head, end_of_head, read, with_login, without_token

NAME, PORT = "gpu1-main.localhost", 8899
TYPED = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}


def head(*lines: str, first: str = "GET /lab HTTP/1.1", newline: str = "\r\n") -> bytes:
    return newline.join([first, *lines, "", ""]).encode("latin-1")


def asked(host: str | None, *, version: str = "HTTP/1.1") -> Request | None:
    return read(head(*([] if host is None else [f"Host: {host}"]), first=f"GET / {version}"))


@pytest.mark.parametrize(
    "host",
    [f"{NAME}:{PORT}", "localhost:8899", "127.0.0.1:8899", "[::1]:8899", "localhost", "127.0.0.1", "[::1]"],
)
def test_the_sessions_own_name_and_this_machines_are_its(host: str) -> None:
    request = asked(host)
    assert request
    assert request.is_for(NAME, PORT)


@pytest.mark.parametrize(
    "host",
    [
        NAME, f"{NAME}:80", f"{NAME}:88990", f"{NAME}.:8899", f"x.{NAME}:8899", "gpu2-main.localhost:8899", "",
        "x.localhost:8899", "localhost:8898", "127.0.0.1:", "127.0.0.2:8899", "[::ffff:127.0.0.1]:8899", "evil:8899",
        f"evil@{NAME}:8899", f"{NAME}:8899, evil", f"evil {NAME}:8899", "0.0.0.0:8899", "[::]:8899", ":8899",
    ],
)  # fmt: skip
def test_every_other_name_and_port_is_not(host: str) -> None:
    request = asked(host)
    assert request
    assert not request.is_for(NAME, PORT)


def test_only_an_old_program_needs_no_host() -> None:
    old = asked(None, version="HTTP/1.0")
    assert old
    assert old.is_for(NAME, PORT)
    assert asked(None) is None


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: localhost", "Host: evil"],
        ["Host: localhost", "host: localhost"],
        ["Host: localhost", " continued"],
        ["Host: localhost", "\tX: y"],
        ["Host : localhost"],
        ["X", "Host: localhost"],
        [": x", "Host: localhost"],
    ],
)
def test_a_head_that_two_readers_could_read_differently_is_none(lines: list[str]) -> None:
    assert read(head(*lines)) is None
    assert read(head(*lines, newline="\n")) is None


@pytest.mark.parametrize(
    "first", ["", "GET", "GET /", "GET  HTTP/1.1 x", "GET / HTTP/2", "GET / x HTTP/1.1", " / HTTP/1.1"]
)
def test_what_does_not_begin_as_a_request_is_none(first: str) -> None:
    assert read(head("Host: localhost", first=first)) is None


@given(st.binary(max_size=300))
def test_any_bytes_are_a_request_or_none(data: bytes) -> None:
    request = read(data)
    assert request is None or request.is_for(NAME, PORT) in (True, False)
    assert 0 <= end_of_head(data) <= len(data)


@pytest.mark.parametrize(("data", "end"), [(b"a\r\n\r\nb", 5), (b"a\n\nb", 3), (b"a\r\n\nb", 4), (b"a\r\n\r", 0)])
def test_a_head_ends_where_jupyters_server_says(data: bytes, end: int) -> None:
    assert end_of_head(data) == end
    assert max(end_of_head(data[:stop], stop - 1) for stop in range(1, len(data) + 1)) == end


# who is given the login -----------------------------------------------------------------------------------


def request(target: str = "/lab", method: str = "GET", **fields: str) -> Request:
    return Request(method, target, "HTTP/1.1", {key.replace("_", "-"): value for key, value in fields.items()})


def test_a_navigation_is_what_a_user_did_and_nothing_else() -> None:
    assert request(**TYPED).is_navigation
    assert request(**{**TYPED, "sec-fetch-site": "same-origin"}).is_navigation
    for key, value in (
        ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors"),
        ("sec-fetch-mode", "websocket"), ("sec-fetch-dest", "iframe"), ("sec-fetch-dest", "empty"),
        ("upgrade", "websocket"), ("content-length", "3"), ("transfer-encoding", "chunked"),
    ):  # fmt: skip
        assert not request(**{**TYPED, key: value}).is_navigation
    for key in TYPED:
        assert not request(**{name: value for name, value in TYPED.items() if name != key}).is_navigation
    assert not request(method="POST", **TYPED).is_navigation


@pytest.mark.parametrize("base", ["/", "/user/me/"])
@pytest.mark.parametrize(
    "inner",
    [
        "",
        "lab",
        "lab/tree/x.ipynb",
        "tree",
        "notebooks/x.ipynb",
        "edit/x",
        "lab?reset",
        "doc/tree/x",
        "login?next=/lab",
    ],
)
def test_the_pages_of_the_apps(base: str, inner: str) -> None:
    assert request(base + inner).wants_app(base)


@pytest.mark.parametrize("base", ["/", "/user/me/"])
@pytest.mark.parametrize(
    "inner",
    ["api", "api/kernels", "files/x.html", "logout", "labs", "/evil.example", "/lab", "proxy/8000/", "?/lab", "x/lab"],
)
def test_nothing_else_is_a_page_of_the_apps(base: str, inner: str) -> None:
    assert request(base + inner).wants_app(base) is (inner == "?/lab")  # that is the server's first page


def test_a_page_of_another_base_is_none_of_the_app() -> None:
    assert not request("/lab").wants_app("/user/me/")
    assert request("/user/me").wants_app("/user/me/")


# what is changed ------------------------------------------------------------------------------------------


@given(st.binary(max_size=50), st.sampled_from([b"\r\n", b"\n"]), st.sampled_from([b"", b"\r\n", b"\n\n"]))
def test_a_head_with_the_login_is_the_same_head_otherwise(body: bytes, newline: bytes, before: bytes) -> None:
    lines = [b"GET /lab?token=x HTTP/1.1", b"Host: localhost", b"Cookie: a=b", b"", b""]
    told = with_login(before + newline.join(lines) + body, "/lab", "secret")
    assert told.count(b"Authorization: token secret\r\n") == 1
    plain = told.replace(b"Authorization: token secret\r\n", b"", 1)
    assert plain == newline.join([b"GET /lab HTTP/1.1", *lines[1:]]) + body
    again = read(told[: end_of_head(told)])
    assert again
    assert again.fields["authorization"] == "token secret"


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/lab", "/lab"),
        ("/lab?token=x", "/lab"),
        ("/lab?reset&token=x&a=b", "/lab?reset&a=b"),
        ("/lab?token=x&token=", "/lab"),
        ("/lab?mytoken=x", "/lab?mytoken=x"),
        ("/lab?next=/x?token=y", "/lab?next=/x?token=y"),
    ],
)
def test_a_token_is_taken_out_of_a_target(target: str, kept: str) -> None:
    assert without_token(target) == kept


@pytest.mark.parametrize(
    ("data", "is_one"),
    [
        (b"", True),
        (b"\r\nG", True),
        (b"GET /" + b"x" * 9000, True),
        (b"GET / HTTP/1.1\r\nHost", True),
        (b"PRI * HTTP/2.0\r\n", True),
        (b"\x16\x03\x01\x02\x00\x01\x00", False),
        (b"\x05\x01\x00", False),
        (b"SSH-2.0-OpenSSH_9.2\r\n", False),
        (b"GET /\r\n", False),
    ],
)
def test_what_can_be_no_head_is_known_by_its_beginning(data: bytes, is_one: bool) -> None:
    assert can_be_head(data) is is_one
