"""Nothing of the host's is executed by accident, and what kernels write is the user's own."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from address import session
from bed import Bed, Host, Laptop
from host_parts import write_home
from steps import refused_connect as refused

DECOYS = ("importlib", "sys", "json", "jupyterlab", "jupyter_server", "encodings", "pip", "sitecustomize")
PLANT = """
mkdir -m 777 /tmp/shared && cd /tmp/shared
for name in "$@"; do mkdir $name; echo "open('/tmp/owned-$name', 'w')" >$name/__init__.py; done
echo "open('/tmp/owned-config', 'w')" >jupyter_server_config.py
cp jupyter_server_config.py jupyter_config.py
for name in jupyter-lab jupyter python3; do printf '#!/bin/sh\\ntouch /tmp/owned-program\\n' >$name; done
chmod -R a+rx .
"""
LISTENING = """
import sys, time
end = time.time() + 60
def tcp():
    return {line.split()[1] for name in ("tcp", "tcp6") for line in open("/proc/net/" + name) if " 0A " in line}
before = tcp()
print("looking", flush=True)
while not sys.stdin in __import__("select").select([sys.stdin], [], [], 0.002)[0]:
    new = tcp() - before
    if new:
        print(new, flush=True)
"""


@pytest.fixture
def alice(bed: Bed, host: Host) -> Iterator[Path]:
    bed.fresh_home("alice")
    yield host.home("alice")
    bed.fresh_home("alice")


@pytest.mark.parametrize("words", [("--app", "lab"), ("--setup", "export PYTHONPATH=:$PYTHONPATH PATH=.:$PATH"), ()])
def test_a_directory_of_others_runs_nothing_of_theirs(
    laptop: Laptop, host: Host, alice: Path, words: tuple[str, ...]
) -> None:
    """Not before a kernel is started in it, which is the user's own wish."""
    planted = host.run("mallory", ["sh", "-c", PLANT, "sh", *DECOYS])
    assert planted.returncode == 0, planted
    try:
        with session(laptop, "alice", "--dir", "/tmp/shared", *words) as address:
            assert address.connected["dir"] == "/tmp/shared"
            names = [each["name"] for each in json.loads(address.ask("GET", "/api/contents")[2])["content"]]
            assert "importlib" in names
            assert [path.name for path in host.path("/tmp").glob("owned-*")] == []
    finally:
        host.run("root", ["sh", "-c", "rm -rf /tmp/shared /tmp/owned-*"])


@pytest.mark.parametrize("name", ["a b$(touch x)", "CORP\\ann's;`id`", "é {1,2} #!~"])
def test_a_runtime_directory_may_be_called_as_it_likes(laptop: Laptop, host: Host, alice: Path, name: str) -> None:
    """`/tmp` cannot be had: what is there is somebody else's."""
    assert host.run("root", ["touch", "/tmp/farlab-2001"]).returncode == 0
    made = host.run("alice", ["mkdir", "-m", "700", f"/tmp/{name}"])
    assert made.returncode == 0, made
    write_home(host, "alice", ".bashrc", f"export XDG_RUNTIME_DIR={shlex.quote('/tmp/' + name)}\n")
    before = {path.name for path in alice.iterdir()}
    try:
        with session(laptop, "alice") as address:
            assert address.connected["launcher"] == "tmux"
            assert (host.path("/tmp") / name / "farlab/main/server.sock").is_socket()
            with address.kernel() as kernel:
                assert kernel.run("print(6 * 7)") == "42\n"
            assert "x" not in {path.name for path in alice.iterdir()} - before
        assert not (host.path("/tmp") / name / "farlab").exists()
    finally:
        host.run("root", ["rm", "-rf", f"/tmp/{name}", "/tmp/farlab-2001"])


OLD = {
    "JupyterLab 3.0.14 with Jupyter Server 1.4.1": {"jupyterlab": "3.0.14", "jupyter_server": "1.4.1"},
    "Jupyter Notebook 6.1.4 without Jupyter Server": {"notebook": "6.1.4"},
}


@pytest.mark.parametrize(("said", "packages"), OLD.items(), ids=OLD)
def test_a_jupyter_that_is_too_old_is_never_started(
    laptop: Laptop, host: Host, alice: Path, said: str, packages: dict[str, str]
) -> None:
    """Though a newer one is on the host, too: another Jupyter would be without the user's packages."""
    made = host.run("alice", ["/usr/bin/python3", "-m", "venv", "--without-pip", "old"])
    assert made.returncode == 0, made
    site = next((alice / "old/lib").glob("python3.*")) / "site-packages"
    for name, version in packages.items():
        (site / name).mkdir()
        (site / name / "__init__.py").write_text("open('/tmp/owned-import', 'w')\n")
        (site / f"{name}-{version}.dist-info").mkdir()
    script = alice / "old/bin" / f"jupyter-{'lab' if 'jupyterlab' in packages else 'notebook'}"
    write_home(
        host, "alice", str(script.relative_to(alice)), "#!/home/alice/old/bin/python\nopen('/tmp/owned-x', 'w')\n"
    )
    script.chmod(0o755)
    hidden = [] if "jupyterlab" in packages else ["/opt/*"]
    write_home(host, "alice", ".bash_profile", f"export PATH=~/old/bin:{'$PATH' if not hidden else '/usr/bin:/bin'}\n")
    watch = host.popen("root", ["python3", "-c", LISTENING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert watch.stdout
    assert watch.stdout.readline() == b"looking\n"
    ran, error = refused(laptop, "alice")
    assert watch.communicate(b"\n", timeout=30)[0] == b""
    assert (ran.code, error["code"]) == (6, "no-jupyter")
    assert f"`/home/alice/old/bin/python` has {said}" in error["message"]
    assert "--env" in error["hint"]
    assert [path.name for path in host.path("/tmp").glob("owned-*")] == []


def test_a_wrapper_of_the_shell_is_not_given_our_program(laptop: Laptop, host: Host, alice: Path) -> None:
    wrapper = '#!/bin/bash\nexport SITE=1\nexec /opt/nowhere/jupyter-lab "$@"\n'
    write_home(host, "alice", "sw/bin/jupyter-lab", wrapper)
    (alice / "sw/bin/jupyter-lab").chmod(0o755)
    write_home(host, "alice", ".bash_profile", "export PATH=~/sw/bin:/usr/bin:/bin\n")
    ran, error = refused(laptop, "alice")
    assert (ran.code, error["code"]) == (6, "no-jupyter")
    assert "`/home/alice/sw/bin/jupyter-lab`" in error["message"]
    assert "--env" in error["hint"]
    assert "SOURCES" not in error["detail"]


SEE = """
import os
open("kernel.txt", "w").close(); os.mkdir("kernel")
print([oct(os.stat(name).st_mode & 0o777) for name in ("kernel.txt", "kernel")])
"""


@pytest.mark.parametrize(
    ("umask", "words", "file", "folder"),
    [
        ("0022", (), 0o644, 0o755),
        ("0002", (), 0o664, 0o775),
        ("0077", (), 0o600, 0o700),
        ("0022", ("--setup", "umask 002"), 0o664, 0o775),
    ],
)
def test_what_kernels_terminals_and_the_server_write_follows_the_users_umask(
    laptop: Laptop, host: Host, alice: Path, umask: str, words: tuple[str, ...], file: int, folder: int
) -> None:
    write_home(host, "alice", ".bash_profile", f"umask {umask}\n")
    with session(laptop, "alice", *words) as address:
        with address.kernel() as kernel:
            assert kernel.run(SEE) == f"{[oct(file), oct(folder)]}\n"
        status, _, content = address.ask("POST", "/api/contents", json.dumps({"type": "notebook"}))
        assert status == 201, content
        assert (alice / json.loads(content)["path"]).stat().st_mode & 0o777 == file
        runtime = host.path("/tmp/farlab-2001")
        for top in (runtime, runtime / "main", alice / ".local/state/farlab/main"):
            assert top.stat().st_mode & 0o777 == 0o700
        [page] = (runtime / "main").glob("jpserver-*-open.html")
        assert page.stat().st_mode & 0o777 == 0o600
        assert (alice / ".local/state/farlab/main/log").stat().st_mode & 0o777 == 0o600
