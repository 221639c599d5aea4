"""The recipe farlab grew from, as a script of its own: paramiko for the commands, tmux, and `ssh -N -L` for the tunnel.

    python recipe.py PORT USER KEY SSH_CONFIG ALIAS

Login; upload a port finder and run it; start Jupyter in tmux; look whether tmux has it; pick a local port; tunnel;
print `LOCAL_PORT TUNNEL_PID`. It does not wait for Jupyter: whoever called it does, at the address.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import paramiko

FINDER = b"import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])\n"


def main() -> None:
    """The five steps."""
    port, user, key, config, alias = sys.argv[1:]
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", int(port), user, key_filename=key, look_for_keys=False, allow_agent=False)
    with client.open_sftp() as files, files.open("find_port.py", "wb") as target:
        target.write(FINDER)
    remote = int(_run(client, "python3 find_port.py"))
    _run(client, f"tmux new-session -d -s notebook \"bash -lic 'jupyter lab --no-browser --port={remote}'\"")
    while _run(client, "tmux has-session -t notebook && echo yes") != "yes":
        time.sleep(0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        local = listener.getsockname()[1]
    argv = ["ssh", "-F", config, "-N", "-L", f"127.0.0.1:{local}:127.0.0.1:{remote}", alias]
    quiet = subprocess.DEVNULL
    tunnel = subprocess.Popen(argv, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    print(local, tunnel.pid, flush=True)
    client.close()


def _run(client: paramiko.SSHClient, command: str) -> str:
    return client.exec_command(command)[1].read().decode().strip()


if __name__ == "__main__":
    main()
