"""That a file was verified is remembered, so that an unchanged one is not read for minutes at every start.

Nothing rests on it but time: every document is checked against ``airseal/bundle.json`` when it is read, and every byte that is
sent to a host is hashed on the way and compared with what is remembered here.
"""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path
from typing import Final

from installer_stub.bundle.reader import Bundle
from installer_stub.bundle.verify import Verified

_RACY: Final = 3.0  # seconds; a file written within its clock's grain (FAT: 2 s) of now could change again unseen
_LIMIT: Final = 4096  # bytes of a record
_OTHERS_WRITE: Final = 0o022


def remember(bundle: Bundle, verified: Verified, *, now: float | None = None) -> None:
    """Write down that the file was found whole, unless it is too young. Whatever cannot be written is not remembered."""
    status = bundle.status
    if (time.time() if now is None else now) - max(status.st_mtime, status.st_ctime) < _RACY:
        return
    try:
        directory = _directory()
        directory.parent.parent.mkdir(parents=True, exist_ok=True)
        for each in (directory.parent, directory):  # parents=True would make the first one for everybody
            each.mkdir(0o700, exist_ok=True)
        if not _is_private(directory.lstat()):
            return
        path = directory / _name(status)
        new = path.with_name(f".{path.name}.{os.getpid()}")
        new.unlink(missing_ok=True)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({**_facts(bundle), "sha256": verified.sha256}, file)
        new.replace(path)
    except (OSError, RuntimeError):
        return


def recall(bundle: Bundle) -> str | None:
    """Return the SHA-256 in hex of the whole file, if it was verified and is the same in digest, size, times and place.

    None means: verify it. A record that others than this user can write is none.
    """
    try:
        directory = _directory()
        if not _is_private(directory.lstat()):
            return None
        fd = os.open(directory / _name(bundle.status), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or not _is_private(found):
                return None
            record = json.loads(file.read(_LIMIT))
    except (OSError, RuntimeError, ValueError, RecursionError):
        return None
    sha256 = record.pop("sha256", None) if isinstance(record, dict) else None
    return sha256 if isinstance(sha256, str) and len(sha256) == 64 and record == _facts(bundle) else None


def _directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "airseal" / "verified"


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE and not stat.S_ISLNK(status.st_mode)


def _name(status: os.stat_result) -> str:
    return f"{status.st_dev:x}-{status.st_ino:x}.json"


def _facts(bundle: Bundle) -> dict[str, object]:
    status = bundle.status
    return {
        "digest": str(bundle.digest),
        "size": status.st_size,
        "mtime": status.st_mtime_ns,
        "ctime": status.st_ctime_ns,
        "inode": status.st_ino,
        "device": status.st_dev,
    }
