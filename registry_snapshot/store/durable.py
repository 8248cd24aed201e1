"""Names that are on the disk. A file's own ``fsync`` says nothing of its name: that is its directory's content.

Source: fsync(2), "NOTES"; ext4 forgives its absence in common cases, POSIX, XFS and btrfs do not.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Return when every name in ``directory`` is on the disk. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int = 0o777, *, root: Path | None = None) -> None:
    """Make ``path`` and what is missing above it; their names are then on the disk, those of ``path`` itself with ``mode``.

    From ``root`` down names are synced that were there already, too: another process may have made them a moment ago. Raises OSError.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        try:
            each.mkdir(mode if each == path else 0o777)
        except FileExistsError:
            if not each.is_dir():
                raise
    kept = [each for each in (path, *path.parents) if root is not None and each.is_relative_to(root)]
    for each in dict.fromkeys([*reversed(missing), *reversed(kept)]):
        sync_directory(each.parent)
