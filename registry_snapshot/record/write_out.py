"""WriteOut: has the disk begin with a file while the rest of it still comes, so that the fsync at the end has little to wait for.

A hint and no promise: nothing is believed to be on the disk before fsync has said so, and an error of the disk is kept for it. fdatasync from
another thread would begin too, and would be told that error in its place: an open file hears of one once.

Source: sync_file_range(2), SYNC_FILE_RANGE_WRITE "start write-out ... of dirty pages"; mm/filemap.c advances no file's error there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import cast

_WRITE = 2  # SYNC_FILE_RANGE_WRITE
_STEP = 8 << 20  # bytes at a time: less are written by the fsync as fast


class WriteOut:
    """The file ``fd``, which belongs to whoever writes it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._begun = 0

    def wrote(self, size: int) -> None:
        """Tell that the file has ``size`` bytes now; fewer than before if it was begun again."""
        if size < self._begun:
            self._begun = 0
        if size - self._begun < _STEP:
            return
        with suppress(OSError, AttributeError, ImportError):  # another kernel or libc: then fsync does it all
            _sync_file_range()(self._fd, self._begun, size - self._begun, _WRITE)
        self._begun = size


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int]:
    import ctypes  # most blobs are smaller than a step

    function = ctypes.CDLL(None).sync_file_range
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return cast("Callable[[int, int, int, int], int]", function)
