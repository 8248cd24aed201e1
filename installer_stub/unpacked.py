"""What a one-file program unpacks itself into, on the operator's machine: held while it lives, swept where it was killed.

A program that is killed leaves its ``_MEI…`` of 34 MB in the temporary directory, each time. Such a directory is removed when the
next one begins, if nothing can be wrong about it: it is this user's, holds exactly the files that this very program unpacks, is
older than a start takes, and nobody holds its lock. The kernel gives that up with the process, also in another container.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import sys
import time
from pathlib import Path
from typing import Final

_LOCKED: Final = "base_library.zip"  # PyInstaller's, in every such directory
_BEGINNING_SECONDS: Final = 600.0  # one that is younger may be unpacking itself: its program holds nothing yet
_held: list[int] = []  # open for as long as the process lives


def hold_and_sweep() -> None:
    """Hold what this program unpacked itself into, and remove what killed ones of it left beside. Never raises; on hosts it does nothing."""
    own = Path(getattr(sys, "_MEIPASS", ""))
    if not own.name.startswith("_MEI"):
        return
    with contextlib.suppress(OSError):  # a file system without locks, a directory that nobody may list: then nothing is swept
        _held.append(_lock(own, fcntl.LOCK_SH))
        files = _files(own)
        for other in own.parent.glob("_MEI*"):
            if other != own and _is_old_and_ours(other) and _files(other) == files:
                _remove(other)


def _is_old_and_ours(directory: Path) -> bool:
    status = directory.lstat()
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and time.time() - status.st_mtime > _BEGINNING_SECONDS


def _files(directory: Path) -> dict[str, int]:
    """Return every file's size by its path, links not followed."""
    paths = (Path(place, name) for place, _, names in os.walk(directory) for name in names)
    return {str(path.relative_to(directory)): path.lstat().st_size for path in paths}


def _lock(directory: Path, how: int) -> int:
    fd = os.open(directory / _LOCKED, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _remove(directory: Path) -> None:
    import shutil  # not for every start: it brings the compressions with it

    with contextlib.suppress(OSError):  # it lives, or another start removes it
        fd = _lock(directory, fcntl.LOCK_EX)
        try:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            os.close(fd)
