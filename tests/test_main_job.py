"""The main job, on a real sshd and a real Jupyter: connect, use, come back, terminate."""

import urllib.request


def test_a_notebook_from_a_host_is_gone_after_terminate(laptop, host):
    connected = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=60)
    assert connected.code == 0, connected
    print(connected.json)
    again = laptop.farlab("connect", "alice", "--json", "--no-browser", timeout=60)
    print(again)
    got = laptop.run("curl", "-s", f"http://127.0.0.1:{connected.json['port']}/api/status?token={connected.json['token']}")
    print(got)
    print(laptop.farlab("list"), laptop.farlab("status", "alice"))
    ended = laptop.farlab("terminate", "alice", "--yes", timeout=60)
    assert ended.code == 0, ended
