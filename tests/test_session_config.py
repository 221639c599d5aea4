"""The user's own Jupyter configuration stays in force, and what a session needs holds all the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from address import Address, session
from bed import Bed, Host

FACTS = "facts.json"
OWN = """
c = get_config()
c.ServerApp.base_url = "/mine/"
c.ServerApp.tornado_settings = {"headers": {"X-Mine": "yes"}, "ws_ping_interval": 30000, "mine": 1}
c.ServerApp.port = 9999
c.ServerApp.ip = "0.0.0.0"
c.ServerApp.token = ""
c.IdentityProvider.token = ""
c.PasswordIdentityProvider.hashed_password = "sha1:000000000000:0000000000000000000000000000000000000000"
c.ServerApp.root_dir = "/home/alice/work"
c.ServerApp.certfile = "/home/alice/mycert.pem"
c.ServerApp.keyfile = "/home/alice/mykey.key"
c.PasswordIdentityProvider.token = ""
c.PasswordIdentityProvider.need_token = False
c.ServerApp.local_hostnames = ["mine.example"]
c.ServerApp.websocket_url = "ws://elsewhere.example:8888"
c.ServerApp.ssl_options = {"certfile": "/home/alice/mycert.pem", "keyfile": "/home/alice/mykey.key"}
c.ServerApp.sock = "/tmp/mine.sock"
c.ServerApp.sock_mode = "0666"
c.LabApp.open_browser = True
c.ServerApp.open_browser = True
c.KernelManager.transport = "tcp"
c.ZMQChannelsWebsocketConnection.iopub_msg_rate_limit = 17
c.MappingKernelManager.cull_interval = 4321

def facts(model, contents_manager, **kwargs):
    import json, os, sys
    app = contents_manager.parent
    words = {
        "argv": open("/proc/self/cmdline").read().split("\\0"),
        "grammar": "rfc3987_syntax" in sys.modules or "lark" in sys.modules,
        "jsonschema": "jsonschema" in sys.modules,
        "path": os.environ["PATH"],
        "umask": os.popen("umask").read().strip(),
        "ping": app.web_app.settings["ws_ping_interval"],
        "mine": app.web_app.settings["mine"],
        "limited": str(app.config.ZMQChannelsWebsocketConnection.limit_rate),
        "cull": app.kernel_manager.cull_interval,
    }
    with open(os.path.expanduser("~/facts.json"), "w") as file:
        json.dump(words, file)

c.FileContentsManager.pre_save_hook = facts
"""


@pytest.fixture(scope="module")
def own(bed: Bed) -> Iterator[Address]:
    """A session of alice's, who has configured everything that could get in the way."""
    bed.fresh_home("alice")
    script = "echo umask 022 >.bash_profile; mkdir -p .jupyter work && cat >.jupyter/jupyter_server_config.py"
    written = bed.login.run("alice", ["sh", "-c", script], stdin=OWN)
    assert written.returncode == 0, written
    laptop = bed.add_laptop()
    with session(laptop, "alice") as address:
        yield address
    bed.remove(laptop)
    bed.fresh_home("alice")


@pytest.fixture(scope="module")
def facts(own: Address, bed: Bed) -> dict[str, Any]:
    """What the server itself says of itself."""
    content = json.dumps({"type": "file", "format": "text", "content": "x"})
    status, _, answer = own.ask("PUT", "/mine/api/contents/x.txt", content)
    assert status == 201, answer
    words: dict[str, Any] = json.loads((bed.login.home("alice") / FACTS).read_text())
    return words


def test_the_users_base_url_is_in_the_address(own: Address) -> None:
    assert "/mine/lab?token=" in own.connected["url"]
    status, _, content = own.ask("GET", "/mine/api/status")
    assert status == 200, content
    assert own.ask("GET", "/api/status")[0] == 404


def test_the_users_settings_are_merged_with_ours(own: Address, facts: dict[str, Any]) -> None:
    assert own.ask("GET", "/mine/api/status")[1]["x-mine"] == "yes"
    assert (facts["mine"], facts["cull"]) == (1, 4321)
    assert facts["ping"] == 0
    assert facts["limited"] == "False"


def test_the_users_root_directory_holds_unless_another_is_asked_for(own: Address, host: Host) -> None:
    assert (host.home("alice") / "work").is_dir()
    names = [each["name"] for each in json.loads(own.ask("GET", "/mine/api/contents")[2])["content"]]
    assert ".jupyter" not in names
    assert "work" not in names


def test_a_token_that_the_user_switched_off_is_required_all_the_same(own: Address) -> None:
    for path in ("/mine/api/status", "/mine/api/contents", "/mine/api/kernels"):
        assert own.ask("GET", path, Authorization="")[0] == 403
        assert own.ask("GET", path, Authorization="token ")[0] == 403
        assert own.ask("GET", path)[0] == 200
    assert own.ask("POST", "/mine/api/kernels", "{}", Authorization="")[0] == 403


def test_kernels_speak_over_private_sockets_and_open_no_port(own: Address, host: Host) -> None:
    before = {each for each in host.listening() if each.startswith("tcp")}
    assert {each.rpartition(":")[2] for each in before} == {"22", "2222"}
    with own.kernel() as kernel:
        [file] = host.path("/tmp/farlab-2001/main").glob("kernel-*.json")
        words = json.loads(file.read_text())
        assert words["transport"] == "ipc"
        assert words["ip"].startswith("/tmp/farlab-2001/main/kernel-")
        ports = [each.rpartition(":")[2] for each in host.listening() if each.startswith("tcp") and each not in before]
        assert ports == []  # nor ipykernel's own inbox for forked children
        assert kernel.run("print('my secret' * 2)") == "my secretmy secret\n"


def test_the_server_started_without_the_grammar_nobody_needs_and_kernels_have_it(
    own: Address, facts: dict[str, Any]
) -> None:
    assert facts["jsonschema"]
    assert not facts["grammar"]
    with own.kernel() as kernel:
        assert kernel.run("import rfc3987_syntax, jsonschema; print(rfc3987_syntax.__name__)") == "rfc3987_syntax\n"


def test_the_path_is_whole_again_once_the_server_runs(own: Address, facts: dict[str, Any], host: Host) -> None:
    login = own.laptop.ssh("alice", """bash -lic 'echo "PATH=$PATH"' </dev/null""").out.split("PATH=")[1].strip()
    node = [each for each in login.split(":") if host.path(each + "/node").exists()]
    assert node, "the host has no `node`, whose absence is what this is about"
    assert facts["path"] == login
    with own.kernel() as kernel:
        assert kernel.run("import os; print(os.environ['PATH'])").strip() == login


def test_what_a_session_writes_of_its_own_is_for_its_user_alone(own: Address, host: Host) -> None:
    with own.kernel():
        for top in (host.path("/tmp/farlab-2001"), host.home("alice") / ".local/state/farlab"):
            found = [path for path in (top, *top.rglob("*")) if not path.is_symlink()]
            assert len(found) > 2
            readable = [path for path in found if path.lstat().st_mode & 0o077]
            assert [path for path in readable if not path.name.startswith("kernel-")] == []
            assert [path for path in readable if not path.is_socket()] == []


def test_the_page_looks_for_kernels_where_it_came_from(own: Address) -> None:
    page = own.ask("GET", "/mine/lab")[2].decode()
    assert '"baseUrl": "/mine/"' in page
    assert "elsewhere.example" not in page
    assert own.ask("GET", "/mine/api/status", Host=f"localhost:{own.port}")[0] == 200


def test_a_program_of_the_session_hears_ctrl_c(own: Address) -> None:
    """Signals that the anchor does not mind must not be ignored by all that it starts."""
    code = "import subprocess as s; print(s.check_output(['grep', 'SigIgn', '/proc/self/status'], text=True))"
    with own.kernel() as kernel:
        ignored = int(kernel.run(code).split()[1], 16)
    sigint, sigquit, sigtstp = 2, 3, 20
    assert not [number for number in (sigint, sigquit, sigtstp) if ignored >> (number - 1) & 1]
