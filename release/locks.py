"""One at a time in a part of the cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from registry_snapshot.store.ours import open_lock


@contextlib.contextmanager
def one_at_a_time(directory: Path, name: str = "") -> Iterator[None]:
    """Hold the lock of a part of the cache, or of what is ``name`` in it; whoever else wants it waits."""
    with os.fdopen(open_lock(directory / f".{name}.lock" if name else directory / ".lock"), "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
