"""Where recordings, and files that are rehearsed, stand while they last: one directory a build, gone with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry_snapshot.store.ours import open_lock


@contextmanager
def working_directory(cache: Path, name: str = "recordings") -> Iterator[Path]:
    """Yield a directory below ``name`` for this build alone, after removing those of builds that were killed.

    Each holds a lock while its build lives, so no living one is taken for dead, whatever container it runs in.
    """
    root = cache / name
    root.mkdir(parents=True, exist_ok=True)
    with os.fdopen(open_lock(root / ".lock"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in root.iterdir():
            if left.is_dir() and not _is_alive(left):
                shutil.rmtree(left, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(dir=root))
        alive = (directory / "alive").open("w")
        fcntl.flock(alive, fcntl.LOCK_EX)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        alive.close()


def _is_alive(directory: Path) -> bool:
    with suppress(FileNotFoundError), (directory / "alive").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
