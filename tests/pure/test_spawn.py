"""Who waits for another one that starts the keeper waits for a bounded time: that one may be stopped."""

from __future__ import annotations

import fcntl
import tempfile
from collections.abc import Iterator

import pytest

from errors_page import assert_shown
from farlab import paths
from farlab.client import spawn
from farlab.errors import KeeperSilent
from farlab.model import SessionOptions, Target

TARGET = Target(host="far", name="two")


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="farlab-") as short:  # a socket's path ends soon
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield


@pytest.mark.parametrize(("content", "pid"), [("4711", 4711), ("", None), ("$(reboot)", None)])
def test_a_starter_that_does_not_get_on_is_said_to_be_stopped(content: str, pid: int | None, runtime: None) -> None:
    lock = spawn.socket_path(TARGET).with_suffix(".lock")
    paths.make_private(lock.parent)
    lock.write_text(content)
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(KeeperSilent) as caught:
            spawn.find_or_start(TARGET, SessionOptions(timeout=0.1), may_ask=False)
    assert caught.value.pid == pid
    if pid:
        assert_shown(caught.value.message, "keeper-silent", 1, names={"gpu1": "far", "main": "two"})
    assert ("`kill -CONT 4711`" in caught.value.hint) == (pid == 4711)
    assert "reboot" not in str(caught.value) + caught.value.hint
