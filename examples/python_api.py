"""Start a notebook server on another machine, use it, and end it with this program.

python examples/python_api.py HOST
"""

from __future__ import annotations

import json
import sys
import urllib.request
from typing import Any

import farlab


def ask(session: farlab.Session, path: str) -> Any:
    """The server's answer to `GET path`; see Jupyter Server's REST API."""
    request = urllib.request.Request(f"{session.address}/{path}", headers={"Authorization": f"token {session.token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def main(host: str) -> None:
    with farlab.connect(host, name="example", terminate_on_exit=True) as session:
        connected = session.connected
        print(f"{connected.server} on {connected.node}, in {connected.directory}, after {connected.seconds['total']} s")
        print("kernels to choose from:", ", ".join(ask(session, "api/kernelspecs")["kernelspecs"]))
        print("state:", session.status().state)
    print("it is gone:", all(each.name != "example" for each in farlab.sessions()))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except farlab.FarlabError as error:
        sys.exit(f"{error.slug}: {error.message}\nhint: {error.hint}")
