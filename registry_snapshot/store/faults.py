"""What the file system under a store says, in the words of the person who has to do something about it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from registry_snapshot.errors import RegistryError, StoreError


def store_error(error: OSError, path: Path) -> RegistryError:
    """Return what to tell a person about a failed write or read at ``path``: which path, how full, what to do."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StoreError(
            f"no space left for {path} ({_fullness(path)})",
            f"free space on the file system of {path.parent}, or choose a directory on a larger one, and run again: "
            "what is already there is kept",
        )
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreError(f"{path} may not be written: {error.strerror}", "choose a directory that this user can write")
    return StoreError(f"{path}: {error.strerror or error}", "look at the disk under it (dmesg), then run again")


def _fullness(path: Path) -> str:
    directory = path if path.is_dir() else path.parent
    try:
        usage = shutil.disk_usage(directory)
    except OSError:
        return "its size is unknown"
    return f"{usage.free / 1e9:.2f} GB free of {usage.total / 1e9:.2f} GB"
