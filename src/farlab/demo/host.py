"""The host of `farlab demo`: an SSH server on this machine. It also removes everything if the demo itself cannot.

`python -m farlab.demo.host DIRECTORY` listens on the loopback, accepts one throw-away key and runs the login shell in
a home of its own, below DIRECTORY. It prints its port, and ends when its standard input does.

Rule: every process of the demo has DIRECTORY in its environment, so that those that are left can be found and killed:
by the demo at its end, and by this host when the demo has disappeared.
"""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..host.shell_command import login_shell

DEMO_VARIABLE = "FARLAB_DEMO"
HOST = "demo"
_TERM_TIMEOUT = 5.0


def main(base: Path) -> None:
    """Be the host; at its end remove what the demo has left."""
    os.umask(0o077)
    try:
        asyncio.run(_serve(base))
    finally:
        kill_processes(base)
        shutil.rmtree(base, ignore_errors=True)


def kill_processes(base: Path) -> list[int]:
    """End every process of this demo: TERM, then KILL. Returns those that are left."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in _processes(base):
            with suppress(OSError):
                os.kill(pid, number)
        end = time.monotonic() + _TERM_TIMEOUT
        while _processes(base) and time.monotonic() < end:
            time.sleep(0.02)
    return _processes(base)


def _processes(base: Path) -> list[int]:
    """The processes of this demo but this one; none where there is no `/proc`."""
    entry = f"{DEMO_VARIABLE}={base}".encode()
    return [
        pid
        for pid in map(int, filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc/self") else ()))
        if pid != os.getpid() and _has_in_environment(pid, entry)
    ]


def _has_in_environment(pid: int, entry: bytes) -> bool:
    try:
        is_ours = os.stat(f"/proc/{pid}").st_uid == os.getuid()
        return is_ours and entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


async def _serve(base: Path) -> None:
    """Serve until standard input ends."""
    import asyncssh

    key, host_key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = await asyncssh.create_server(
        asyncssh.SSHServer,
        "127.0.0.1",
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(key.export_public_key().decode()),
        process_factory=functools.partial(_run_login, base),
        encoding=None,
        gss_host=None,
        allow_pty=False,
        x11_forwarding=False,
        agent_forwarding=False,
    )
    _write_start_up_files(base / "home")
    _write_ssh_config(base, server.get_port(), key.export_private_key(), host_key.export_public_key())
    print(server.get_port(), flush=True)  # noqa: T201 - for the process that started this one
    has_ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, has_ended.set)
    await has_ended.wait()
    server.close()


async def _run_login(base: Path, process: Any) -> None:
    """Run one command in the login shell as `sshd` does: it ends with the shell's output, not with the shell."""
    import asyncssh

    env = _home_environment(base)
    shell = login_shell(env)
    child = subprocess.Popen(
        [shell, "-c", process.command or "true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=base / "home",
        env={**env, "SHELL": shell},
        start_new_session=True,
    )
    with suppress(OSError, asyncssh.Error):
        await process.redirect(child.stdin, child.stdout, child.stderr, send_eof=False)
        await process.stdout.drain()
        await process.stderr.drain()
    while child.poll() is None:
        await asyncio.sleep(0.02)
    process.exit(child.returncode if child.returncode >= 0 else 255)


def _home_environment(base: Path) -> dict[str, str]:
    """The environment of a login: nothing of the user's own but PATH and language."""
    kept = {name: value for name, value in os.environ.items() if name in ("LANG", "TZ") or name.startswith("LC_")}
    ours = {
        "HOME": f"{base}/home",
        "XDG_RUNTIME_DIR": f"{base}/r",
        "TMUX_TMPDIR": f"{base}/r",
        DEMO_VARIABLE: str(base),
    }
    return {**kept, **ours, "USER": _user(), "LOGNAME": _user(), "PATH": os.pathsep.join(_path())}


def _path() -> list[str]:
    """The host's PATH: Jupyter of this very Python comes first."""
    return [sysconfig.get_path("scripts"), *os.environ.get("PATH", os.defpath).split(os.pathsep)]


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return HOST


def _write_start_up_files(home: Path) -> None:
    """Start-up files for every shell, since the system's own may set PATH; and a configuration of Jupyter for root."""
    path = shlex.quote(os.pathsep.join(_path()))
    for name in (".profile", ".bashrc", ".zshrc", ".kshrc"):
        (home / name).write_text(f"PATH={path}\nexport PATH\n")
    (home / ".cshrc").write_text(f"setenv PATH {path}\n")
    (home / ".config/fish").mkdir(parents=True)
    (home / ".config/fish/config.fish").write_text(f"set -gx PATH {shlex.join(_path())}\n")
    if os.geteuid() == 0:
        (home / ".jupyter").mkdir()
        (home / ".jupyter/jupyter_server_config.json").write_text('{"ServerApp": {"allow_root": true}}\n')


def _write_ssh_config(base: Path, port: int, key: bytes, host_key: bytes) -> None:
    """The user's key and an `ssh_config` that knows this host and no other."""
    (base / "key").touch(mode=0o600)
    (base / "key").write_bytes(key)
    (base / "known_hosts").write_bytes(f"{HOST} ".encode() + host_key)
    options = {
        "HostName": "127.0.0.1",
        "Port": port,
        "User": HOST,
        "HostKeyAlias": HOST,
        "IdentityFile": base / "key",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "PreferredAuthentications": "publickey",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": base / "known_hosts",
        "GlobalKnownHostsFile": "/dev/null",
    }
    lines = [f"Host {HOST}", *(f"  {keyword} {value}" for keyword, value in options.items())]
    (base / "ssh_config").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
