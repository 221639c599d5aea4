"""What this machine remembers, where it may not be written or read: that is no bug, and ends no keeper."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from farlab import paths, store
from farlab.errors import Internal
from farlab.keeper.story import MOST_LINE, Story
from farlab.keeper.trace import Trace
from farlab.model import Target

TARGET = Target(host="far")


def a_file(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("not a directory")


def a_link_to_nowhere(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.symlink_to("nowhere/at/all")


def a_directory_in_the_place_of_each_file(state: Path) -> None:
    for path in (store.log_path(TARGET), state / f"{store.key_of(TARGET)}.json"):
        (path / "full").mkdir(parents=True)


def a_directory_above_that_is_a_file(state: Path) -> None:
    state.parent.parent.mkdir(parents=True)
    state.parent.write_text("not a directory")


SPOILT = [a_file, a_link_to_nowhere, a_directory_in_the_place_of_each_file, a_directory_above_that_is_a_file]


@pytest.fixture(params=SPOILT, ids=lambda make: make.__name__)
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of which nothing can be made."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    spoil: Callable[[Path], None] = request.param
    spoil(paths.state_directory())
    return paths.state_directory()


def test_nothing_is_remembered_and_nothing_raised(state: Path) -> None:
    memory = store.Memory(host="far", name="main", ssh_config=None, port=8888)
    assert store.remember(memory) is False
    assert store.recall(TARGET) is None
    assert store.recall_all() == []
    store.tidy(TARGET)
    store.forget(TARGET)


def test_a_keeper_goes_on_without_it(state: Path) -> None:
    trace = Trace(TARGET, 8888)
    trace.tell("a line")
    trace.remember(is_alive=True)
    assert not trace.is_kept
    trace.renew()
    trace.remove()


def test_whoever_must_read_it_is_told_why_it_cannot_be(state: Path) -> None:
    if state.is_dir() or state.is_symlink():
        assert store.recall_all(must_read=True) == []
        return
    with pytest.raises(Internal, match=str(state)) as caught:
        store.recall_all(must_read=True)
    assert "bug" not in caught.value.hint


def test_a_directory_that_is_not_there_holds_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert store.recall_all(must_read=True) == []


def test_a_line_of_the_log_is_one_line_of_a_bounded_length(tmp_path: Path) -> None:
    story = Story(tmp_path / "log")
    story.tell("a\nb\x1b[31m\u202e" + "x" * 1_000_000)
    [line] = (tmp_path / "log").read_text().splitlines()
    assert "a bxxx" in line
    assert len(line) < MOST_LINE + 30
