"""A full disk is named, also where the system does not."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bundler.disk import full_disk_named
from bundler.errors import DiskFull


def test_the_file_that_the_system_names(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match=f"{tmp_path}/deep/file"), full_disk_named(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "deep" / "file"))


def test_the_fullest_place_otherwise(tmp_path: Path) -> None:
    with pytest.raises(DiskFull, match="no space left at /proc"), full_disk_named(tmp_path / "not" / "there", Path("/proc")):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")


def test_other_trouble_passes(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), full_disk_named(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
