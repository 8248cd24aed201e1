"""What killed one-file programs left goes, and nothing that could be anything else."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from installer_stub import unpacked

FILES = {"base_library.zip": b"zip", "libpython3.13.so.1.0": b"library", "a/b.so": b""}


def make(place: Path, name: str, *, age: float = 3600.0) -> Path:
    directory = place / name
    for path, content in FILES.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(content)
    settle(directory, age)
    return directory


def settle(directory: Path, age: float = 3600.0) -> None:
    now = directory.stat().st_mtime
    os.utime(directory, (now - age, now - age))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    directory = make(tmp_path, "_MEIown", age=0.0)
    monkeypatch.setattr(sys, "_MEIPASS", str(directory), raising=False)
    monkeypatch.setattr(unpacked, "_held", [])
    yield directory
    for fd in unpacked._held:
        os.close(fd)


def test_what_a_killed_one_left_goes_and_what_lives_stays(tmp_path: Path, own: Path) -> None:
    dead, alive = make(tmp_path, "_MEIdead"), make(tmp_path, "_MEIalive")
    with (alive / "base_library.zip").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        unpacked.hold_and_sweep()
        assert own.exists()
        assert alive.exists()
        assert not dead.exists()
    unpacked.hold_and_sweep()
    assert not alive.exists()
    with (own / "base_library.zip").open("rb") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ours is held


def is_beginning(directory: Path) -> None:
    settle(directory, -3600.0)


def has_more(directory: Path) -> None:
    (directory / "a" / "mine").write_text("")
    settle(directory)


def has_less(directory: Path) -> None:
    (directory / "a" / "b.so").unlink()


def has_another(directory: Path) -> None:
    (directory / "libpython3.13.so.1.0").write_bytes(b"another")
    (directory / "libpython3.13.so.1.0").write_bytes(b"other")


@pytest.mark.parametrize("change", [is_beginning, has_more, has_less, has_another])
def test_what_is_not_for_certain_ours_and_dead_stays(tmp_path: Path, own: Path, change: Callable[[Path], None]) -> None:
    directory = make(tmp_path, "_MEIother")
    change(directory)
    unpacked.hold_and_sweep()
    assert directory.exists()
    assert own.exists()


def test_another_users_and_a_link_stay(tmp_path: Path, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = make(tmp_path / "elsewhere", "_MEIx")
    (tmp_path / "_MEIlink").symlink_to(elsewhere)
    unpacked.hold_and_sweep()
    assert elsewhere.exists()
    theirs = make(tmp_path, "_MEItheirs")
    monkeypatch.setattr(os, "geteuid", lambda: own.stat().st_uid + 1)
    unpacked.hold_and_sweep()
    assert theirs.exists()


def test_a_program_of_one_directory_sweeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = make(tmp_path, "_MEIdead")
    for where in (make(tmp_path, "_internal"), None):
        if where is None:
            monkeypatch.delattr(sys, "_MEIPASS")
        else:
            monkeypatch.setattr(sys, "_MEIPASS", str(where), raising=False)
        unpacked.hold_and_sweep()
        assert dead.exists()
    assert unpacked._held == []
