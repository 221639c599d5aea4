"""The token is the token, whatever the user's configuration says; and a server that would open to all never does."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from address import session
from bed import Bed, Host, Laptop
from errors_page import assert_shown
from host_parts import write_home
from steps import refused_connect as refused

PORT = 47123
HEAD = """
from jupyter_server.auth.identity import IdentityProvider, LegacyIdentityProvider, PasswordIdentityProvider, User
c = get_config()
"""
THEIRS = {
    "a subclass with a token of its own": """
class Mine(PasswordIdentityProvider):
    token = "dev-notebook-token"
c.ServerApp.identity_provider_class = Mine
c.ServerApp.allow_unauthenticated_access = True
c.ServerApp.disable_check_xsrf = True
c.ServerApp.ssl_options = {"ssl_version": 2}
c.ServerApp.tornado_settings = {"token": ""}
""",
    "the legacy provider, without a token": """
c.ServerApp.identity_provider_class = LegacyIdentityProvider
c.LegacyIdentityProvider.token = ""
c.ServerApp.LegacyIdentityProvider.token = ""
c.ServerApp.token = ""
c.ServerApp.allow_remote_access = True
c.ServerApp.certfile = "/home/alice/none.pem"
""",
}
OPEN = """
class Open(PasswordIdentityProvider):
    def get_user(self, handler):
        with open("/home/alice/seen", "a") as file:
            file.write(handler.request.uri + "\\n")
        return User("anybody")
c.ServerApp.identity_provider_class = Open
"""
FIXED = """
class Fixed(PasswordIdentityProvider):
    token = property(lambda self: "theirs")
c.ServerApp.identity_provider_class = Fixed
"""
DEAF = """
class Deaf(PasswordIdentityProvider):
    def get_user(self, handler):
        return None
c.ServerApp.identity_provider_class = Deaf
"""
KNOCK = """
import socket, sys
while True:
    try:
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as sock:
            sock.sendall(b"GET /api/kernels HTTP/1.1\\r\\nHost: 127.0.0.1:%s\\r\\n\\r\\n" % sys.argv[1].encode())
            print("knocked", flush=True)
            sock.recv(1)
    except OSError:
        pass
"""


@pytest.fixture
def alice(bed: Bed, host: Host) -> Iterator[Path]:
    bed.fresh_home("alice")
    yield host.home("alice")
    bed.fresh_home("alice")


def configure(host: Host, text: str) -> None:
    write_home(host, "alice", ".jupyter/jupyter_server_config.py", HEAD + text)


@pytest.mark.parametrize("text", THEIRS.values(), ids=THEIRS)
def test_the_token_is_farlabs_whoever_lets_users_in(laptop: Laptop, host: Host, alice: Path, text: str) -> None:
    configure(host, text)
    with session(laptop, "alice") as address:
        assert address.ask("GET", "/api/status")[0] == 200
        for login in ("", "token ", "token dev-notebook-token"):
            assert address.ask("GET", "/api/status", Authorization=login)[0] == 403
            assert address.ask("POST", "/api/kernels", "{}", Authorization=login)[0] == 403
        with address.kernel() as kernel:
            assert kernel.run("print(6 * 7)") == "42\n"
        assert address.token not in laptop.farlab("logs", "alice").out


def test_a_server_that_lets_in_whoever_asks_is_ended_before_anybody_could_ask(
    laptop: Laptop, host: Host, alice: Path
) -> None:
    """A program on the laptop asks all the while."""
    configure(host, OPEN)
    with laptop.popen("/usr/bin/python3", "-c", KNOCK, str(PORT), stdout=subprocess.PIPE) as knocking:
        try:
            ran, error = refused(laptop, "alice", "--port", str(PORT))
        finally:
            knocking.kill()
        assert b"knocked" in knocking.communicate()[0]
    assert (ran.code, error["code"]) == (7, "server-failed")
    assert_shown(error["message"], "server-failed", 1)
    assert ".jupyter" in error["hint"]
    assert set((alice / "seen").read_text().split()) == {"/api/status"}
    assert not host.processes("alice")


@pytest.mark.parametrize(("text", "name"), [(FIXED, "Fixed"), (DEAF, "Deaf")])
def test_a_server_that_does_not_take_the_token_is_an_error_that_names_who_decides(
    laptop: Laptop, host: Host, alice: Path, text: str, name: str
) -> None:
    configure(host, text)
    ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (7, "server-failed")
    assert "identity_provider_class" in error["message"]
    assert name in error["message"]


def test_a_base_url_below_which_nothing_is_found_is_an_error_that_names_it(
    laptop: Laptop, host: Host, alice: Path
) -> None:
    configure(host, 'c.ServerApp.base_url = "/my notebooks/"')
    ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (7, "server-failed")
    assert "base_url" in error["message"]
    assert "/my notebooks/" in error["message"]
    assert "identity_provider" not in error["message"]
