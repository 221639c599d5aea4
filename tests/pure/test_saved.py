"""What this machine remembers, where it may not be written or read: that is no bug, and ends no keeper."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from farlab import paths, saved
from farlab.errors import DiskFull, FarlabError, Internal
from farlab.keeper.local_state import LocalState
from farlab.keeper.log import MAX_BYTES, MAX_LINE, KeeperLog
from farlab.keeper.web.addresses import label
from farlab.model import Target

TARGET = Target(host="far")


def a_file(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.write_text("not a directory")


def a_link_to_nowhere(state: Path) -> None:
    state.parent.mkdir(parents=True)
    state.symlink_to("nowhere/at/all")


def a_directory_in_the_place_of_each_file(state: Path) -> None:
    for path in (saved.log_path(TARGET), state / f"{saved.key_of(TARGET)}.json"):
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
    memory = saved.SavedSession(host="far", name="main", ssh_config=None, port=8888)
    assert saved.save(memory) is False
    assert saved.load(TARGET) is None
    assert saved.load_all() == []
    saved.remove_stale(TARGET)
    saved.delete(TARGET)


def test_a_keeper_goes_on_without_it(state: Path) -> None:
    local = LocalState(TARGET, 8888)
    local.log("a line")
    local.save(is_alive=True)
    assert not local.is_saved
    local.rewrite_if_missing()
    local.remove()


def test_whoever_must_read_it_is_told_why_it_cannot_be(state: Path) -> None:
    if state.is_dir() or state.is_symlink():
        assert saved.load_all(must_read=True) == []
        return
    with pytest.raises(Internal, match=str(state)) as caught:
        saved.load_all(must_read=True)
    assert "bug" not in caught.value.hint


def test_a_directory_that_is_not_there_holds_no_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert saved.load_all(must_read=True) == []


def test_a_line_of_the_log_is_one_line_of_a_bounded_length(tmp_path: Path) -> None:
    log = KeeperLog(tmp_path / "log")
    log.write("a\nb\x1b[31m\u202e" + "x" * 1_000_000)
    [line] = (tmp_path / "log").read_text().splitlines()
    assert "a bxxx" in line
    assert len(line) < MAX_LINE + 30


def a_pipe(path: Path, existing: Path) -> None:
    os.mkfifo(path)


def a_link_to_another_file(path: Path, existing: Path) -> None:
    path.symlink_to(existing)


def a_link_without_end(path: Path, existing: Path) -> None:
    path.symlink_to("/dev/zero")


def a_long_file(path: Path, existing: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


ODD = [a_pipe, a_link_to_another_file, a_link_without_end, a_long_file]


@pytest.mark.parametrize("make", ODD, ids=lambda make: make.__name__)
def test_what_is_no_file_of_ours_is_not_remembered_and_holds_nobody_up(
    make: Callable[[Path, Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    memory = saved.SavedSession(host="far", name="main", ssh_config=None, port=8888)
    assert saved.save(memory)
    [ours] = paths.state_directory().glob("*.json")
    existing = tmp_path / "elsewhere"
    ours.rename(existing)
    make(ours, existing)
    assert saved.load(TARGET) is None
    assert saved.load_all(must_read=True) == []


@pytest.mark.parametrize("make", ODD[:3], ids=lambda make: make.__name__)
def test_the_log_goes_nowhere_but_into_a_file_of_ours(make: Callable[[Path, Path], None], tmp_path: Path) -> None:
    """A keeper that opened a pipe would wait for ever; by a link it would cut, or add to, any file of its user's."""
    existing = tmp_path / "elsewhere"
    existing.write_bytes(b"x" * (2 * MAX_BYTES))
    make(tmp_path / "log", existing)
    log = KeeperLog(tmp_path / "log")
    log.write("a line")
    log.trim()
    assert existing.read_bytes() == b"x" * (2 * MAX_BYTES)


def test_a_file_of_ssh_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    odd = [Target(host="far", ssh_config=os.fsdecode(name)) for name in (b"/\xff", b"/\xfe")]
    assert len({saved.key_of(target) for target in (*odd, TARGET)}) == 3
    assert len({label(target) for target in (*odd, TARGET)}) == 3
    for target in odd:
        assert saved.save(saved.SavedSession(host="far", name="main", ssh_config=target.ssh_config, port=8888))
    assert {memory.target for memory in saved.load_all()} == set(odd)


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EROFS, Internal)])
def test_a_hint_about_a_directory_can_be_typed_whatever_its_name(number: int, error: type[FarlabError]) -> None:
    with pytest.raises(error) as raised, paths.translate_write_errors(Path("/home/me/my $files")):
        raise OSError(number, "")
    assert " '/home/me/my $files'" in raised.value.hint
    assert raised.value.hint.count("my $files") == raised.value.hint.count("'/home/me/my $files'")
