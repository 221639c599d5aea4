"""The names that completion offers from `ssh_config`, as ssh_config(5) writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from farlab.cli.host_names import config_hosts


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("Host gpu1\n", ["gpu1"]),
        ("host a b\n  HostName x\nHOST c\n", ["a", "b", "c"]),
        ("Host=gpu1\nHost = gpu2\n", ["gpu1", "gpu2"]),
        ('Host "gpu 1" gpu2 # the new one\n', ["gpu 1", "gpu2"]),
        ("Host * !bad *.example.org gpu? gpu1\n", ["gpu1"]),
        ("#Host no\n  # Host no\n\nMatch host x\nHostName y\n", []),
        ("Host gpu1\nHost gpu1 gpu2\n", ["gpu1", "gpu2"]),
        ('Host "unclosed gpu1\n', ['"unclosed', "gpu1"]),
        ("Host\nHost\t\tgpu1\r\n", ["gpu1"]),
        ("\x00\xff Host", []),
        ("Include\nInclude gone/*\n", []),
    ],
)
def test_the_names_after_host_are_found(tmp_path: Path, text: str, hosts: list[str]) -> None:
    file = tmp_path / "config"
    file.write_text(text, "latin-1")
    assert config_hosts(file) == hosts


def test_included_files_are_read_in_order_and_a_ring_ends(tmp_path: Path) -> None:
    config, more = tmp_path / "config", tmp_path / "more d"
    more.mkdir()
    config.write_text(f'Host a\nInclude "{more}/*" {config}\nHost z\n')
    (more / "2").write_text("Host c\n")
    (more / "1").write_text(f"Host b\nInclude {config}\n")
    assert config_hosts(config) == ["a", "b", "c", "z"]


def test_a_file_that_is_not_there_has_no_hosts(tmp_path: Path) -> None:
    assert config_hosts(tmp_path / "gone") == []
    assert config_hosts(tmp_path) == []
