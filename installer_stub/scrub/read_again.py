"""Read an artifact again, all of it, from the disk itself and slowly: nobody waits for it, and others want the disk."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from installer_stub.bundle.reader import Bundle
from installer_stub.errors import BundleError
from installer_stub.scrub import PACE
from installer_stub.scrub.damage import Damage, stamp_of

_PIECE: Final = 1024 * 1024


def read_again(
    artifact: Path,
    *,
    pace: int = PACE << 20,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Damage | None:
    """Return what is damaged in ``artifact``, or None. A part that cannot be read is damaged, and the rest is still read.

    What the kernel holds of it in memory is let go of first: that was right when it was read. Raises OSError where it is gone.
    """
    stamp = stamp_of(artifact.stat())
    try:
        with Bundle.open(artifact) as bundle:
            stamp = stamp_of(bundle.status)
            wait = _Pace(pace, clock, sleep)
            damaged = tuple(name for name in bundle.names() if not _is_whole(bundle, name, wait))
            return Damage(stamp, len(bundle.names()), damaged) if damaged else None
    except BundleError as error:
        return Damage(stamp, problem=error.problem)


class _Pace:
    """Lets so many bytes pass a second."""

    def __init__(self, pace: int, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._pace, self._clock, self._sleep = pace, clock, sleep
        self._begun, self._passed = clock(), 0

    def passed(self, count: int) -> None:
        """Count them, and wait where they came too fast."""
        self._passed += count
        early = self._begun + self._passed / self._pace - self._clock()
        if early > 0:
            self._sleep(early)


def _is_whole(bundle: Bundle, name: str, wait: _Pace) -> bool:
    try:
        wanted = bundle.digest_of(name)
        hasher = wanted.hasher()
        for piece in _pieces(bundle, name):
            hasher.update(piece)
            wait.passed(len(piece))
    except (OSError, BundleError):  # EIO: what a disk says that knows of it
        return False
    return hasher.hexdigest() == wanted.encoded


def _pieces(bundle: Bundle, name: str) -> Iterator[bytes]:
    with bundle.extent(name) as extent:
        os.posix_fadvise(extent.fd, extent.offset, extent.size, os.POSIX_FADV_DONTNEED)
        for at in range(0, extent.size, _PIECE):
            yield extent.read(_PIECE, at)
            # Other programs' files stay in memory, not this one that nobody asked for.
            os.posix_fadvise(extent.fd, extent.offset + at, _PIECE, os.POSIX_FADV_DONTNEED)
