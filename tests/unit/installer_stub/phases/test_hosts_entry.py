"""The API's name in /etc/hosts: other lines stay, the file stays the same file."""

from __future__ import annotations

from pathlib import Path

import pytest

from installer_stub.phases import hosts_entry, journal
from tests.fakes.local_host import LocalConnection

THEIRS = "127.0.0.1\tlocalhost\n10.0.0.2 m2 # caf\u00e9\n"
BLOCK = "# airseal begin\n10.0.0.2 api.airseal.internal\n# airseal end\n"


@pytest.mark.parametrize(
    ("before", "address", "after"),
    [
        (THEIRS, "10.0.0.2", THEIRS + BLOCK),
        (THEIRS + BLOCK, "10.0.0.2", THEIRS + BLOCK),
        (THEIRS + BLOCK.replace("10.0.0.2", "10.0.0.9"), "10.0.0.2", THEIRS + BLOCK),
        (THEIRS + BLOCK + "10.0.0.7 later\n", None, THEIRS + "10.0.0.7 later\n"),
        ("# airseal begin\n" + THEIRS, "10.0.0.2", THEIRS + BLOCK),  # torn: the lines behind it are not ours
        ("", "10.0.0.2", BLOCK),
        (BLOCK, None, ""),
    ],
)
def test_the_block(before: str, address: str | None, after: str) -> None:
    assert hosts_entry.with_block(before, address) == after


@pytest.mark.parametrize(("text", "address"), [(THEIRS, ""), (THEIRS + BLOCK, "10.0.0.2"), ("", "")])
def test_reading_the_address(text: str, address: str) -> None:
    assert hosts_entry.api_address(text) == address


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "hosts"
    path.write_bytes(THEIRS.encode("latin-1"))  # not UTF-8, as old files are
    monkeypatch.setattr(hosts_entry, "HOSTS", str(path))
    monkeypatch.setattr(hosts_entry, "_SAFE", str(tmp_path / "safe"))
    state = str(tmp_path / "state")
    monkeypatch.setattr(hosts_entry, "Journal", lambda connection: journal.Journal(connection, state))
    return path


def test_the_file_is_written_in_place_for_docker_mounts_it(file: Path) -> None:
    inode = file.stat().st_ino
    assert hosts_entry.point(LocalConnection(), "10.0.0.2")
    assert file.stat().st_ino == inode
    assert hosts_entry.points_to(LocalConnection(), "10.0.0.2")
    assert file.read_bytes().startswith(THEIRS.encode("latin-1"))


def test_a_second_time_changes_nothing(file: Path) -> None:
    hosts_entry.point(LocalConnection(), "10.0.0.2")
    assert not hosts_entry.point(LocalConnection(), "10.0.0.2")


def test_taking_it_away_leaves_what_was_there(file: Path) -> None:
    hosts_entry.point(LocalConnection(), "10.0.0.2")
    hosts_entry.point(LocalConnection(), None)
    assert file.read_bytes() == THEIRS.encode("latin-1")


def test_a_power_cut_between_emptying_and_writing_loses_nothing(file: Path) -> None:
    hosts_entry.point(LocalConnection(), "10.0.0.2")
    file.write_bytes(b"")
    hosts_entry.point(LocalConnection(), "10.0.0.2")
    assert file.read_bytes() == (THEIRS + BLOCK).encode("latin-1")
