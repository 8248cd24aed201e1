"""A full disk, named: the system says that there is no space left, and seldom where."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bundler.errors import DiskFull


@contextmanager
def full_disk_named(*places: Path) -> Iterator[None]:
    """Turn "no space left" into DiskFull that names the file, or else the fullest of ``places``."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        place = Path(os.fsdecode(error.filename)) if error.filename else min(places, key=_free)
        raise DiskFull(f"no space left at {place}", "free some space, or name another cache with --cache; what was fetched is kept") from error


def existing(place: Path) -> Path:
    """Return ``place``, or the nearest directory above it that is there."""
    return next(path for path in (place, *place.absolute().parents) if path.exists())


def _free(place: Path) -> int:
    found = os.statvfs(existing(place))
    return found.f_bavail * found.f_frsize
